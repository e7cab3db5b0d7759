from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.budgets import Budget, purse_of
from policies.decide import decide
from policies.pacing import Pace, Target, begin, step
from policies.spending import GRID, LEAST, SPARE, Batch, Curve, Spending, curve_of
from tests.policies.ladders import ask

DAY = 86_400.0
MONTH = 30 * DAY
points = st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 10**9)), min_size=1, max_size=30)


def best(rungs: list[tuple[float, int]], value: float, log_weight: float) -> float:
    weight = math.exp(log_weight)
    return max(value * quality - weight * cost for quality, cost in rungs)


@given(points, st.floats(1.0, 1e12))
def test_the_curve_is_the_cost_of_the_best_choice_at_each_price(rungs: list[tuple[float, int]], value: float):
    curve = curve_of(rungs, value, GRID[3])
    for log_weight, cost in zip(GRID, curve.costs, strict=True):
        told = max(quality for quality, c in rungs if c == cost)
        utility = value * told - math.exp(log_weight) * cost
        assert utility == pytest.approx(best(rungs, value, log_weight), abs=1e-3, rel=1e-9)
    assert curve.now == curve.costs[3]
    assert list(curve.costs) == sorted(curve.costs, reverse=True)


def test_a_decision_tells_its_curve():
    decided = decide(**ask())
    curve = decided.curve
    assert curve.now == pytest.approx(decided.chosen.expected_cost_nano, rel=1.0)
    assert curve.costs[0] > curve.costs[-1]


def linear() -> Curve:
    """A request that costs less by as much at each step of the grid."""
    costs = tuple(2_000.0 - 100.0 * k for k in range(len(GRID)))
    return Curve(costs=costs, now=costs[10])


def batch(count: int) -> Batch:
    made = Batch()
    for _ in range(count):
        made = made.plus(linear())
    return made


def known(count: int = 1_000, *, spent_each: float = 1_000.0, before: float | None = None) -> Spending:
    return Spending(before=before).with_batch(batch(count), round(count * spent_each))


def test_too_few_requests_give_no_price():
    few = Spending().with_batch(batch(int(LEAST) - 1), 1)
    assert few.log_weight(limit_nano=1e9, left_nano=1e9, gone=0.5, rest=0.5) is None
    assert not few.is_known


@pytest.mark.parametrize(("each", "expected"), [(1_000.0, 5.0), (1_900.0, 0.5), (5_000.0, 0.0), (0.0, 10.0)])
def test_the_price_is_the_one_at_which_the_money_lasts_a_few_requests_longer(each: float, expected: float):
    # A thousand requests in half of the window: a thousand more are to come, or 47 more than that.
    share = (1_000 + SPARE * math.sqrt(1_000)) / 1_000
    price = known().log_weight(limit_nano=2_000 * each, left_nano=1_000 * each * share, gone=0.5, rest=0.5)
    assert price == pytest.approx(expected)
    plenty = known().log_weight(limit_nano=4_000 * each, left_nano=1_000 * each, gone=0.5, rest=0.5)
    assert plenty == pytest.approx(min(10.0, (2_000 - each / share) / 200) if each < 2_000 else 0.0)


def test_what_truly_costs_more_than_expected_makes_money_dear_and_what_costs_less_cheap():
    def price(spent_each: float) -> float:
        found = known(spent_each=spent_each).log_weight(limit_nano=2e6, left_nano=1e6, gone=0.5, rest=0.5)
        assert found is not None
        return found

    assert price(1_500.0) > price(1_000.0) > price(500.0)


def test_a_surplus_is_given_out_late():
    def price(gone: float) -> float:
        count = round(2_000 * gone)
        found = known(count).log_weight(limit_nano=2e6, left_nano=1.2e6, gone=gone, rest=1 - gone)
        assert found is not None
        return found

    assert price(0.5) > price(0.9)


def test_the_window_before_says_how_many_will_come():
    begun = known(2_000).next_window()
    assert (begun.before, begun.arrived) == (2_000, 0.0)
    lasting = 2_000 + SPARE * math.sqrt(2_000)
    assert begun.log_weight(limit_nano=2e6, left_nano=1e3 * lasting, gone=0.0, rest=1.0) == pytest.approx(5.0)
    late = Spending(skipped=0.5).with_batch(batch(1_000), 1).next_window()
    assert late.before == 2_000


def run(windows: int, share: float) -> list[tuple[float, int, list[float]]]:
    """Months of a thousand calls each, of a cheap model and one of ten times its price: spent share, strong, prices."""
    draw, pace, told = random.Random(7), None, []  # noqa: S311 - made-up traffic
    limit = round(1_000 * 10_000 * share)
    for number in range(windows):
        start = number * MONTH
        target = Target(limit_nano=limit, start_s=start, end_s=start + MONTH)
        pace, spent, strong, prices, waiting = begin(target, pace), 0, 0, [], Batch()
        for at in sorted(draw.uniform(start, start + MONTH) for _ in range(1_000)):
            pace = step(pace, spent_nano=spent, target=target, now_s=at, settled_nano=spent, batch=waiting)
            gain, weight = draw.random() * 0.5, math.exp(pace.log_weight)
            curve = curve_of([(0.4, 1_000), (0.4 + gain, 10_000)], 1e6, pace.log_weight)
            waiting = Batch().plus(curve)
            cost = 10_000 if 1e6 * gain > weight * 9_000 and spent + 10_000 <= limit else 1_000
            cost = cost if spent + cost <= limit else 0
            spent, strong = spent + cost, strong + (cost > 1_000)
            prices.append(pace.log_weight)
        told.append((spent / limit, strong, prices))
    return told


@pytest.mark.parametrize("share", [0.15, 0.4, 0.7])
def test_a_month_s_money_is_spent_at_one_price_to_its_end(share: float):
    _, (spent, strong, prices) = run(2, share)
    assert 0.975 <= spent <= 1.0
    assert strong == pytest.approx((share * 10_000 - 1_000) / 9, rel=0.03)
    assert max(prices[:900]) - min(prices[:900]) < 0.75


def test_of_several_solved_prices_the_highest_holds_and_felt_ones_add_up():
    target = Target(limit_nano=10, start_s=0.0, end_s=MONTH)
    solved = [Pace(log_weight=weight, spending=known()) for weight in (1.0, 2.0)]
    felt = [Pace(log_weight=0.5), Pace(log_weight=0.25)]
    budgets = [Budget(name=str(i), target=target, pace=pace) for i, pace in enumerate([*solved, *felt])]
    assert purse_of(budgets).pacing_price == pytest.approx(math.expm1(2.0) + math.expm1(0.5) + math.expm1(0.25))


def test_a_step_without_new_requests_leaves_the_count_and_what_was_settled():
    target = Target(limit_nano=10**9, start_s=0.0, end_s=MONTH)
    first = step(Pace(), spent_nano=50, target=target, now_s=DAY, settled_nano=40, batch=batch(50))
    assert first.spending is not None
    assert (first.spending.arrived, first.spending.long.spent, first.settled_nano) == (50, 40, 40)
    again = step(first, spent_nano=90, target=target, now_s=2 * DAY, settled_nano=80)
    assert (again.spending, again.settled_nano) == (first.spending, 40)
