"""The pacing price between the store and the decision."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.spending import GRID, SPARE, Batch
from router.money.pacing import lasts_until, paced
from router.store import Budget, Meter, Standing, Window

DAY_S = 86_400.0
LIMIT_NANO = 100 * 10**9
NOTHING = Meter(spent_nano=0, held_nano=0)


def standing(now: float, spent_nano: int, held_nano: int = 0, *, ends: bool = True) -> Standing:
    budget = Budget(
        name="day",
        scope="",
        window=Window.DAY,
        limit_nano=LIMIT_NANO,
        spent_nano=spent_nano,
        held_nano=held_nano,
        starts_at=0.0,
        ends_at=DAY_S if ends else None,
    )
    return Standing(now=now, budgets=(budget,), day=NOTHING, month=NOTHING, total=NOTHING)


def test_without_a_budget_money_has_no_price() -> None:
    free = Standing(now=1.0, budgets=(), day=NOTHING, month=NOTHING, total=NOTHING)
    assert paced(free, b"").purse.pacing_price == 0
    assert paced(free, b"").fresh is None


def test_a_budget_that_never_ends_is_not_paced() -> None:
    result = paced(standing(5.0, LIMIT_NANO // 2, ends=False), b"")
    assert result.purse.pacing_price == 0
    assert result.purse.remaining_nano == LIMIT_NANO // 2


def test_spending_ahead_of_the_window_raises_the_price_and_a_pause_lowers_it() -> None:
    state = paced(standing(0.0, 0), b"").fresh or b""
    rushed = paced(standing(600.0, LIMIT_NANO // 4), state)
    assert rushed.purse.pacing_price > 0
    assert rushed.fresh is not None
    rested = paced(standing(12 * 3600.0, LIMIT_NANO // 4), rushed.fresh)
    assert rested.purse.pacing_price < rushed.purse.pacing_price


def test_a_step_is_stored_at_most_once_a_second() -> None:
    state = paced(standing(0.0, 0), b"").fresh
    assert state is not None
    assert paced(standing(0.5, 10), state).fresh is None
    assert paced(standing(1.5, 10), state).fresh is not None


def test_a_forecast_says_when_the_money_will_be_gone_and_that_it_lasts() -> None:
    def lasts(spent_nano: int, *, ends: bool = True) -> float | None:
        stands = standing(DAY_S / 4, spent_nano, ends=ends)
        return lasts_until(stands.budgets[0], stands.now)

    assert lasts(LIMIT_NANO // 2) == pytest.approx(DAY_S / 2, rel=1e-3)
    assert lasts(LIMIT_NANO // 4) is None
    assert lasts(LIMIT_NANO, ends=False) is None
    assert lasts(LIMIT_NANO) == DAY_S / 4


def test_what_is_held_counts_as_spent() -> None:
    state = paced(standing(0.0, 0), b"").fresh or b""
    held = paced(standing(600.0, 0, LIMIT_NANO // 4), state)
    assert held.purse.pacing_price == paced(standing(600.0, LIMIT_NANO // 4), state).purse.pacing_price
    assert held.purse.remaining_nano == LIMIT_NANO - LIMIT_NANO // 4


def test_requests_are_counted_in_with_a_step_and_come_back_from_the_store() -> None:
    state, asked = paced(standing(0.0, 0), b"").fresh or b"", list[tuple[str, ...]]()
    costs = tuple(float(10**9 - 40_000_000 * k) for k in range(len(GRID)))

    def take(budgets: tuple[str, ...]) -> dict[str, Batch]:
        asked.append(budgets)
        return {"day": Batch(count=100, costs=tuple(100 * cost for cost in costs), expected=50e9)}

    first = paced(standing(DAY_S / 2, LIMIT_NANO // 2), state, take=take)
    assert (asked, first.budgets, set(first.counted)) == ([("day",)], ("day",), {"day"})
    assert first.fresh is not None
    # A hundred more are to come, and have half a dollar each, or 115 (`spending.SPARE`) and a little less.
    again = paced(standing(DAY_S / 2 + 0.5, LIMIT_NANO // 2), first.fresh, take=take)
    assert len(asked) == 1
    assert again.purse.pacing_price == pytest.approx(first.purse.pacing_price, rel=1e-3)
    assert math.log1p(again.purse.pacing_price) == pytest.approx((25 - 50 / (100 + SPARE * 10) / 0.04) / 2, abs=0.01)


def test_a_step_that_was_stored_before_requests_were_counted_is_read() -> None:
    old = b'{"day":[1.5,1000,600.0]}'
    assert paced(standing(600.0, 1000), old).purse.pacing_price == pytest.approx(math.expm1(1.5), rel=0.1)


@given(st.lists(st.tuples(st.floats(0, DAY_S), st.integers(0, 2 * LIMIT_NANO)), max_size=20))
def test_no_history_breaks_the_price(history: list[tuple[float, int]]) -> None:
    state = b""
    for now, spent in history:
        result = paced(standing(now, spent), state)
        state = result.fresh or state
        assert 0 <= result.purse.pacing_price < float("inf")
        assert (result.purse.remaining_nano or 0) >= 0
