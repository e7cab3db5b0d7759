"""The shadow price of a tenant's money: how it moves with what was spent, so that spend follows the window's target.

The price is the multiplier of the budget in "as many right answers as the money buys". It is learned on line, by dual
descent: whoever spends faster than the target sees the price rise, whoever spends slower sees it fall.

    weight w = 1 + price >= 1,      log w  <-  max(0, log w + clip((spent - desired) / (rate * response), -1, 1))

`spent` is what went since the last step, `desired` what should have gone in that time, and `rate` the desired spend per
second: what is *left* of the money over what is left of the window, weighted by the profile. `response` is the time in
which spending at twice the desired rate multiplies the weight by e.

Sources: dual mirror descent for on-line allocation, whose regret grows as the square root of the horizon (Balseiro,
Lu and Mirrokni, "The Best of Many Worlds: Dual Mirror Descent for Online Allocation Problems", Operations Research
71, 2023); pacing of budgets by such a multiplier (Balseiro and Gur, "Learning in Repeated Auctions with Budgets",
Management Science 65, 2019). The step is multiplicative (entropy as the mirror map), since prices range over orders of
magnitude; and the target is re-planned from what is left at each step, as in re-solving heuristics (Jasin and Kumar, "A
Re-Solving Heuristic with Bounded Revenue Loss", Mathematics of Operations Research 37, 2012), so that an error of the
past is spread over the future instead of being left over at the end.

A shortfall counts against the whole limit at the least. What is left of a budget that is all but spent, too little for
any hold, is small money: while it lies there and requests are refused, the price must not fall, or the next window
would begin as if money were plenty, and be exhausted early again.

That is the price while little is known of a tenant's requests. Once enough of them were seen, the price is solved for
instead of felt for (`policies.spending`).

Otherwise the step is linear in what was spent, so one dear call in a quiet hour moves the price as much as many small
ones of the same sum: the estimate is unbiased however lumpy the traffic. Only its size is bounded, for the sake of
smoothness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from policies.profile import EVEN, Profile
from policies.spending import Batch, Spending

# The response time as a share of the window: a day of a month, 48 minutes of a day. A shorter one follows noise; a
# longer one lets an early rush spend more than 1/30 of the money before the price has risen by a factor of e.
RESPONSE = 1 / 30
# The highest log-weight: above e^10 (22,000 to one) no paid rung is chosen at any dial; more would be slow to fall.
MAX_LOG_WEIGHT = 10.0
# The last part of the window in which the desired rate is held: dividing by a vanishing rest would make it explode.
LEAST_REST = 1 / 200


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Target:
    """What should be spent, and when.

    Attributes:
        limit_nano: the money of the window. start_s, end_s: the window, seconds since the epoch.
        profile: how the money is meant to be spread over the hours of the week.
    """

    limit_nano: int
    start_s: float
    end_s: float
    profile: Profile = field(default=EVEN)

    def share(self, since_s: float, until_s: float) -> float:
        """The share of the window's money meant for a stretch of it, 0..1; times outside the window count nothing."""
        since, until = max(since_s, self.start_s), min(until_s, self.end_s)
        if until <= since:
            return 0.0
        return self.profile.weight(since, until) / self.profile.weight(self.start_s, self.end_s)

    def desired_nano(self, spent_nano: int, since_s: float, until_s: float) -> float:
        """What should be spent in a stretch, given what had been spent at its beginning."""
        rest = max(self.share(since_s, self.end_s), LEAST_REST)
        return max(0, self.limit_nano - spent_nano) * self.share(since_s, until_s) / rest


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Pace:
    """Where the pacing of one budget stands.

    Attributes:
        log_weight: log(1 + price), 0 to `MAX_LOG_WEIGHT`.
        spent_nano: spent in the window when the last step was taken, holds included. at_s: when that was, seconds since
            the epoch. settled_nano: spent without the holds.
        spending: what is known of the requests that are paid, or None.
    """

    log_weight: float = 0.0
    spent_nano: int = 0
    at_s: float = 0.0
    settled_nano: int = 0
    spending: Spending | None = None

    @property
    def is_solved(self) -> bool:
        """Whether the price is solved for the whole of the money; then other budgets' prices are not added to it."""
        return self.spending is not None and self.spending.is_known

    @property
    def price(self) -> float:
        """The shadow price: how much more than its face a dollar is worth, >= 0."""
        return math.expm1(self.log_weight)


def begin(target: Target, before: Pace | None = None) -> Pace:
    """The state at the start of a window. The price of the window before is the best guess for this one."""
    if before is None:
        return Pace(at_s=target.start_s)
    spending = before.spending.next_window() if before.spending else None
    return Pace(log_weight=before.log_weight, at_s=target.start_s, spending=spending)


def step(
    pace: Pace,
    *,
    spent_nano: int,
    target: Target,
    now_s: float,
    settled_nano: int | None = None,
    batch: Batch | None = None,
) -> Pace:
    """Move the price by what has been spent since the last step, or solve for it where enough is known.

    Args:
        pace: the state after the last step.
        spent_nano: spent in the window until now, holds that are sure to settle included.
        target: what should be spent, and when.
        now_s: seconds since the epoch; a clock that went back counts as standing still.
        settled_nano: spent without the holds.
        batch: the requests since the last step that are to be counted in.
    """
    now = max(now_s, pace.at_s)
    settled = pace.settled_nano if settled_nano is None else settled_nano
    spending = pace.spending
    if batch is not None:
        known = spending or Spending(skipped=target.share(target.start_s, pace.at_s))
        spending = known.with_batch(batch, max(0, settled - pace.settled_nano))
    else:
        settled = pace.settled_nano
    solved = None if spending is None else _solved(spending, spent_nano, target, now)
    weight = _moved(pace, spent_nano, target, now) if solved is None else solved
    return Pace(log_weight=weight, spent_nano=spent_nano, at_s=now, settled_nano=settled, spending=spending)


def _solved(spending: Spending, spent_nano: int, target: Target, now_s: float) -> float | None:
    return spending.log_weight(
        limit_nano=target.limit_nano,
        left_nano=target.limit_nano - spent_nano,
        gone=target.share(target.start_s, now_s),
        rest=target.share(now_s, target.end_s),
    )


def _moved(pace: Pace, spent_nano: int, target: Target, now_s: float) -> float:
    desired = target.desired_nano(pace.spent_nano, pace.at_s, now_s)
    surplus = (spent_nano - pace.spent_nano) - desired
    unit = _response_nano(pace, target)
    if surplus < 0:
        unit = max(unit, target.limit_nano * RESPONSE)
    # With no money left to spend per second any spending is infinitely too much, and none is just right.
    move = surplus / unit if unit > 0 else math.copysign(1.0, surplus) if surplus else 0.0
    return min(MAX_LOG_WEIGHT, max(0.0, pace.log_weight + min(1.0, max(-1.0, move))))


def _response_nano(pace: Pace, target: Target) -> float:
    """Money that is meant to be spent within one response time: the scale of a step."""
    left = max(0, target.limit_nano - pace.spent_nano)
    rest = max(target.share(pace.at_s, target.end_s), LEAST_REST)
    return left * min(1.0, RESPONSE / rest)
