"""The blend trusts whoever was right on held-out questions, and nobody where there are too few."""

from __future__ import annotations

import numpy as np
import pytest

from training.stacking import blended, common_and_own, stack_weights

DRAW = np.random.default_rng(0)
EASE, OWN = DRAW.normal(size=(5_000, 1)), DRAW.normal(size=(5_000, 4))
TRUTH = EASE + OWN - OWN.mean(axis=1, keepdims=True)
KNOWS_EASE = np.repeat(EASE, 4, axis=1) + DRAW.normal(size=(5_000, 4))
KNOWS_OWN = TRUTH - EASE + DRAW.normal(size=(5_000, 1))


def test_a_prediction_is_its_mean_and_the_deviations_from_it() -> None:
    common, own = common_and_own(TRUTH)
    assert common + own == pytest.approx(TRUTH)
    assert own.sum(axis=1) == pytest.approx(np.zeros(len(TRUTH)), abs=1e-9)


def test_ease_and_differences_are_each_taken_from_who_knows_them() -> None:
    weights = stack_weights([KNOWS_EASE, KNOWS_OWN], TRUTH)
    assert weights[0, 0] > 3 * weights[0, 1]
    assert weights[1, 1] > 3 * weights[1, 0]
    together = blended([KNOWS_EASE, KNOWS_OWN], weights)
    for alone in (KNOWS_EASE, KNOWS_OWN):
        assert np.square(together - TRUTH).mean() < np.square(alone - TRUTH).mean()


def test_few_results_leave_the_weights_equal() -> None:
    weights = stack_weights([KNOWS_EASE[:3], KNOWS_OWN[:3]], TRUTH[:3])
    assert weights == pytest.approx(np.full((2, 2), 0.5), abs=0.1)


def test_the_more_models_there_are_the_more_their_differences_say() -> None:
    few, many = (stack_weights([KNOWS_EASE[:60, :m], KNOWS_OWN[:60, :m]], TRUTH[:60, :m])[1] for m in (2, 4))
    assert many[1] - many[0] > few[1] - few[0] > 0


def test_no_learner_counts_against_the_others() -> None:
    weights = stack_weights([TRUTH, -TRUTH], TRUTH)
    assert (weights >= 0).all()
    assert weights[:, 1] == pytest.approx([0.0, 0.0], abs=0.05)
