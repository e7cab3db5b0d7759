"""Pricing the ladder for one query: the hot loop of a decision.

Phases: what thinking buys is worked out once per distinct allowance; what the prompt costs once per model; what is left
per rung is a handful of multiplications.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from math import ceil, exp
from typing import NamedTuple

from policies.candidates import rejection, room
from policies.catalog import Entry
from policies.cost import PER_PRICE
from policies.policy import Policy
from policies.quality import blended, curve_for, need_tokens, odds, saturation, success_without_head
from policies.types import Demand, Forecast, Wishes


class Rung(NamedTuple):
    """One priced rung.

    Attributes:
        quality: expected probability of a right answer. cost: expected, nano-dollars.
        worst: the least worst case, nano-dollars: that with the shortest answer cap that `policies.plan`
            would set.
        allowance: thinking tokens granted. entry: the model. tokens: expected tokens produced.
    """

    quality: float
    cost: int
    worst: int
    allowance: int
    entry: Entry
    tokens: int


_HALF = PER_PRICE // 2
_new = tuple.__new__  # half the time of Rung(...), in the one place that makes dozens


def price_rungs(
    entries: Iterable[Entry],
    *,
    demand: Demand,
    forecast: Forecast,
    wishes: Wishes,
    policy: Policy,
    now_s: float | None = None,
) -> tuple[list[Rung], dict[str, str]]:
    """Every rung of `entries` that can carry the request, and per rejected model the reason."""
    thinking: dict[float, Thinking] = {}
    rungs: list[Rung] = []
    rejected: dict[str, str] = {}
    for entry in entries:
        reason = rejection(entry.model, demand, wishes)
        if reason:
            rejected[entry.model.id] = reason
            continue
        before = len(rungs)
        factor = entry.model.reasoning.thinking_factor
        if factor not in thinking:
            thinking[factor] = Thinking(factor, forecast, policy)
        _price_model(rungs, entry.at(demand.input_tokens, now_s), demand, forecast, thinking[factor])
        if len(rungs) == before:
            rejected[entry.model.id] = _no_room(entry, demand, forecast)
    return rungs, rejected


def answer_reserve(demand_room: int, forecast: Forecast) -> int:
    """Tokens that thinking must leave for the answer: its 90 % quantile, or all the room there is."""
    return min(forecast.answer_tokens_high, demand_room)


def success_of(entry: Entry, forecast: Forecast) -> float:
    """Success at the allowance at which it is known: by the model's head, else placed by its ability."""
    known = forecast.success.get(entry.model.id)
    return success_without_head(entry.model.ability, forecast.difficulty) if known is None else known


def latency_s(rung: Rung, demand: Demand) -> float:
    """Expected seconds to the whole answer."""
    model = rung.entry.model
    return demand.slowness.get(model.id, 1.0) * (model.latency_s + rung.tokens / model.tokens_per_s)


class Thinking(dict[int, tuple[int, float]]):
    """Per allowance the expected thinking tokens and the factor on the odds, for one question; filled when asked.

    Attributes:
        enough: the allowance that suffices with the policy's quantile.
    """

    __slots__ = ("_gain", "_need", "enough")

    def __init__(self, factor: float, forecast: Forecast, policy: Policy) -> None:
        super().__init__()
        kinds = forecast.kinds
        curve = blended(kinds, policy.curves) if kinds else curve_for(forecast.kind, policy.curves)
        self._need = factor * need_tokens(forecast.difficulty, curve)
        self._gain = curve.gain
        self.enough = ceil(self._need * policy.thinking_spread)

    def __missing__(self, allowance: int) -> tuple[int, float]:
        share = saturation(allowance, self._need)
        self[allowance] = found = (round(self._need * share), exp(self._gain * share))
        return found


def _price_model(rungs: list[Rung], entry: Entry, demand: Demand, forecast: Forecast, thinking: Thinking) -> None:
    free = room(entry.model, demand)
    reserve = answer_reserve(free, forecast)
    answer = min(forecast.answer_tokens, free)
    base = odds(success_of(entry, forecast)) / thinking[entry.model.ability_allowance][1]
    choices = demand.choices
    fixed = _prompt_cost(entry, demand) + choices * answer * entry.price_output + _HALF
    per_thought = choices * entry.price_reasoning
    worst_per_token = choices * entry.price_worst_output
    # Rounded up, as in `cost.worst_nano`.
    worst_fixed = demand.input_tokens * entry.price_worst_input + reserve * worst_per_token + PER_PRICE - 1
    most = free - reserve
    append = rungs.append
    for allowance in _trimmed(entry, thinking.enough) if entry.takes_tokens else entry.steps:
        if allowance > most:
            break
        thought, factor = thinking[allowance]
        o = base * factor
        cost = (fixed + thought * per_thought) // PER_PRICE
        worst = (worst_fixed + allowance * worst_per_token) // PER_PRICE
        append(_new(Rung, (o / (1.0 + o), cost, worst, allowance, entry, answer + thought)))


def _trimmed(entry: Entry, enough: int) -> tuple[int, ...]:
    """The allowances of a model that takes any number of tokens: those that suffice fall together into one."""
    count = bisect_left(entry.steps, enough)
    if count == len(entry.steps):
        return entry.steps
    return (*entry.steps[:count], max(enough, entry.model.reasoning.min_tokens))


def _prompt_cost(entry: Entry, demand: Demand) -> int:
    """Expected cost of the prompt in nano-dollars times a million; what is likely cached is cheaper."""
    cached = min(demand.cached.get(entry.model.id, 0), demand.input_tokens) if demand.cached else 0
    return (demand.input_tokens - cached) * entry.price_input + cached * entry.price_cached


def _no_room(entry: Entry, demand: Demand, forecast: Forecast) -> str:
    free = room(entry.model, demand)
    left = max(0, free - answer_reserve(free, forecast))
    return (
        f"it always thinks, with {entry.steps[0]:,} tokens at the least, and {left:,} "
        "are left beside the answer; raise the cap on output tokens"
    )
