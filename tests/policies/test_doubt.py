"""How close a decision was: nearest at the tipping point, and indifferent to order, units of money and company."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.catalog import Catalog
from policies.choice import Taste
from policies.decide import decide
from policies.doubt import doubt, log_odds_error
from policies.errors import PolicyError
from policies.rungs import Rung
from policies.second_look import Doubt, Looked, wanted
from policies.types import Demand, Forecast, Purse, Reasoning, Wishes
from tests.policies import ladders as made
from tests.policies.ladders import LADDER, MINI, OPUS, PROOF, ask

ENTRIES = LADDER.entries
USUAL = {"difficulty": 0.5, "uncertainty": 0.1}


def rung(quality: float, cost: int, *, model: int = 0, allowance: int = 0) -> Rung:
    return Rung(quality=quality, cost=cost, worst=cost, allowance=allowance, entry=ENTRIES[model], tokens=100)


tastes = st.builds(Taste, value=st.floats(1, 1e10), weight=st.floats(1, 100), tolerance=st.floats(0, 0.1))
rungs = st.builds(
    rung,
    st.floats(0.01, 0.99),
    st.integers(0, 10**9),
    model=st.integers(0, 2),
    allowance=st.sampled_from([0, 1024, 4096]),
)
ladders = st.lists(rungs, min_size=1, max_size=8)


@given(ladders, rungs, tastes, st.permutations(range(8)))
def test_the_order_of_the_ladder_says_nothing(ladder: list[Rung], chosen: Rung, taste: Taste, order: list[int]) -> None:
    other = [ladder[i] for i in order if i < len(ladder)]
    assert doubt(chosen, ladder, taste, **USUAL) == doubt(chosen, other, taste, **USUAL)


@given(ladders, rungs, tastes, st.integers(2, 1000))
def test_the_unit_of_money_says_nothing(ladder: list[Rung], chosen: Rung, taste: Taste, unit: int) -> None:
    in_cents = [r._replace(cost=r.cost * unit) for r in ladder]
    found = doubt(chosen, ladder, taste, **USUAL)
    scaled = doubt(
        chosen._replace(cost=chosen.cost * unit),
        in_cents,
        Taste(value=taste.value * unit, weight=taste.weight, tolerance=taste.tolerance),
        **USUAL,
    )
    if found is None or scaled is None:
        assert found is scaled
    else:
        assert scaled.distance == pytest.approx(found.distance, rel=1e-6, abs=1e-6)


@given(ladders, rungs, tastes, st.floats(0.01, 0.2), st.floats(1.0, 3.0))
def test_who_knows_less_is_never_surer(
    ladder: list[Rung], chosen: Rung, taste: Taste, error: float, factor: float
) -> None:
    sure = doubt(chosen, ladder, taste, difficulty=0.5, uncertainty=error)
    unsure = doubt(chosen, ladder, taste, difficulty=0.5, uncertainty=error * factor)
    if sure is not None:
        assert unsure is not None
        assert unsure.distance <= sure.distance + 1e-9


@given(ladders, rungs, rungs, tastes)
def test_another_rival_never_makes_a_decision_clearer(
    ladder: list[Rung], chosen: Rung, rival: Rung, taste: Taste
) -> None:
    few, more = doubt(chosen, ladder, taste, **USUAL), doubt(chosen, [*ladder, rival], taste, **USUAL)
    if few is not None:
        assert more is not None
        assert more.distance <= few.distance


def test_alone_on_the_ladder_nothing_is_in_question() -> None:
    only = rung(0.5, 100)
    assert doubt(only, [only], Taste(value=1e8, weight=1, tolerance=0.05), **USUAL) is None


def test_where_a_right_answer_is_worth_nothing_quality_is_in_no_question() -> None:
    taste = Taste(value=0.0, weight=1, tolerance=0.05)
    assert doubt(rung(0.5, 100), [rung(0.9, 100, model=1)], taste, **USUAL) is None


def test_at_the_tipping_point_the_distance_is_nil_and_grows_to_both_sides() -> None:
    taste = Taste(value=1e8, weight=1.0, tolerance=0.0)  # $0.1 a right answer: 10 points make up for $0.01
    cheap = rung(0.5, 0)

    def away(quality: float) -> float:
        found = doubt(cheap, [rung(quality, 10_000_000, model=1)], taste, **USUAL)
        assert found is not None
        return found.distance

    assert away(0.6) == pytest.approx(0.0, abs=1e-9)
    assert away(0.55) > away(0.58) > away(0.6) < away(0.62) < away(0.65)


def test_the_nearest_rival_is_named() -> None:
    taste = Taste(value=1e8, weight=1.0, tolerance=0.0)
    near, far = rung(0.59, 10_000_000, model=1, allowance=1024), rung(0.95, 10_000_000, model=2)
    found = doubt(rung(0.5, 0), [far, near], taste, **USUAL)
    assert found is not None
    assert (found.rival, found.allowance) == (near.entry.model.id, 1024)


def test_the_rungs_of_one_model_share_their_error() -> None:
    taste = Taste(value=1e8, weight=1.0, tolerance=0.0)
    chosen = rung(0.5, 0)
    same = doubt(chosen, [rung(0.7, 10_000_000, allowance=4096)], taste, **USUAL)
    other = doubt(chosen, [rung(0.7, 10_000_000, model=1)], taste, **USUAL)
    assert same is not None
    assert other is not None
    assert same.distance > other.distance


@given(st.floats(0, 1), st.floats(0, 0.5))
def test_the_error_in_log_odds_is_bounded_also_where_the_difficulty_is_0_or_1(
    difficulty: float, uncertainty: float
) -> None:
    assert 0.0 <= log_odds_error(difficulty, uncertainty) <= 2.0


@given(made.catalogs(), made.demands, made.forecasts, made.wishes, made.purses)
def test_every_decision_can_say_how_close_it_was(
    catalog: Catalog, demand: Demand, forecast: Forecast, wishes: Wishes, purse: Purse
) -> None:
    try:
        decision = decide(catalog=catalog, demand=demand, forecast=forecast, wishes=wishes, purse=purse)
    except PolicyError:
        return
    found = decision.doubt
    if found is not None:
        assert found.distance >= 0.0
        rivals = {(c.model, c.allowance) for c in decision.candidates if c.admissible and c.available}
        assert (found.rival, found.allowance) in rivals


def _served_at(success: float) -> tuple[str, Doubt | None]:
    """Who serves, and how close that was, when the mini model is right with this probability."""
    two = Catalog([replace(model, reasoning=Reasoning()) for model in (MINI, OPUS)])
    forecast = Forecast(difficulty=0.5, uncertainty=0.1, success={"gpt-5-mini": success, "claude-opus": 0.9})
    decision = decide(**ask(catalog=two, forecast=forecast, wishes=Wishes(quality=0.5)))
    return decision.chosen.model, decision.doubt


def test_close_decisions_are_those_that_a_small_change_of_the_estimate_turns() -> None:
    low, high = 0.01, 0.9
    first = _served_at(low)[0]
    assert _served_at(high)[0] != first
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _served_at(middle)[0] == first else (low, middle)
    at_the_tip, far = _served_at(high)[1], _served_at(0.2)[1]
    assert at_the_tip is not None
    assert far is not None
    assert at_the_tip.distance < 0.01
    assert far.distance > 1.0


CLOSE = Doubt(distance=0.5, rival="b", allowance=0)
ROOM: dict[str, Any] = {"margin": 1.0, "within_s": 0.04, "expected_s": 0.01, "slack_s": None}


@pytest.mark.parametrize(
    ("found", "changes", "expected"),
    [
        (CLOSE, {}, Looked.TAKEN),
        (None, {}, None),
        (CLOSE, {"margin": 0.5}, None),
        (CLOSE, {"margin": 0.0}, None),
        (CLOSE, {"expected_s": 0.05}, Looked.BUSY),
        (CLOSE, {"slack_s": 0.03}, Looked.DEADLINE),
        (CLOSE, {"slack_s": 0.05}, Looked.TAKEN),
        (CLOSE, {"slack_s": -1.0}, Looked.DEADLINE),
        (CLOSE, {"expected_s": 0.05, "slack_s": 0.03}, Looked.BUSY),
    ],
)
def test_a_second_look_is_for_close_decisions_with_time_and_room(
    found: Doubt | None, changes: dict[str, Any], expected: Looked | None
) -> None:
    assert wanted(found, **(ROOM | changes)) is expected


def test_the_receipt_tells_of_a_second_look() -> None:
    from policies.receipt import menu, receipt
    from policies.second_look import SecondLook

    look = SecondLook(
        result=Looked.LATE, doubt=CLOSE, model="gpt-5-mini", allowance=1024, difficulty=0.61, version="s-1", took_ms=40
    )
    decision = decide(**ask(forecast=replace(PROOF, second_look=look)))
    for told in (receipt(decision), menu(decision)):
        assert told["difficulty"]["second_look"] == {
            "result": "late",
            "distance": 0.5,
            "rival": {"model": "b", "allowance": 0},
            "first_choice": {"model": "gpt-5-mini", "allowance": 1024},
            "first_difficulty": 0.61,
            "version": "s-1",
            "took_ms": 40,
        }
    assert receipt(decide(**ask()))["difficulty"]["second_look"] is None
