from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.budgets import Budget, crossed, exhausted_at, purse_of, rolled_over
from policies.pacing import Pace, Target
from policies.profile import HOUR, weekly
from policies.types import Purse
from tests.policies.ladders import USD

DAY = 24 * HOUR
JUNE = Target(limit_nano=30 * USD, start_s=0.0, end_s=30 * DAY)
MONTH = Budget(name="team / month", target=JUNE, spent_nano=10 * USD, held_nano=USD, pace=Pace(log_weight=0.5))
TODAY = Budget(name="key / day", target=Target(limit_nano=2 * USD, start_s=0, end_s=DAY), pace=Pace(log_weight=0.2))


def test_the_tightest_hard_limit_counts_and_the_prices_add_up():
    purse = purse_of([MONTH, TODAY])
    assert purse.remaining_nano == 2 * USD
    assert purse.limit_nano == 2 * USD
    assert purse.pacing_price == pytest.approx(MONTH.pace.price + TODAY.pace.price)


def test_a_soft_limit_slows_down_and_never_refuses():
    soft = replace(TODAY, hard=False, spent_nano=5 * USD)
    assert purse_of([soft]) == Purse(pacing_price=soft.pace.price)
    assert purse_of([MONTH, soft]).remaining_nano == 19 * USD


@pytest.mark.parametrize(
    ("spent_usd", "log_price"), [(5, None), (19.99, None), (20, 0.0), (21, 1.0), (25, 5.0), (30, 10.0), (31, 10.0)]
)
def test_past_the_soft_limit_money_becomes_dearer_until_nothing_is_bought(spent_usd: float, log_price: float | None):
    budget = Budget(name="month", target=JUNE, spent_nano=int((spent_usd - 1) * USD), held_nano=USD, soft=2 / 3)
    purse = purse_of([TODAY, budget])
    assert purse.past_soft == (("month",) if log_price is not None else ())
    at_least = math.expm1(log_price or 0)
    assert purse.pacing_price == pytest.approx(max(TODAY.pace.price, at_least), rel=1e-6)


def test_a_limit_that_is_soft_at_its_end_alone_has_the_highest_price_there():
    end = Budget(name="b", target=JUNE, spent_nano=30 * USD, soft=1.0)
    assert purse_of([end]).pacing_price == pytest.approx(math.expm1(10))
    assert purse_of([replace(end, spent_nano=30 * USD - 1)]) == Purse(
        remaining_nano=1, limit_nano=30 * USD, spent_nano=30 * USD - 1
    )


def test_a_soft_budget_without_a_hard_limit_is_told_too():
    assert purse_of([replace(MONTH, hard=False, soft=0.1)]).past_soft == ("team / month",)


def test_without_a_budget_nothing_limits():
    assert purse_of([]) == Purse()


def test_an_overdrawn_budget_has_nothing_left_rather_than_less():
    assert purse_of([replace(MONTH, spent_nano=40 * USD)]).remaining_nano == 0


def test_what_is_left_rolls_over_in_part_up_to_a_cap_and_debts_do_not():
    assert rolled_over(10 * USD, 4 * USD, share=0.5, cap_nano=5 * USD) == 12 * USD
    assert rolled_over(10 * USD, 40 * USD, share=1.0, cap_nano=5 * USD) == 15 * USD
    assert rolled_over(10 * USD, -USD, share=1.0, cap_nano=5 * USD) == 10 * USD


def test_an_alert_is_told_when_its_threshold_is_passed_and_only_then():
    assert crossed(79, 80, 100, (0.5, 0.8, 1.0)) == (0.8,)
    assert crossed(80, 81, 100, (0.8,)) == ()
    assert crossed(10, 100, 100, (1.0, 0.5)) == (0.5, 1.0)


@given(st.lists(st.integers(0, 50), max_size=20), st.sets(st.sampled_from([0.25, 0.5, 0.8, 1.0])))
def test_over_any_sequence_of_spends_each_passed_threshold_is_told_exactly_once(spends: list[int], marks: set[float]):
    total, told = 0, []
    for spend in spends:
        told += crossed(total, total + spend, 200, tuple(marks))
        total += spend
    assert sorted(told) == sorted(t for t in marks if t * 200 <= total)


def test_the_forecast_names_the_day_of_exhaustion():
    fast = replace(MONTH, spent_nano=15 * USD, held_nano=0)
    assert exhausted_at(fast, 10 * DAY) == pytest.approx(20 * DAY, abs=600)


def test_a_pace_that_lasts_the_window_has_no_day_of_exhaustion():
    assert exhausted_at(replace(MONTH, spent_nano=9 * USD), 10 * DAY) is None
    assert exhausted_at(replace(MONTH, spent_nano=0), 10 * DAY) is None
    assert exhausted_at(MONTH, 0.0) is None


def test_what_is_gone_is_gone_now():
    assert exhausted_at(replace(MONTH, spent_nano=30 * USD), 5 * DAY) == 5 * DAY


def test_a_quiet_night_does_not_promise_a_quiet_day():
    busy = weekly([0.0] * 12 + [1.0] * 12)
    target = Target(limit_nano=24 * USD, start_s=0, end_s=2 * DAY, profile=busy)
    night = Budget(name="b", target=target, spent_nano=18 * USD)
    assert exhausted_at(night, DAY) == pytest.approx(DAY + 16 * HOUR, abs=60)
