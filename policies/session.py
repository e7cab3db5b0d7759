"""Agent sessions: many calls that belong together, with money of their own and escalation after repeated failure.

A session keeps its model for as long as its prompt cache is worth more than the switch: what a provider has likely in
its cache is cheaper there (`Demand.cached`), and that is all that holds a session back. A model that is better by more
is moved to at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from policies.types import Wishes

# The first failure is everyday luck (a cheap model fails on what it was rightly given now and then); a second in a row
# says that the task is harder than it looks.
PATIENCE = 1
# Providers keep a prompt for five minutes after its last use (Anthropic), or five to ten (OpenAI).
CACHE_LIFE_S = 300.0
# Shorter prompts are not cached by any provider that caches by itself.
LEAST_CACHED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Where a session stands.

    Attributes:
        model: the model that answered last, or "".
        cached: per model the prompt tokens that its provider has likely in its cache, and since when (seconds since
            the epoch). uncached: models whose provider was expected to have them and did not.
        asked: a mark of the last user turn, equal for equal turns.
        starved: whether thinking ate the last answer.
        failures: failed steps in a row, as the client or a check reports them.
        budget_nano: its own money, nano-dollars, or None. spent_nano: what it has cost so far, holds included.
    """

    model: str = ""
    cached: Mapping[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    uncached: frozenset[str] = frozenset()
    asked: str = ""
    starved: bool = False
    failures: int = 0
    budget_nano: int | None = None
    spent_nano: int = 0

    @property
    def left_nano(self) -> int | None:
        """What is left of its own money, or None where it has none of its own."""
        return None if self.budget_nano is None else max(0, self.budget_nano - self.spent_nano)

    def cached_at(self, now_s: float) -> dict[str, int]:
        """Per model, the tokens that are likely in its provider's cache still."""
        return {model: tokens for model, (tokens, since) in self.cached.items() if now_s - since < CACHE_LIFE_S}


def wishes_in(session: Session, wishes: Wishes) -> Wishes:
    """Wishes within a session: each further failure moves the dial half its way to 1; its money caps each call."""
    extra = max(0, session.failures - PATIENCE)
    quality = wishes.quality + (1.0 - wishes.quality) * (1.0 - 0.5**extra)
    left = session.left_nano
    if left is None:
        return replace(wishes, quality=quality)
    ceiling = left if wishes.max_cost_nano is None else min(left, wishes.max_cost_nano)
    return replace(wishes, quality=quality, max_cost_nano=ceiling)


def stepped(session: Session, *, asked: str, failed: bool | None) -> Session:
    """At the next request of the session.

    Args:
        session: as it stood.
        asked: the mark of the request's last user turn.
        failed: whether the step before has failed; None where the request says nothing of it, as within a chain of
            calls that neither failed nor ended.
    """
    if session.starved or failed:
        return replace(session, asked=asked, starved=False, failures=session.failures + 1)
    return replace(session, asked=asked, failures=session.failures if failed is None else 0)


def served(
    session: Session, model: str, *, input_tokens: int, cached_read: int | None, starved: bool, now_s: float
) -> Session:
    """After an answer.

    Args:
        session: as the request was decided by it.
        model: who answered.
        input_tokens: of the prompt, which is now in the provider's cache if it has one.
        cached_read: those that it took from there; None where it does not say.
        starved: whether thinking left nothing of the answer, which the next step counts as a failure.
        now_s: seconds since the epoch.
    """
    expected = session.cached_at(now_s).get(model, 0)
    uncached = session.uncached | {model} if expected and cached_read == 0 else session.uncached
    known = {name: entry for name, entry in session.cached.items() if now_s - entry[1] < CACHE_LIFE_S}
    known.pop(model, None)
    if input_tokens >= LEAST_CACHED and model not in uncached:
        known[model] = (input_tokens, now_s)
    return replace(session, model=model, cached=known, uncached=uncached, starved=starved)
