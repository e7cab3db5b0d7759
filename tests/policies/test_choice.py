from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from policies.choice import Taste, choose, pick
from policies.rungs import Rung
from tests.policies.ladders import LADDER

ENTRY = LADDER.entries[0]


def rung(quality: float, cost: int, worst: int, allowance: int = 0) -> Rung:
    return Rung(quality=quality, cost=cost, worst=worst, allowance=allowance, entry=ENTRY, tokens=1)


def by_worst(which: Rung) -> int:
    return which.worst


rungs = st.lists(
    st.builds(rung, st.floats(0, 1), st.integers(0, 50), st.integers(0, 50), st.integers(0, 5)), min_size=1, max_size=12
)
tastes = st.builds(Taste, value=st.floats(0, 200), weight=st.floats(1, 10), tolerance=st.floats(0, 0.2))
PLAIN = Taste(value=100.0, weight=1.0, tolerance=0.0)


def test_the_best_utility_wins():
    assert pick([rung(0.5, 1, 1), rung(0.9, 30, 30), rung(0.8, 90, 90)], PLAIN).quality == 0.9


def test_within_the_tolerance_the_cheapest_wins():
    tolerant = Taste(value=100.0, weight=1.0, tolerance=0.05)
    assert pick([rung(0.90, 3, 3), rung(0.94, 4, 4), rung(0.96, 5, 5)], tolerant).quality == 0.94


def test_under_a_ceiling_the_next_choice_is_no_dearer_than_the_last():
    free, dearer, cheaper = rung(0.9, 10, 10), rung(0.95, 18, 5), rung(0.5, 1, 1)
    ladder = [free, dearer, cheaper]
    assert choose(ladder, by_worst, inf, PLAIN)[0] is free
    assert choose(ladder, by_worst, 6, PLAIN)[0] is cheaper


def test_where_only_dearer_rungs_fit_the_best_of_them_is_taken():
    free, dearer = rung(0.9, 10, 10), rung(0.95, 18, 5)
    assert choose([free, dearer], by_worst, 6, PLAIN) == (dearer, [dearer])
    assert choose([free, dearer], by_worst, 4, PLAIN) == (None, [])


@given(rungs, tastes, st.floats(0, 60))
def test_the_choice_keeps_the_ceiling_and_is_one_of_those_it_was_made_from(
    ladder: list[Rung], taste: Taste, ceiling: float
):
    best, left = choose(ladder, by_worst, ceiling, taste)
    assert all(r.worst <= ceiling for r in left)
    assert (best is None) == (not left) == all(r.worst > ceiling for r in ladder)
    if best is not None:
        assert best == pick(left, taste)


@given(rungs, tastes, st.floats(0, 60), st.floats(0, 60))
def test_on_the_way_down_cost_and_quality_fall_together(ladder: list[Rung], taste: Taste, one: float, other: float):
    free = pick(ladder, taste)
    low, high = (choose(ladder, by_worst, ceiling, taste)[0] for ceiling in sorted((one, other)))
    if low is None or high is None or max(low.cost, high.cost) > free.cost:
        return
    assert low.worst <= high.worst or low == high
    assert low.cost <= high.cost
    assert low.quality <= high.quality + 1e-9
