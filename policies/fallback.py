"""After a failed attempt: which one is next, if any. The single owner of retries; pure.

| failure | next |
|---|---|
| the request itself is refused | none: every model would refuse it |
| content is refused by a filter | none: another model must not be a way around it |
| the operator's key is refused; the provider is out of reach | the next attempt, elsewhere if there is one |
| rate limit, overload, time-out, garbage | the next attempt |
| the model is unknown there, or the prompt too long for it | the next attempt |
| thinking ate the answer | the same model once more with the least thinking, or with twice the room; then none |

Never another attempt after the client has had its first byte, and never more than `most` in all.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from enum import StrEnum

from policies.types import Attempt


class Failure(StrEnum):
    """Why an attempt gave no answer."""

    REJECTED = "rejected"
    FILTERED = "filtered"
    CREDENTIALS = "credentials"
    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    GARBAGE = "garbage"
    MISSING = "missing"
    UNSUPPORTED = "unsupported"
    STARVED = "starved"


FINAL = frozenset({Failure.REJECTED, Failure.FILTERED})
OF_THE_PROVIDER = frozenset({Failure.CREDENTIALS, Failure.UNREACHABLE})
# The provider's own fault, which a breaker counts. A starved answer or an unsupported request says nothing of health.
COUNTED = frozenset(
    {
        Failure.CREDENTIALS,
        Failure.UNREACHABLE,
        Failure.RATE_LIMITED,
        Failure.OVERLOADED,
        Failure.TIMEOUT,
        Failure.GARBAGE,
        Failure.MISSING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One attempt that failed.

    Attributes:
        attempt: what was tried. provider: who runs it. failure: what became of it.
    """

    attempt: Attempt
    provider: str
    failure: Failure


def next_attempt(
    plan: tuple[Attempt, ...],
    providers: tuple[str, ...],
    tried: tuple[Tried, ...],
    *,
    most: int = 3,
    least_allowance: int = 0,
    room: int = 0,
    shut: Container[str] = (),
    streaming: bool = False,
) -> Attempt | None:
    """The attempt to make after those that were tried, or None.

    Args:
        plan: the attempts that the decision allows, in order.
        providers: who runs each of them.
        tried: the attempts made so far, in order; the last one has just failed.
        most: upstream attempts in all, the retry after starvation included.
        least_allowance: the least thinking that the last model can do, and room: the most that it may produce, in
            tokens, for the retry after starvation.
        shut: models that are kept away from, because their breakers are open.
        streaming: whether the client has had its first byte.
    """
    last = tried[-1]
    if streaming or last.failure in FINAL or len(tried) >= most:
        return None
    if last.failure is Failure.STARVED:
        return _unstarved(tried, least_allowance, room)
    gone = {t.provider for t in tried if t.failure in OF_THE_PROVIDER}
    made = {t.attempt.model for t in tried}
    left = [
        (provider in gone, place, attempt)
        for place, (attempt, provider) in enumerate(zip(plan, providers, strict=True))
        if attempt.model not in made and attempt.model not in shut
    ]
    return min(left, default=(False, 0, None), key=lambda found: found[:2])[2]


def _unstarved(tried: tuple[Tried, ...], least_allowance: int, room: int) -> Attempt | None:
    starved = [t for t in tried if t.failure is Failure.STARVED]
    last = starved[-1].attempt
    if len(starved) > 1:
        return None
    if last.allowance > least_allowance:
        # The cap stays: what thinking leaves is the answer's.
        return replace(last, allowance=least_allowance)
    wider = min(room, 2 * last.max_tokens)
    if wider <= last.max_tokens:
        return None
    # Also the prompt's part of the worst case is scaled, which is too much by a little and never too little.
    return replace(last, max_tokens=wider, worst_cost_nano=-(-last.worst_cost_nano * wider // last.max_tokens))
