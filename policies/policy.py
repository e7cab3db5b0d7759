"""The knobs of a decision that belong to the operator rather than to one request: a versioned value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.allowance import spread
from policies.quality import CURVES, Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How quality is weighed against money.

    The value of a right answer is geometric in the dial: value(dial) = cheapest * (best / cheapest) ** dial. People's
    willingness to pay spans orders of magnitude, and a dial should feel even over all of them.

    Attributes:
        version: shown in receipts; change it with the content.
        value_at_0_nano, value_at_1_nano: what a right answer is worth at the dial's ends, nano-dollars.
        tolerance: quality that is given away for a cheaper rung at a dial of 0; it falls to 0 at a dial of 1. In the
            middle it is the size of a difference that the classifier cannot see (its calibration error is .02 to .05).
        answer_cap: tokens of answer always allowed for where the client sets no cap of its own.
        answer_cap_factor: ... and at least so many times the 90 % quantile of the answer's length.
        max_attempts: upstream attempts in a plan, the first included.
        fallback_hold_nano, fallback_hold_factor: a further fallback may hold so much, or so many times the choice's
            worst case, whichever is more.
        thinking_quantile: models that take a number of tokens are granted no more than this quantile of what the
            question is predicted to take, 0..1.
        explore_extra_nano: how much dearer than the choice an exploring request may be expected to be.
        curves: what thinking buys per kind of task.
    """

    version: str = "1"
    value_at_0_nano: int = 1_000_000  # $0.001: the price of a short answer by a small paid model
    # $10: minutes of a specialist's time. The middle, $0.10, is seconds of it.
    value_at_1_nano: int = 10_000_000_000
    tolerance: float = 0.10
    answer_cap: int = 4096
    answer_cap_factor: int = 4
    max_attempts: int = 3
    fallback_hold_nano: int = 20_000_000  # $0.02: never worth leaving a fallback out for
    fallback_hold_factor: int = 10  # neighbouring tiers differ in price by about so much
    thinking_quantile: float = 0.95
    explore_extra_nano: int = 2_000_000  # $0.002: an eye on the neighbours, not on the top of the ladder
    curves: Mapping[str, Curve] = field(default_factory=lambda: CURVES)

    def value_nano(self, dial: float) -> float:
        """What a right answer is worth at a dial of 0..1, nano-dollars."""
        return self.value_at_0_nano * (self.value_at_1_nano / self.value_at_0_nano) ** dial

    @property
    def thinking_spread(self) -> float:
        """How many times the median of thinking tokens suffices with the policy's quantile."""
        return spread(self.thinking_quantile)

    def tolerance_at(self, dial: float) -> float:
        """Quality given away for a cheaper rung at a dial of 0..1."""
        return self.tolerance * (1.0 - dial)


DEFAULT = Policy()
