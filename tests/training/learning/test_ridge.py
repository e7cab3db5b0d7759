"""The fit from sums is the fit from rows, however the rows were dealt out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.learning.ridge import ROUNDS, Sums, solve


def rows(n: int, d: int, models: int, seed: int = 0):
    draw = np.random.default_rng(seed)
    phi = draw.normal(size=(n, d)).astype(np.float32)
    model, fold = draw.integers(0, models, n), draw.integers(0, 5, n)
    truth = draw.normal(size=(d, models)) * 0.1
    y = 0.5 + (phi * truth[:, model].T).sum(1) + 0.1 * draw.normal(size=n)
    return phi, model, fold, y, draw.uniform(0.2, 1.0, n)


def summed(*part: np.ndarray, models: int, d: int) -> Sums:
    sums = Sums.empty(models, d)
    sums.add_rows(*part)
    return sums


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 59))
def test_sums_of_parts_are_the_sums_of_the_whole(seed: int, cut: int) -> None:
    data = rows(60, 4, 3, seed)
    whole = summed(*data, models=3, d=4)
    parts = summed(*(a[:cut] for a in data), models=3, d=4)
    parts.add(summed(*(a[cut:] for a in data), models=3, d=4))
    assert np.allclose(whole.gram, parts.gram, atol=1e-9)
    assert np.allclose(whole.cross, parts.cross, atol=1e-9)
    assert np.allclose(whole.squares, parts.squares, atol=1e-9)
    assert (whole.count == parts.count).all()


def test_the_solution_is_the_minimum_of_the_stated_objective() -> None:
    phi, model, fold, y, weight = rows(400, 6, 3)
    solution = solve(summed(phi, model, fold, y, weight, models=3, d=6), [(10.0, 30.0)])
    assert (solution.shared, solution.apart) == (10.0, 30.0)
    design = np.zeros((400, 6 + 3 * 7))
    ones = np.concatenate([phi, np.ones((400, 1))], axis=1)
    design[:, :6] = phi
    for m in range(3):
        design[model == m, 6 + 7 * m : 13 + 7 * m] = ones[model == m]
    penalty = np.diag([solution.shared] * 6 + ([solution.apart] * 6 + [1e-6]) * 3)
    b = np.linalg.solve(design.T @ (design * weight[:, None]) + penalty, design.T @ (weight * y))
    own = b[6:].reshape(3, 7).T
    own[:6] += b[:6, None]
    said, exact = ones @ solution.theta, ones @ own
    assert np.abs(said - exact).max() < 2e-3, f"{ROUNDS} rounds are too few"


def test_the_loss_of_left_out_folds_is_the_mean_squared_error_there() -> None:
    phi, model, fold, y, weight = rows(300, 5, 2)
    solution = solve(summed(phi, model, fold, y, weight, models=2, d=5))
    ones = np.concatenate([phi, np.ones((300, 1))], axis=1)
    said = np.stack([ones @ theta for theta in solution.by_fold])[fold, np.arange(300), model]
    assert solution.loss == pytest.approx(float((weight * (y - said) ** 2).sum() / weight.sum()), rel=1e-6)


def test_penalties_count_by_how_well_they_foretell_left_out_folds() -> None:
    phi, model, fold, y, weight = rows(300, 5, 2)
    sums = summed(phi, model, fold, y, weight, models=2, d=5)
    fair, absurd = (1.0, 3.0), (1e6, 1e6)
    alone, both = solve(sums, [fair]), solve(sums, [absurd, fair])
    assert np.allclose(alone.theta, both.theta, atol=1e-6)
    assert both.apart == pytest.approx(3.0)
    twice = solve(sums, [fair, fair, absurd])
    assert np.allclose(twice.theta, alone.theta, atol=1e-6)
    near = solve(sums, [fair, (1.01, 3.03)])
    assert 1.0 < near.shared < 1.01


def test_rows_of_one_model_teach_what_is_hard_for_another() -> None:
    draw = np.random.default_rng(1)
    phi = draw.normal(size=(600, 10)).astype(np.float32)
    hard = phi @ draw.normal(size=10) * 0.2
    model = np.where(np.arange(600) < 580, 0, 1)
    y = 0.5 + hard - 0.2 * model + 0.05 * draw.normal(size=600)
    solution = solve(summed(phi, model, np.arange(600) % 5, y, np.ones(600), models=2, d=10))
    fresh = draw.normal(size=(200, 10))
    said = fresh @ solution.theta[:-1, 1]
    assert np.corrcoef(said, fresh @ solution.theta[:-1, 0])[0, 1] > 0.95


def test_a_model_without_rows_in_a_fold_is_no_obstacle() -> None:
    phi, model, fold, y, weight = rows(100, 3, 2)
    fold = np.where(model == 1, 0, fold)
    assert np.isfinite(solve(summed(phi, model, fold, y, weight, models=2, d=3)).theta).all()
