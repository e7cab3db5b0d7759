"""The numeric parts behave as scikit-learn expects of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from training.estimators import PartScaler, PlattCalibrator, TextInputs


@parametrize_with_checks([PartScaler()])
def test_scikit_learns_own_checks_pass(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


def test_scaling_keeps_the_proportions_within_an_embedding() -> None:
    x = np.random.default_rng(0).normal(size=(200, 3)) * np.array([3.0, 1.0, 50.0])
    z = PartScaler(embedded=2).fit_transform(x)
    assert z[:, 0].std() / z[:, 1].std() == pytest.approx(x[:, 0].std() / x[:, 1].std(), rel=0.05)
    assert z[:, 2].std() == pytest.approx(1.0, abs=0.05)


def test_texts_pass_through_a_pipeline_of_scikit_learn() -> None:
    texts = ["add two numbers", "sum of two numbers", "who wrote this play", "author of that novel"] * 5
    truth = np.array([1.0, 1.0, 0.0, 0.0] * 5)
    model = make_pipeline(TextInputs(), PartScaler(embedded=256), Ridge(alpha=10.0)).fit(texts, truth)
    sums, novels = model.predict(["the sum of numbers", "the author of a play"])
    assert sums > 0.6
    assert novels < 0.4


def test_platt_finds_the_slope_and_offset_that_made_the_data() -> None:
    logits = np.linspace(-4, 4, 400)
    target = 1 / (1 + np.exp(-(0.5 * logits - 1.0)))
    calibrator = PlattCalibrator().fit(logits, target)
    assert calibrator.slope_ == pytest.approx(0.5, abs=1e-3)
    assert calibrator.offset_ == pytest.approx(-1.0, abs=1e-3)
    assert calibrator.predict(logits) == pytest.approx(target, abs=1e-3)
