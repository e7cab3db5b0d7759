"""A curve for every head, their slopes drawn to a common one."""

from __future__ import annotations

import numpy as np
import pytest

from classifier.head import sigmoid
from training.learning.heads import platt


def test_the_slopes_and_offsets_are_found() -> None:
    draw = np.random.default_rng(0)
    p, model = draw.uniform(0.0, 1.0, 40_000), draw.integers(0, 2, 40_000)
    y = (draw.random(40_000) < sigmoid(6.0 * p + np.array([-3.0, -2.0])[model])).astype(float)
    slopes, offsets = platt(p, y, np.ones(len(p)), model, 2)
    assert slopes == pytest.approx([6.0, 6.0], abs=0.2)
    assert offsets == pytest.approx([-3.0, -2.0], abs=0.12)


def test_with_hardly_a_label_the_curve_is_the_one_nearest_to_p_itself() -> None:
    slopes, offsets = platt(np.array([0.5]), np.array([1.0]), np.array([1e-6]), np.array([0]), 2)
    p = np.linspace(0.1, 0.9, 9)
    for slope, offset in zip(slopes, offsets, strict=True):
        assert sigmoid(slope * p + offset) == pytest.approx(p, abs=0.04)


def test_a_model_with_few_labels_hardly_leaves_the_slope_of_those_with_many() -> None:
    draw = np.random.default_rng(1)
    p, model = draw.uniform(0.0, 1.0, 20_030), np.arange(20_030) >= 20_000
    y = (draw.random(20_030) < np.where(model, 0.5, sigmoid(6.0 * p - 3.0))).astype(float)  # the few are noise
    slopes, _ = platt(p, y, np.ones(len(p)), model.astype(int), 2)
    assert slopes[0] == pytest.approx(6.0, abs=0.25)
    assert slopes[1] == pytest.approx(slopes[0], abs=1.5)  # on its own it would be below 2


def test_two_models_with_many_labels_keep_the_slopes_that_those_tell() -> None:
    draw = np.random.default_rng(2)
    p, model = draw.uniform(0.0, 1.0, 40_000), draw.integers(0, 2, 40_000)
    y = (draw.random(40_000) < sigmoid(np.array([4.0, 6.0])[model] * (p - 0.5))).astype(float)
    slopes, _ = platt(p, y, np.ones(len(p)), model, 2)
    assert slopes == pytest.approx([4.0, 6.0], abs=0.25)
