"""When a second model is asked because the first is slow: alone remembers how long models take, and how many may hedge.

Off unless `hedging.enabled`. The delay is learnt: a quantile of what this process has seen of the model, whole answers
and first frames apart; of a model that is not known yet nothing is hedged. See docs/adr/0044-hedging.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from policies.types import Attempt
from router.recent import Recent

# A quantile of .95 means something from twenty on; a hundred follow a provider's day within minutes of traffic.
LEAST_SEEN, MOST_SEEN = 20, 100
MODELS = 1_000
AT_ONCE = 5.0  # hedges that may come in one burst, before `share` holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The operator's.

    Attributes:
        quantile: of the model's times, after which the second is asked. least_delay_s: not before, in seconds.
        share: hedges per request in the long run; when a provider slows down as a whole, traffic grows by no more.
    """

    quantile: float
    least_delay_s: float
    share: float


class Hedges:
    """One per process."""

    def __init__(self) -> None:
        self._seen: Recent[tuple[str, bool], deque[float]] = Recent(MODELS)
        self._left = AT_ONCE

    def note(self, model: str, seconds: float, *, stream: bool) -> None:
        """A model has answered, or given a stream's first frame, after so long."""
        times = self._seen.get((model, stream))
        if times is None:
            times = deque(maxlen=MOST_SEEN)
        times.append(seconds)
        self._seen.put((model, stream), times)

    def delay_s(self, model: str, terms: Terms, *, stream: bool) -> float | None:
        """Seconds after which this model counts as slow; None where too little is known of it."""
        times = self._seen.get((model, stream))
        if times is None or len(times) < LEAST_SEEN:
            return None
        return max(terms.least_delay_s, sorted(times)[min(len(times) - 1, int(terms.quantile * len(times)))])

    def asked(self, terms: Terms) -> None:
        """One more request: hedges may come again."""
        self._left = min(AT_ONCE, self._left + terms.share)

    def may(self) -> bool:
        """Whether another hedge is within the share."""
        return self._left >= 1

    def made(self) -> None:
        """One was made."""
        self._left -= 1


def second(first: Attempt, plan: Sequence[Attempt], endpoints: Sequence[str], shut: Sequence[str]) -> Attempt | None:
    """The attempt that is asked beside the first: another model of its tier, of another provider if there is one.

    Args:
        first: what is slow. plan: of which it is one. endpoints: who runs each of them. shut: models to keep away from.
    """
    own = endpoints[plan.index(first)]
    fit = [
        (attempt, where)
        for attempt, where in zip(plan, endpoints, strict=True)
        if attempt.tier == first.tier and attempt.model != first.model and attempt.model not in shut
    ]
    return min(fit, default=(None, ""), key=lambda one: one[1] == own)[0]  # the plan's first of several
