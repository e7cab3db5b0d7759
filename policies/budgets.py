"""Several budgets over one request: key within tenant within organisation, day within month; alerts and forecasts.

A request is charged to every budget that covers it. What may be spent is what the tightest *hard* limit leaves; what
a dollar is worth is one plus the *sum* of the budgets' prices, for each budget is a constraint with a multiplier of
its own, that was felt for beside the others'. A price that was solved for (`policies.spending`) makes its budget last
by itself, so of several such the highest holds. A soft limit only has a price: it slows spending down and never
refuses. Past a budget's soft share the price is at least what makes the rest dearer and dearer: nothing at the soft
limit, and at the hard one so dear that nothing is bought.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from policies.pacing import MAX_LOG_WEIGHT, Pace, Target
from policies.types import Purse

# Bisection over a window to this fraction of it: minutes in a month.
_PRECISION = 1e-5


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Budget:
    """One budget as it stands.

    Attributes:
        name: for people, for example `team-a / month`.
        target: its window, money and profile; `target.limit_nano` holds what rolled over.
        spent_nano, held_nano: in this window. pace: where its pacing stands.
        hard: whether it refuses when it is exhausted; a soft one only slows down.
        soft: the share of the limit from which on money becomes dearer, 0..1, or None.
    """

    name: str
    target: Target
    spent_nano: int = 0
    held_nano: int = 0
    pace: Pace = field(default_factory=Pace)
    hard: bool = True
    soft: float | None = None

    @property
    def remaining_nano(self) -> int:
        """What is neither spent nor held; below 0 where a call cost more than its hold or the limit was lowered."""
        return self.target.limit_nano - self.spent_nano - self.held_nano

    @property
    def is_past_soft(self) -> bool:
        """Whether what is spent and held has reached the soft limit."""
        return self.soft is not None and self.remaining_nano <= self._room

    @property
    def soft_price(self) -> float:
        """The least price of money past the soft limit: it grows on the way to the hard one, as the pacing's may."""
        way = 1 - max(0, self.remaining_nano) / self._room if self._room > 0 else 1.0
        return math.expm1(MAX_LOG_WEIGHT * way)

    @property
    def _room(self) -> float:
        """The money between the soft limit and the hard one."""
        return self.target.limit_nano * (1 - (1.0 if self.soft is None else self.soft))


def purse_of(budgets: Iterable[Budget]) -> Purse:
    """What all budgets together leave a request. Without any the tenant is unlimited."""
    budgets = tuple(budgets)
    solved = [b.pace.price for b in budgets if b.pace.is_solved]
    price = max(solved, default=0.0) + sum(b.pace.price for b in budgets if not b.pace.is_solved)
    past = [b for b in budgets if b.is_past_soft]
    price = max(price, *(b.soft_price for b in past)) if past else price
    told = tuple(sorted(b.name for b in past))
    hard = [b for b in budgets if b.hard]
    if not hard:
        return Purse(pacing_price=price, past_soft=told)
    tightest = min(hard, key=lambda b: (b.remaining_nano, b.name))
    return Purse(
        remaining_nano=max(0, tightest.remaining_nano),
        pacing_price=price,
        limit_nano=tightest.target.limit_nano,
        spent_nano=tightest.spent_nano,
        held_nano=tightest.held_nano,
        past_soft=told,
    )


def rolled_over(limit_nano: int, unspent_nano: int, *, share: float, cap_nano: int) -> int:
    """The limit of the next window: its own, plus a share of what the last one left, up to a cap.

    Args:
        limit_nano: the window's own money.
        unspent_nano: limit - spent of the last window; an overshoot (below 0) is not carried over.
        share: how much of it is kept, 0..1.
        cap_nano: the most that is kept.
    """
    return limit_nano + min(cap_nano, int(max(0, unspent_nano) * share))


def crossed(before_nano: int, after_nano: int, limit_nano: int, thresholds: Sequence[float]) -> tuple[float, ...]:
    """The thresholds (shares of the limit) that spending has just passed, rising; each is told once."""
    return tuple(t for t in sorted(thresholds) if before_nano < t * limit_nano <= after_nano)


def exhausted_at(budget: Budget, now_s: float) -> float | None:
    """When the money will be gone if spending goes on as it has, seconds since the epoch; None if it lasts.

    "As it has" is relative to the profile: a quiet night before a busy day does not promise a quiet day.
    """
    target = budget.target
    elapsed = target.share(target.start_s, now_s)
    left = target.limit_nano - budget.spent_nano
    if left <= 0:
        return now_s
    if elapsed <= 0 or budget.spent_nano <= 0:
        return None
    needed = left * elapsed / budget.spent_nano
    if needed >= target.share(now_s, target.end_s):
        return None
    return _when(target, now_s, needed)


def _when(target: Target, now_s: float, needed: float) -> float:
    """The instant at which the share `needed` of the window, counted from now, has passed."""
    low, high = now_s, target.end_s
    while high - low > _PRECISION * (target.end_s - target.start_s):
        middle = (low + high) / 2
        low, high = (middle, high) if target.share(now_s, middle) < needed else (low, middle)
    return high
