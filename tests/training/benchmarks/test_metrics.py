from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from training.benchmarks import metrics

Floats = NDArray[np.float64]
Round = tuple[Floats, Floats, Floats]
GRID = st.integers(0, 4).map(lambda i: i / 4)


@st.composite
def rounds(draw: st.DrawFn, smallest: int = 2, largest: int = 30) -> Round:
    """Scores with ties, gains with a positive sum, and integer weights."""
    n = draw(st.integers(smallest, largest))
    score = np.array(draw(st.lists(GRID, min_size=n, max_size=n)))
    gain = np.array(draw(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=n, max_size=n)))
    weights = np.array([draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))], float)
    assume((weights @ gain)[0] > 0.2)
    return score, gain, weights


def area(score: Floats, gain: Floats, weights: Floats | None = None) -> float:
    weights = np.ones((1, len(score))) if weights is None else weights
    return float(metrics.apgr(metrics.gap_curve(metrics.ranking(score), gain, weights))[0])


@given(rounds())
def test_a_constant_score_is_exactly_the_random_router(one: Round):
    _, gain, weights = one
    gap = metrics.gap_curve(metrics.ranking(np.zeros(len(gain))), gain, weights)
    assert metrics.apgr(gap)[0] == pytest.approx(0.5)
    assert metrics.cpt(gap, 0.8)[0] == pytest.approx(0.8)


@given(rounds())
def test_no_router_beats_the_oracle_and_none_is_worse_than_its_opposite(one: Round):
    score, gain, weights = one
    assert area(-gain, gain, weights) - 1e-9 <= area(score, gain, weights) <= area(gain, gain, weights) + 1e-9


@given(rounds(largest=5))
def test_ties_count_as_the_mean_over_every_order_of_the_equals(one: Round):
    score, gain, _ = one
    assume(gain.sum() > 0)
    n = len(score)
    orders = [o for o in permutations(range(n)) if all(score[a] >= score[b] for a, b in pairwise(o))]
    strict = [area(-np.argsort(o).astype(float), gain) for o in orders]
    assert area(score, gain) == pytest.approx(np.mean(strict))


@given(rounds())
def test_only_the_order_of_the_scores_counts(one: Round):
    score, gain, weights = one
    assert area(np.exp(3 * score) - 7, gain, weights) == pytest.approx(area(score, gain, weights))


@given(rounds())
def test_a_weight_is_the_same_as_repeating_the_query(one: Round):
    score, gain, weights = one
    repeated = np.repeat(np.arange(len(score)), weights[0].astype(int))
    assert area(score, gain, weights) == pytest.approx(area(score[repeated], gain[repeated]))


@given(rounds(), st.floats(0.01, 0.99))
def test_the_threshold_is_the_first_share_that_recovers_the_target(one: Round, target: float):
    score, gain, weights = one
    gap = metrics.gap_curve(metrics.ranking(score), gain, weights)
    share = metrics.cpt(gap, target)[0]
    fine = np.linspace(0, 1, 2001)
    recovered = np.interp(fine, gap.share[0], gap.pgr[0])
    assert (recovered[fine < share - 1e-3] < target + 1e-9).all()
    assert np.interp(share, gap.share[0], gap.pgr[0]) >= target - 1e-6 or np.any(np.diff(gap.share[0]) == 0)


def test_a_strong_model_that_is_no_better_has_no_gap_to_recover():
    gap = metrics.gap_curve(metrics.ranking(np.array([1.0, 0.0])), np.array([1.0, -1.0]), np.ones((1, 2)))
    assert np.isnan(metrics.apgr(gap)[0])
    assert np.isnan(metrics.cpt(gap, 0.5)[0])


def test_sending_nothing_costs_the_weak_model_and_sending_all_costs_everything():
    ranked = metrics.ranking(np.array([3.0, 2.0, 1.0]))
    base, extra, weights = np.array([1.0, 1.0, 1.0]), np.array([9.0, 0.0, 3.0]), np.ones((3, 3))
    cost = metrics.relative_cost(ranked, base, extra, weights, np.array([0.0, 1 / 3, 1.0]))
    assert cost == pytest.approx([3 / 15, 12 / 15, 1.0])


@given(rounds())
def test_auroc_is_that_of_scikit_learn(one: Round):
    score, gain, weights = one
    label = (gain > 0).astype(float)
    assume(0 < (weights[0] * label).sum() < weights.sum())
    ours = metrics.auroc(metrics.ranking(score), label, weights)[0]
    assert ours == pytest.approx(roc_auc_score(label, score, sample_weight=weights[0]))


@given(rounds())
def test_partial_success_counts_as_part_success_and_part_failure(one: Round):
    score, gain, weights = one
    label = (gain + 1) / 2
    assume(0 < (weights[0] * label).sum() < weights.sum())
    twice = np.concatenate((score, score))
    split = np.concatenate((np.ones_like(label), np.zeros_like(label)))
    parts = np.concatenate((weights * label, weights * (1 - label)), axis=1)
    assert metrics.auroc(metrics.ranking(score), label, weights)[0] == pytest.approx(
        metrics.auroc(metrics.ranking(twice), split, parts)[0]
    )


@given(rounds())
def test_brier_is_that_of_scikit_learn(one: Round):
    score, gain, weights = one
    label = (gain > 0).astype(float)
    ours = metrics.brier(score, label, weights)[0]
    assert ours == pytest.approx(brier_score_loss(label, score, sample_weight=weights[0], labels=[0, 1]))


@given(st.floats(0, 1), st.integers(1, 50))
def test_predicting_the_base_rate_is_calibrated(rate: float, n: int):
    label = np.full(n, rate)
    assert metrics.ece(label, label, np.ones((1, n)))[0] == pytest.approx(0.0)


def test_calibration_error_is_the_distance_between_prediction_and_success_within_bins():
    probability = np.array([0.9, 0.9, 0.1, 0.1])
    label = np.array([1.0, 0.0, 0.0, 0.0])
    assert metrics.ece(probability, label, np.ones((1, 4)))[0] == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)


@given(rounds())
def test_calibration_error_never_exceeds_the_mean_distance_and_is_at_least_that_of_the_means(one: Round):
    score, gain, weights = one
    label = (gain > 0).astype(float)
    share = weights[0] / weights.sum()
    error = metrics.ece(score, label, weights)[0]
    assert abs(share @ (score - label)) - 1e-9 <= error <= share @ np.abs(score - label) + 1e-9


def test_a_figure_that_does_not_exist_takes_no_part_in_a_mean():
    found = metrics.mean_known([np.array([0.5, np.nan, np.nan]), np.array([0.7, 0.3, np.nan])])
    np.testing.assert_allclose(found, [0.6, 0.3, np.nan])


def test_a_model_that_never_fails_leaves_the_auroc_to_the_other():
    ranked, label = metrics.ranking(np.array([0.9, 0.1])), np.array([1.0, 1.0])
    assert np.isnan(metrics.auroc(ranked, label, np.ones((1, 2)))[0])
