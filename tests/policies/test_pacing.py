from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import CatalogError
from policies.pacing import MAX_LOG_WEIGHT, Pace, Target, begin, step
from policies.profile import EVEN, HOUR, Profile, weekly
from tests.policies.ladders import USD

DAY = 24 * HOUR
MONTH = 30 * DAY
CENT = USD // 100
WARM = math.log(8)  # the price that a window like the one before would have ended with
VALUE = 0.3 * USD


@dataclass
class Replay:
    """What became of one window of made-up calls, each worth buying above some price."""

    spent: list[int]
    gains: float
    prices: list[float]
    best: float
    limit: int

    def at(self, share: float) -> float:
        """Spend after a share of the calls, as a share of the limit."""
        return self.spent[int(share * (len(self.spent) - 1))] / self.limit


def replay(
    *, share: float, calls: int = 3000, warm: float = WARM, profile: Profile = EVEN, drift: bool = False, seed: int = 1
) -> Replay:
    random = Random(seed)  # noqa: S311 - made-up traffic
    target = Target(limit_nano=int(share * calls * CENT), start_s=0.0, end_s=MONTH, profile=profile)
    times = sorted(random.uniform(0, MONTH) for _ in range(calls))
    pace, spent, gains, offers = Pace(log_weight=warm), 0, 0.0, []
    history: list[int] = []
    prices: list[float] = []
    for i, now in enumerate(times):
        shape = (4, 3) if drift and i > calls / 2 else (2, 5)
        gain, cost = random.betavariate(*shape), int(CENT * random.uniform(0.5, 1.5))
        offers.append((gain, cost))
        if gain * VALUE > (1 + pace.price) * cost and spent + cost <= target.limit_nano:
            spent += cost
            gains += gain
        pace = step(pace, spent_nano=spent, target=target, now_s=now)
        history.append(spent)
        prices.append(pace.price)
    return Replay(history, gains, prices, hindsight(offers, target.limit_nano), target.limit_nano)


def hindsight(offers: list[tuple[float, int]], limit: int) -> float:
    """The most that the limit could have bought with all offers known (the linear programme's optimum)."""
    bought = 0.0
    for gain, cost in sorted(offers, key=lambda o: -o[0] / o[1]):
        part = min(1.0, limit / cost)
        bought += part * gain
        limit -= int(part * cost)
    return bought


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_money_lasts_the_window_and_none_is_left_over(share: float, seed: int):
    window = replay(share=share, seed=seed)
    assert 0.98 <= window.at(1.0) <= 1.0
    for part in (0.25, 0.5, 0.75):
        assert window.at(part) == pytest.approx(part, abs=0.06)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_it_buys_nearly_what_hindsight_would(share: float):
    window = replay(share=share)
    assert window.gains >= 0.97 * window.best


def test_a_cold_start_is_made_good_within_the_window():
    window = replay(share=0.25, warm=0.0)
    assert window.at(0.1) < 0.2
    assert 0.98 <= window.at(1.0) <= 1.0
    assert window.gains >= 0.95 * window.best


