"""Groupings join what lies together, whatever else is asked of them."""

from __future__ import annotations

import numpy as np

from training.learning.groups import memberships


def heaps(each: int, *, apart: float, seed: int = 0) -> np.ndarray:
    """Two heaps of queries in ten dimensions, in turn."""
    points = np.random.default_rng(seed).normal(size=(2 * each, 10))
    points[::2, 0] += apart
    return points


def grouped(points: np.ndarray, fitted: int) -> np.ndarray:
    """The groups of queries that nothing but their place in space tells."""
    return memberships(points, fitted, points)


def test_queries_of_one_heap_fall_together_more_often_than_those_of_two() -> None:
    member = grouped(heaps(200, apart=12.0), 400)
    together = member @ member.T
    assert together[0, 2::2].mean() > 0.02
    assert together[0, 1::2].max() == 0.0


def test_the_likeness_is_a_share() -> None:
    member = grouped(heaps(100, apart=1.0), 200)
    together = member @ member.T
    assert np.allclose(np.diag(together), 1.0)
    assert together.min() >= 0.0
    assert together.max() <= 1.0 + 1e-9


def test_a_query_that_was_not_grouped_joins_the_nearest_centre() -> None:
    points = heaps(200, apart=12.0)
    member = grouped(points, 300)
    assert (member[300:] @ member[:300].T)[0, 1::2].max() == 0.0
    assert np.allclose((member**2).sum(axis=1), 1.0)


def test_equal_queries_in_any_number_leave_no_group_without_a_centre() -> None:
    member = grouped(np.ones((50, 3)), 50)
    assert np.allclose(member @ member.T, 1.0)


def test_three_queries_are_one_group() -> None:
    assert np.allclose(grouped(np.eye(3), 3) @ grouped(np.eye(3), 3).T, 1.0)


def test_leaving_a_few_queries_out_leaves_most_of_the_others_together() -> None:
    points = np.random.default_rng(0).normal(size=(400, 10))
    kept = np.random.default_rng(1).permutation(400)[:390]
    whole, less = grouped(points, 400)[kept], grouped(points[kept], 390)
    assert np.corrcoef((whole @ whole.T).ravel(), (less @ less.T).ravel())[0, 1] > 0.9


def test_points_that_are_scaled_begin_the_same_groups() -> None:
    points = np.random.default_rng(0).normal(size=(200, 4))
    member, scaled = memberships(points, 200, points), memberships(points * 1.01, 200, points)
    assert np.array_equal(member, scaled)


def test_a_query_that_is_asked_again_and_again_begins_one_group() -> None:
    points = np.concatenate([np.zeros((300, 3)), np.random.default_rng(0).normal(size=(100, 3)) + 5.0])
    assert grouped(points, 400).shape[1] > 16 * 11
