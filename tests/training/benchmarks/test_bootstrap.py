from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from training.benchmarks.bootstrap import bootstrap, interval, resamples

Floats = NDArray[np.float64]
QUESTIONS = np.array([0, 0, 1, 2, 3, 4, 4, 4])


def means(values: Floats) -> Callable[[Floats], dict[str, Floats]]:
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_queries_of_one_question_are_drawn_together():
    for weights in resamples(QUESTIONS, 120):
        assert (weights[:, 0] == weights[:, 1]).all()
        assert (weights[:, 5] == weights[:, 7]).all()
        assert (weights[:, [0, 2, 3, 4, 5]].sum(axis=1) == 5).all()


def test_as_many_resamples_are_drawn_as_asked_for():
    assert sum(len(weights) for weights in resamples(QUESTIONS, 120)) == 120


def test_equal_seeds_give_equal_and_others_other_intervals():
    values = np.arange(8.0)
    first, again = (bootstrap(means(values), QUESTIONS, count=60, seed=1)["mean"] for _ in range(2))
    other = bootstrap(means(values), QUESTIONS, count=60, seed=2)["mean"]
    assert (first.draws == again.draws).all()
    assert (first.draws != other.draws).any()


def test_the_interval_of_a_mean_is_about_two_standard_errors():
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap(means(values), np.arange(400), count=1000)["mean"]
    assert found.value == pytest.approx(values.mean())
    error = values.std() / 20
    assert found.high - found.value == pytest.approx(1.96 * error, rel=0.15)
    assert found.value - found.low == pytest.approx(1.96 * error, rel=0.15)


def test_differences_are_paired():
    values = np.random.default_rng(0).normal(size=100)
    one, two = (bootstrap(means(v), np.arange(100), count=200)["mean"] for v in (values, values + 0.1))
    lead = two.minus(one)
    assert lead.low == pytest.approx(0.1)
    assert lead.high == pytest.approx(0.1)


def test_without_resamples_there_is_a_figure_and_no_interval():
    found = bootstrap(means(np.arange(8.0)), QUESTIONS, count=0)["mean"]
    assert found.value == 3.5
    assert found.low is None
    assert found.high is None


def test_draws_without_a_figure_are_left_out():
    found = interval(1.0, np.array([np.nan, 1.0, 1.0]))
    assert (found.low, found.high) == (1.0, 1.0)
