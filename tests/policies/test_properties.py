"""What must hold of every decision, whatever the catalogue, the question, the wishes and the money."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isclose
from random import Random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from policies.catalog import Catalog
from policies.cost import expected_nano, worst_nano
from policies.decide import decide
from policies.errors import PolicyError
from policies.quality import curve_for, quality, success_without_head, thinking_tokens
from policies.receipt import menu, receipt
from policies.types import NANO_PER_USD, Decision, Demand, Forecast, Purse, Wishes
from tests.policies.ladders import catalogs, demands, forecasts, purses, wishes

EVERYTHING = {
    "catalog": catalogs(),
    "demand": demands,
    "forecast": forecasts,
    "wishes": wishes,
    "purse": purses,
}
# Floats of nearly equal utilities may be ordered either way; qualities that differ by less are the same.
SAME = 1e-9


def tried(**inputs: Any) -> Decision | None:
    try:
        return decide(**inputs)
    except PolicyError:
        return None


def made(**inputs: Any) -> Decision:
    decision = tried(**inputs)
    assume(decision is not None)
    assert decision is not None
    return decision


@given(**EVERYTHING)
def test_no_candidate_that_is_served_breaks_a_constraint(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse
):
    decision = made(catalog=catalog, demand=demand, forecast=forecast, wishes=wishes, purse=purse)
    assert decision.chosen.rejected == ""
    for attempt in decision.plan:
        model = catalog.get(attempt.model)
        assert model.available
        assert demand.needs <= model.capabilities
        assert model.id not in wishes.deny
        assert wishes.allow is None or model.id in wishes.allow
        assert demand.model in {None, model.id}
        assert attempt.allowance < attempt.max_tokens <= model.max_output
        cap = demand.max_output_tokens or model.max_output
        room = min(cap, model.max_output, model.context_window - demand.input_tokens)
        assert attempt.max_tokens - attempt.allowance >= min(forecast.answer_tokens_high, room)
        assert demand.input_tokens + attempt.max_tokens <= model.context_window
        assert attempt.max_tokens <= (demand.max_output_tokens or attempt.max_tokens)
        assert purse.remaining_nano is None or attempt.worst_cost_nano <= purse.remaining_nano
        assert wishes.max_cost_nano is None or attempt.worst_cost_nano <= wishes.max_cost_nano
        assert attempt.worst_cost_nano <= decision.hold_nano
        if demand.model is None:
            ceiling = min(c for c in (demand.reasoning_ceiling, wishes.max_reasoning_tokens, 1 << 62) if c is not None)
            assert attempt.allowance <= ceiling
    if demand.model is None:
        assert decision.chosen.quality >= (wishes.min_quality or 0)
        assert wishes.max_latency_s is None or decision.chosen.expected_latency_s <= wishes.max_latency_s


@given(**EVERYTHING, more=st.integers(0, 10 * NANO_PER_USD))
def test_more_money_never_lowers_expected_quality(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse, more: int
):
    wishes = replace(wishes, max_cost_nano=None)
    purse = replace(purse, remaining_nano=purse.remaining_nano or NANO_PER_USD)
    poor = made(catalog=catalog, demand=demand, forecast=forecast, wishes=wishes, purse=purse)
    richer = replace(purse, remaining_nano=(purse.remaining_nano or NANO_PER_USD) + more)
    rich = decide(catalog=catalog, demand=demand, forecast=forecast, wishes=wishes, purse=richer)
    free = decide(
        catalog=catalog,
        demand=demand,
        forecast=forecast,
        wishes=wishes,
        purse=replace(purse, remaining_nano=None),
    )
    if poor.chosen.expected_cost_nano > free.chosen.expected_cost_nano:
        return  # nothing but rungs dearer than the free choice fits the purse: see `policies.choice`
    assert rich.chosen.quality >= poor.chosen.quality - SAME


@given(**EVERYTHING, price=st.floats(0, 100))
def test_a_cheaper_dollar_never_lowers_expected_quality(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse, price: float
):
    wishes = replace(wishes, max_cost_nano=None, max_reasoning_tokens=None)
    demand = replace(demand, reasoning_ceiling=None)
    low, high = sorted((price, purse.pacing_price))
    at = [
        made(
            catalog=catalog,
            demand=demand,
            forecast=forecast,
            wishes=wishes,
            purse=Purse(pacing_price=p),
        ).chosen
        for p in (low, high)
    ]
    assert at[0].quality >= at[1].quality - SAME
    assert at[0].expected_cost_nano >= at[1].expected_cost_nano


@given(**EVERYTHING, lower=st.integers(0, 5 * NANO_PER_USD))
def test_a_lower_ceiling_on_cost_never_raises_cost(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse, lower: int
):
    lower, higher = sorted((lower, wishes.max_cost_nano or 5 * NANO_PER_USD))
    tight, wishes = replace(wishes, max_cost_nano=lower), replace(wishes, max_cost_nano=higher)
    inputs = {"catalog": catalog, "demand": demand, "forecast": forecast, "purse": purse}
    low, high = made(**inputs, wishes=tight), decide(**inputs, wishes=wishes)
    assert low.chosen.worst_cost_nano <= high.chosen.worst_cost_nano
    free = decide(**inputs | {"purse": replace(purse, remaining_nano=None)}, wishes=replace(wishes, max_cost_nano=None))
    if low.chosen.expected_cost_nano > free.chosen.expected_cost_nano:
        return  # only rungs dearer than the free choice fit: see `policies.choice`
    assert low.chosen.expected_cost_nano <= high.chosen.expected_cost_nano


@given(**EVERYTHING | {"catalog": catalogs(disable=True)}, lower=st.integers(0, 40_000))
def test_a_lower_ceiling_on_thinking_never_raises_cost(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse, lower: int
):
    wishes = replace(wishes, min_quality=None, max_cost_nano=None)
    higher = demand.reasoning_ceiling
    tight = replace(demand, reasoning_ceiling=lower if higher is None else min(lower, higher))
    inputs = {
        "catalog": catalog,
        "forecast": forecast,
        "wishes": wishes,
        "purse": Purse(pacing_price=purse.pacing_price),
    }
    low, high = made(**inputs, demand=tight), decide(**inputs, demand=demand)
    assert low.chosen.expected_cost_nano <= high.chosen.expected_cost_nano
    assert low.chosen.allowance <= max(high.chosen.allowance, lower)


@given(**EVERYTHING, order=st.randoms(use_true_random=False))
def test_the_order_of_the_models_does_not_matter(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse, order: Random
):
    models = list(catalog.models)
    order.shuffle(models)
    inputs = {"demand": demand, "forecast": forecast, "wishes": wishes, "purse": purse}
    one = made(catalog=catalog, **inputs)
    other = decide(catalog=Catalog(models), **inputs)
    assert replace(other, catalog_version=one.catalog_version) == one


@given(**EVERYTHING)
def test_the_same_inputs_give_the_same_decision_and_receipt(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse
):
    inputs = {"catalog": catalog, "demand": demand, "forecast": forecast, "wishes": wishes, "purse": purse}
    one, two = made(**inputs), made(**inputs)
    assert one == two
    assert json.dumps(receipt(one), allow_nan=False) == json.dumps(receipt(two), allow_nan=False)
    assert json.dumps(menu(one), allow_nan=False) == json.dumps(menu(two), allow_nan=False)


@given(**EVERYTHING)
def test_the_worst_case_of_every_rung_is_what_filling_its_cap_would_cost(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse
):
    decision = made(catalog=catalog, demand=demand, forecast=forecast, wishes=wishes, purse=purse)
    for attempt in decision.plan:
        assert attempt.prices == catalog.get(attempt.model).prices
        assert attempt.prices is not None
        worst = worst_nano(
            attempt.prices,
            input_tokens=demand.input_tokens,
            max_tokens=attempt.max_tokens,
            choices=demand.choices,
        )
        assert attempt.worst_cost_nano == worst
        assert attempt.expected_cost_nano <= worst + 1


@given(**EVERYTHING)
def test_the_quick_loop_agrees_with_the_formulae(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse
):
    decision = made(catalog=catalog, demand=demand, forecast=forecast, wishes=wishes, purse=purse)
    curve = curve_for(forecast.kind)
    for candidate in [c for c in decision.candidates if c.max_tokens]:
        model = catalog.get(candidate.model)
        success = forecast.success.get(model.id, success_without_head(model.ability, forecast.difficulty))
        expected = quality(success, candidate.allowance, difficulty=forecast.difficulty, curve=curve)
        assert isclose(candidate.quality, expected, abs_tol=1e-12)
        thinking = thinking_tokens(candidate.allowance, difficulty=forecast.difficulty, curve=curve)
        room = min(model.max_output, model.context_window - demand.input_tokens, demand.max_output_tokens or 1 << 62)
        assert candidate.expected_cost_nano == expected_nano(
            model.prices,
            input_tokens=demand.input_tokens,
            answer=min(forecast.answer_tokens, room),
            thinking=thinking,
            choices=demand.choices,
        )
