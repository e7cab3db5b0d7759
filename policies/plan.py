"""From a chosen rung to calls: the cap on what each attempt may produce, and the fallbacks."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from policies.candidates import room
from policies.choice import Taste
from policies.cost import PER_PRICE, worst_nano
from policies.policy import Policy
from policies.rungs import Rung, answer_reserve
from policies.types import Attempt, Demand, Forecast


def attempt(rung: Rung, demand: Demand, forecast: Forecast, policy: Policy, money: int | None) -> Attempt:
    """The call that a rung stands for. Scarce money shortens the answer cap, never below the reserve."""
    entry = rung.entry
    model = entry.model
    free = room(model, demand)
    max_tokens = min(
        free, rung.allowance + max(policy.answer_cap, policy.answer_cap_factor * forecast.answer_tokens_high)
    )
    if money is not None:
        max_tokens = min(max_tokens, _affordable_tokens(rung, demand, forecast, money))
    return Attempt(
        model=model.id,
        tier=model.tier,
        allowance=rung.allowance,
        max_tokens=max_tokens,
        expected_cost_nano=rung.cost,
        worst_cost_nano=worst_nano(
            entry.prices, input_tokens=demand.input_tokens, max_tokens=max_tokens, choices=demand.choices
        ),
        prices=entry.prices,
    )


def fallbacks(chosen: Rung, rungs: Sequence[Rung], taste: Taste, count: int) -> list[Rung]:
    """The best rung of each other model by utility, those of another provider than the choice's ahead.

    A provider that fails, fails for all its models more often than for one.
    """
    value, weight = taste.value, taste.weight
    best: list[tuple[float, Rung]] = []
    for rung in rungs:  # the rungs of a model stand together
        utility = value * rung.quality - weight * rung.cost
        if not best or best[-1][1].entry is not rung.entry:
            best.append((utility, rung))
        elif utility > best[-1][0]:
            best[-1] = (utility, rung)
    own = chosen.entry.provider
    others = [(r.entry.provider == own, -u, r.entry.model.id, r) for u, r in best if r.entry is not chosen.entry]
    others.sort(key=itemgetter(0, 1, 2))
    return [rung for *_, rung in others[:count]]


def _affordable_tokens(rung: Rung, demand: Demand, forecast: Forecast, money: int) -> int:
    entry = rung.entry
    per_token = demand.choices * entry.price_worst_output
    reserve = rung.allowance + answer_reserve(room(entry.model, demand), forecast)
    if per_token == 0:
        return max(reserve, room(entry.model, demand))
    left = money * PER_PRICE - demand.input_tokens * entry.price_worst_input
    return max(reserve, left // per_token)
