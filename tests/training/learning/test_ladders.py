"""Many decisions at once are the decisions that the gateway makes one by one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.choice import Taste, pick
from training.learning.ladders import Ladders

RUNGS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.3, 0.31, 0.5, 0.52, 0.9]), st.integers(0, 6).map(lambda c: c * 1_000_000)),
    min_size=1,
    max_size=5,
    unique=True,
)


def ladders(rungs: list[list[tuple[float, int]]], value: float, weight: float, tolerance: float) -> Ladders:
    n, width = len(rungs), max(map(len, rungs))
    quality, cost = np.full((n, width), -np.inf), np.zeros((n, width))
    for i, some in enumerate(rungs):
        for j, (q, c) in enumerate(some):
            quality[i, j], cost[i, j] = q, c
    return Ladders(
        model=np.zeros((n, width), np.int64),
        allowance=np.zeros((n, width), np.int64),
        quality=quality,
        cost=cost,
        value=np.full(n, value),
        weight=np.full(n, weight),
        tolerance=np.full(n, tolerance),
        taken=np.zeros(n, np.int64),
    )


@settings(max_examples=300)
@given(
    st.lists(RUNGS, min_size=1, max_size=4),
    st.sampled_from([1e6, 1e7, 1e8]),
    st.sampled_from([1.0, 1.5, 7.0]),
    st.sampled_from([0.0, 0.015, 0.25]),
)
def test_the_choice_is_that_of_the_policy(
    rungs: list[list[tuple[float, int]]], value: float, weight: float, tolerance: float
) -> None:
    chosen = ladders(rungs, value, weight, tolerance).choices()
    taste = Taste(value=value, weight=weight, tolerance=tolerance)
    for some, column in zip(rungs, chosen.tolist(), strict=True):
        named = [
            SimpleNamespace(quality=q, cost=c, allowance=0, entry=SimpleNamespace(model=SimpleNamespace(id=f"m{i}")))
            for i, (q, c) in enumerate(some)
        ]
        best = pick(cast("Any", named), taste)
        assert some[column] == (best.quality, best.cost)


def test_money_that_weighs_more_buys_less() -> None:
    some = ladders([[(0.4, 1_000_000), (0.9, 9_000_000)]] * 3, 1e8, 1.0, 0.0)
    costs = [float(some.cost[np.arange(3), some.choices(scale)].sum()) for scale in (0.1, 1.0, 20.0)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]