def test_when_questions_become_worth_more_the_price_rises_and_the_money_still_lasts():
    window = replay(share=0.25, drift=True)
    assert 0.98 <= window.at(1.0) <= 1.0
    assert window.at(0.6) < 0.66
    assert window.prices[-1] > 1.5 * window.prices[len(window.prices) // 2]


def test_spend_follows_a_profile_of_working_hours():
    working = weekly([0.1] * 8 + [1.0] * 10 + [0.1] * 6, [1, 1, 1, 1, 1, 0.2, 0.2])
    target = Target(limit_nano=USD, start_s=4 * DAY, end_s=11 * DAY, profile=working)  # Monday to Monday
    weekend = target.share(9 * DAY, 11 * DAY)
    night = target.share(4 * DAY, 4 * DAY + 8 * HOUR)
    morning = target.share(4 * DAY + 8 * HOUR, 4 * DAY + 16 * HOUR)
    assert weekend == pytest.approx(0.4 / 5.4)
    assert morning == pytest.approx(10 * night)


def test_a_profile_is_read_in_its_own_time_zone():
    noon = [0.0] * 12 + [1.0] + [0.0] * 11
    east = weekly(noon, utc_offset_s=2 * HOUR)
    assert east.weight(10 * HOUR, 11 * HOUR) == pytest.approx(HOUR)
    assert east.weight(12 * HOUR, 13 * HOUR) == pytest.approx(0.0)


@pytest.mark.parametrize(
    "weights",
    [([1.0] * 23, [1.0] * 7), ([1.0] * 24, [1.0] * 6), ([0.0] * 24, [1.0] * 7), ([1.0] * 24, [-1.0] + [1.0] * 6)],
)
def test_a_profile_that_makes_no_sense_is_refused(weights: tuple[list[float], list[float]]):
    with pytest.raises(CatalogError):
        weekly(*weights)


@given(st.floats(0, 2e9), st.floats(0, 5e6), st.floats(0, 5e6))
def test_a_profile_adds_up_over_any_split(start: float, first: float, second: float):
    profile = weekly(list(range(24)), [1, 2, 3, 4, 5, 0, 0], utc_offset_s=-5 * HOUR)
    middle, end = start + first, start + first + second
    whole = profile.weight(start, end)
    assert profile.weight(start, middle) + profile.weight(middle, end) == pytest.approx(whole, rel=1e-6, abs=1e-2)


def test_a_new_window_begins_with_the_price_of_the_last():
    target = Target(limit_nano=USD, start_s=DAY, end_s=2 * DAY)
    assert begin(target) == Pace(at_s=DAY)
    assert begin(target, Pace(log_weight=2.0, spent_nano=5)) == Pace(log_weight=2.0, at_s=DAY)


def test_outside_the_window_and_with_a_clock_that_goes_back_nothing_is_desired():
    target = Target(limit_nano=USD, start_s=DAY, end_s=2 * DAY)
    assert target.share(0, DAY) == 0.0
    pace = Pace(log_weight=1.0, at_s=1.5 * DAY)
    assert step(pace, spent_nano=0, target=target, now_s=DAY) == pace


def test_an_idle_tenant_sees_the_price_fall_to_nothing():
    target = Target(limit_nano=USD, start_s=0, end_s=DAY)
    pace = Pace(log_weight=3.0)
    for hour in range(1, 13):
        pace = step(pace, spent_nano=0, target=target, now_s=hour * HOUR)
    assert pace.price == 0.0


def test_the_price_of_a_budget_that_is_all_but_spent_stands_while_requests_are_refused():
    target = Target(limit_nano=USD, start_s=0, end_s=MONTH)
    pace = Pace(log_weight=5.0, spent_nano=USD - USD // 1000, at_s=MONTH / 3)
    for hour in range(1, 481):
        pace = step(pace, spent_nano=pace.spent_nano, target=target, now_s=MONTH / 3 + hour * HOUR)
    assert pace.log_weight > 4.8
    assert begin(target, pace).log_weight == pace.log_weight


def test_spending_without_any_limit_left_drives_the_price_up_and_rest_leaves_it():
    target = Target(limit_nano=0, start_s=0, end_s=DAY)
    pushed = step(Pace(), spent_nano=5, target=target, now_s=HOUR)
    assert pushed.log_weight == 1.0
    assert step(pushed, spent_nano=5, target=target, now_s=2 * HOUR).log_weight == 1.0


@given(
    st.floats(0, MAX_LOG_WEIGHT),
    st.integers(0, 2 * USD),
    st.integers(0, 2 * USD),
    st.integers(0, USD),
    st.floats(0, 2 * DAY),
    st.floats(0, 2 * DAY),
)
def test_a_step_is_bounded_and_more_spending_never_lowers_the_price(
    log_weight: float, spent: int, more: int, extra: int, before: float, wait: float
):
    target = Target(limit_nano=USD, start_s=0, end_s=DAY)
    pace = Pace(log_weight=log_weight, spent_nano=spent, at_s=before)
    less = step(pace, spent_nano=spent + more, target=target, now_s=before + wait)
    rather = step(pace, spent_nano=spent + more + extra, target=target, now_s=before + wait)
    assert 0 <= less.log_weight <= rather.log_weight <= MAX_LOG_WEIGHT
    assert abs(less.log_weight - log_weight) <= 1.0 + 1e-12
