from __future__ import annotations

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
