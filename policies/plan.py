"""From a chosen rung to calls: the cap on what each attempt may produce, and the fallbacks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from policies.candidates import room
from policies.choice import Taste, pick
from policies.cost import PER_PRICE
from policies.policy import Policy
from policies.rungs import Rung, answer_reserve
from policies.types import Attempt, Demand, Forecast


def attempt(rung: Rung, demand: Demand, forecast: Forecast, policy: Policy, money: int | None) -> Attempt:
    """The call that a rung stands for. Scarce money shortens the answer cap, never below the reserve."""
    entry, allowance = rung.entry, rung.allowance
    free = room(entry.model, demand)
    max_tokens = min(free, allowance + max(policy.answer_cap, policy.answer_cap_factor * forecast.answer_tokens_high))
    # As in `cost.worst_nano`, with what the entry has worked out already.
    per_token = demand.choices * entry.price_worst_output
    prompt = demand.input_tokens * entry.price_worst_input
    worst = -(-(prompt + max_tokens * per_token) // PER_PRICE)
    if money is not None and worst > money and per_token:
        affordable = (money * PER_PRICE - prompt) // per_token
        max_tokens = max(allowance + answer_reserve(free, forecast), affordable)
        worst = -(-(prompt + max_tokens * per_token) // PER_PRICE)
    return Attempt(
        model=entry.model.id,
        tier=entry.model.tier,
        allowance=allowance,
        max_tokens=max_tokens,
        expected_cost_nano=rung.cost,
        worst_cost_nano=worst,
        prices=entry.prices,
    )


def fallbacks(chosen: Rung, rungs: Sequence[Rung], taste: Taste, policy: Policy) -> list[Rung]:
    """The choice within each other model, best utility first, those of another provider than the choice's ahead.

    A provider that fails, fails for all its models more often than for one. Of fallbacks that could not be held within
    `fallback_money` only the first is kept.
    """
    own = chosen.entry.provider
    ladders = groupby(rungs, key=attrgetter("entry"))  # the rungs of a model stand together
    best = [pick(list(ladder), taste) for entry, ladder in ladders if entry is not chosen.entry]
    best.sort(key=lambda rung: (rung.entry.provider == own, -taste.utility(rung), rung.entry.model.id))
    bearable = fallback_money(chosen, policy, None)
    kept = [rung for place, rung in enumerate(best) if place == 0 or rung.worst <= bearable]
    return kept[: policy.max_attempts - 1]


def fallback_money(chosen: Rung, policy: Policy, money: int | None) -> int:
    """What a fallback may hold: the hold covers the dearest attempt, and should not freeze much for what is rare."""
    bearable = max(policy.fallback_hold_nano, policy.fallback_hold_factor * chosen.worst)
    return bearable if money is None else min(bearable, money)
