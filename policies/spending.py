"""What a tenant's requests would cost at each price of money: from it the price at which the rest of a budget lasts.

For each request the choice at a log-weight w (`policies.pacing`) is on the upper hull of its rungs' qualities over
their costs. Kept is the mean cost at each w of a grid, C(w), in a long and in a short memory, and how many requests
come. The price at which the money that is left lasts for the requests that are still to come solves

    C(w) * remaining requests = money left

Re-solving the dual over the empirical distribution of requests at every step has bounded regret where requests keep
their distribution (Jasin and Kumar, "A Re-Solving Heuristic with Bounded Revenue Loss", Mathematics of Operations
Research 37, 2012; Agrawal, Wang and Ye, "A Dynamic Near-Optimal Algorithm for Online Linear Programming", Operations
Research 62, 2014). Where they do not, it is cautious in three ways:

- of what both memories ask for, the higher price holds: easy times do not make money cheap, hard times make it dear;
- a surplus is given out late: the long memory plans with a mean of the window's own pace and the pace of what is left,
  whose weight grows with the `LATE`-th power of the share of the window that is gone. What was saved in an easy first
  half may be what a hard second one needs;
- the rest of the window is planned for `SPARE` standard deviations more requests than are expected (of n, sqrt(n)
  as for a Poisson count), for a budget that is gone too early refuses, and one that is not can still be spent.

Both memories know what requests have truly cost against what was expected of them, and correct for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

# Log-weights from 0 to 10 (`pacing.MAX_LOG_WEIGHT`), in steps that a straight line bridges well.
STEP = 0.5
GRID = tuple(STEP * k for k in range(21))
# Requests that a memory holds: several windows' mix, and what has come lately.
LONG, SHORT = 6000.0, 200.0
# Fewer requests say too little; until then the price moves by feedback alone.
LEAST = 20.0
# A smaller share of a window says nothing of the whole: three hours of a month.
LEAST_SEEN = 0.004
# Of the powers 1, 3, 5 and 100, this one gave the most right answers under drift without leaving money over.
LATE = 5
# Of 0, 1, 1.5 and 2: from 1.5 on, requests are hardly ever refused at the end of a window (.0003 instead of .0023).
SPARE = 1.5
TINY = 1e-300  # keeps the logarithm of a vanishing gain finite
NONE = (0.0,) * len(GRID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests of one budget since they were last counted in.

    Attributes:
        count: how many. costs: their costs at each weight of the grid, summed, nano-dollars.
        expected: their costs at the weights that they were decided with, summed.
    """

    count: float = 0.0
    costs: tuple[float, ...] = NONE
    expected: float = 0.0

    def plus(self, curve: Curve) -> Batch:
        """With one more request."""
        costs = tuple([a + b for a, b in zip(self.costs, curve.costs, strict=True)])
        return Batch(count=self.count + 1, costs=costs, expected=self.expected + curve.now)


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Curve:
    """What one request costs at each weight of the grid, and at the weight that it was decided with, nano-dollars."""

    costs: tuple[float, ...]
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Fading sums over requests. See `Batch`; spent: what they have truly cost."""

    count: float = 0.0
    costs: tuple[float, ...] = NONE
    expected: float = 0.0
    spent: float = 0.0

    @property
    def ratio(self) -> float:
        """How many times the expected cost requests have truly cost; 1 while nothing is known."""
        return self.spent / self.expected if self.expected > 0 and self.spent > 0 else 1.0

    def with_batch(self, batch: Batch, spent: float, length: float) -> Memory:
        """After more requests, in a memory of that length."""
        keep = math.exp(-batch.count / length)
        return Memory(
            count=self.count * keep + batch.count,
            costs=tuple([a * keep + b for a, b in zip(self.costs, batch.costs, strict=True)]),
            expected=self.expected * keep + batch.expected,
            spent=max(0.0, self.spent * keep + spent),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What is known of the requests that a budget pays.

    Attributes:
        arrived: requests in this window. before: in the window before, or None where there was none.
        skipped: the share of this window that had passed before the first was counted.
    """

    arrived: float = 0.0
    before: float | None = None
    skipped: float = 0.0
    long: Memory = Memory()
    short: Memory = Memory()

    def with_batch(self, batch: Batch, spent_nano: int) -> Spending:
        """After more requests; `spent_nano` was settled meanwhile."""
        return replace(
            self,
            arrived=self.arrived + batch.count,
            long=self.long.with_batch(batch, spent_nano, LONG),
            short=self.short.with_batch(batch, spent_nano, SHORT),
        )

    def next_window(self) -> Spending:
        """At the start of a window."""
        return replace(self, arrived=0.0, before=self.arrived / max(1.0 - self.skipped, LEAST_SEEN), skipped=0.0)

    @property
    def is_known(self) -> bool:
        """Whether enough is known for a price."""
        return self.long.count >= LEAST

    def log_weight(self, *, limit_nano: float, left_nano: float, gone: float, rest: float) -> float | None:
        """The log-weight at which the money lasts; None while too little is known.

        Args:
            limit_nano: the money of the window. left_nano: what is neither spent nor held.
            gone, rest: the shares of the window that have passed and that are left, by its profile.
        """
        if not self.is_known:
            return None
        seen = max(gone - self.skipped, 0.0) + (0.0 if self.before is None else 1.0)
        rate = (self.arrived + (self.before or 0.0)) / max(seen, LEAST_SEEN)  # requests in a whole window
        awaited = rate * rest
        each = max(0.0, left_nano) / max(awaited + SPARE * math.sqrt(awaited), 1.0)
        late = gone**LATE
        planned = late * each + (1.0 - late) * limit_nano / max(rate, 1.0)
        return max(_solved(self.long, planned / self.long.ratio), _solved(self.short, each / self.short.ratio))


def curve_of(points: Iterable[tuple[float, float]], value: float, log_weight: float) -> Curve:
    """What a request costs at each weight.

    Args:
        points: quality (0..1) and expected cost (nano-dollars) of each of its rungs, at least one.
        value: what a right answer is worth, nano-dollars. log_weight: that it was decided with.
    """
    hull = _hull(points)
    cost = hull[0][1]
    costs, now = [cost] * len(GRID), cost
    for (q0, c0), (q1, c1) in pairwise(hull):
        worth = math.log(max(value * (q1 - q0) / (c1 - c0), TINY))  # up to this weight it is bought
        place = min(len(GRID), max(0, math.floor(worth / STEP) + 1))
        costs[:place] = [c1] * place
        if log_weight <= worth:
            now = c1
    return Curve(costs=tuple(costs), now=now)


def _hull(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The upper left hull, by rising cost."""
    hull: list[tuple[float, float]] = []
    for quality, cost in sorted(points, key=lambda point: (point[1], -point[0])):
        if hull and quality <= hull[-1][0]:
            continue
        while len(hull) > 1 and _bends_up(hull[-2], hull[-1], (quality, cost)):
            hull.pop()
        hull.append((quality, cost))
    return hull


def _bends_up(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (c[0] - b[0]) * (b[1] - a[1]) >= (b[0] - a[0]) * (c[1] - b[1])


def _solved(memory: Memory, each_nano: float) -> float:
    """The log-weight at which a request costs so much on average."""
    target = each_nano * memory.count
    costs = memory.costs
    if costs[0] <= target:
        return 0.0
    high = next((k for k in range(1, len(GRID)) if costs[k] <= target), None)
    if high is None:
        return GRID[-1]
    over, under = costs[high - 1], costs[high]
    return GRID[high - 1] + STEP * (over - target) / (over - under)
