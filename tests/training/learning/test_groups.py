"""Groupings join what lies together, whatever else is asked of them."""

from __future__ import annotations

import numpy as np

from training.learning.groups import memberships


def heaps(each: int, *, apart: float, seed: int = 0) -> np.ndarray:
    """Two heaps of queries in ten dimensions, in turn."""
    points = np.random.default_rng(seed).normal(size=(2 * each, 10))
    points[::2, 0] += apart
    return points


def test_queries_of_one_heap_fall_together_more_often_than_those_of_two() -> None:
    member = memberships(heaps(200, apart=12.0), 400)
    together = member @ member.T
    assert together[0, 2::2].mean() > 0.02
    assert together[0, 1::2].max() == 0.0


def test_the_likeness_is_a_share() -> None:
    member = memberships(heaps(100, apart=1.0), 200)
    together = member @ member.T
    assert np.allclose(np.diag(together), 1.0)
    assert together.min() >= 0.0
    assert together.max() <= 1.0 + 1e-9


def test_a_query_that_was_not_grouped_joins_the_nearest_centre() -> None:
    points = heaps(200, apart=12.0)
    member = memberships(points, 300)
    assert (member[300:] @ member[:300].T)[0, 1::2].max() == 0.0
    assert np.allclose((member**2).sum(axis=1), 1.0)


def test_equal_queries_in_any_number_leave_no_group_without_a_centre() -> None:
    member = memberships(np.ones((50, 3)), 50)
    assert np.allclose(member @ member.T, 1.0)


def test_three_queries_are_one_group() -> None:
    assert np.allclose(memberships(np.eye(3), 3) @ memberships(np.eye(3), 3).T, 1.0)
