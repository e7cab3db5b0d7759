"""The network's gradient is right, and what carries no weight teaches nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from classifier.head import rising, sigmoid, softmax
from training.network import Recipe, Targets, fit_network, output_delta

RECIPE = Recipe(members=2, width=8, epochs=30, batch=64, dropout=0.0, input_noise=0.0)


def targets(n: int, *, levels: int = 3, kinds: int = 2, heads: int = 2, seed: int = 0) -> Targets:
    draw = np.random.default_rng(seed)
    return Targets(
        levels=draw.random((n, levels)),
        level_weights=draw.random((n, levels)),
        kinds=np.eye(kinds)[draw.integers(0, kinds, n)],
        kind_weights=draw.random(n),
        tokens=draw.normal(5, 0.3, n),
        token_weights=draw.random(n),
        heads=draw.random((n, heads)),
        head_weights=draw.random((n, heads)),
    )


def loss(outputs: np.ndarray, t: Targets, recipe: Recipe) -> float:
    """The loss as its definition reads, to differentiate numerically."""
    levels, kinds, _, heads = t.sizes

    def entropy(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
        return float(-(w * (y * np.log(p) + (1 - y) * np.log1p(-p))).sum())

    total = entropy(sigmoid(rising(outputs[:, :levels])), t.levels, t.level_weights)
    shares = softmax(outputs[:, levels : levels + kinds])
    total -= recipe.kind_share * float((t.kind_weights[:, None] * t.kinds * np.log(shares)).sum())
    error = np.abs(outputs[:, levels + kinds] - t.tokens)
    huber = np.where(error <= 1, 0.5 * error**2, error - 0.5)
    total += recipe.token_share * float((huber * t.token_weights).sum())
    return total + recipe.head_share * entropy(sigmoid(outputs[:, -heads:]), t.heads, t.head_weights)


def test_the_gradient_equals_the_numerical_one() -> None:
    t, outputs = targets(4), np.random.default_rng(1).normal(size=(4, 8))
    analytic = output_delta(outputs, t, RECIPE)
    step = 1e-3  # the logistic function works in single precision
    for index in np.ndindex(*outputs.shape):
        up, down = outputs.copy(), outputs.copy()
        up[index] += step
        down[index] -= step
        numeric = (loss(up, t, RECIPE) - loss(down, t, RECIPE)) / (2 * step)
        assert analytic[index] == pytest.approx(numeric, abs=2e-3)


def test_a_fit_finds_a_rule_and_is_deterministic() -> None:
    x = np.random.default_rng(0).normal(size=(600, 5)).astype(np.float32)
    easy = (x[:, 0] * x[:, 1] > 0).astype(float)  # no linear model sees it
    t = replace(targets(600), levels=np.tile(easy[:, None], 3), level_weights=np.ones((600, 3)))
    first, second = (fit_network(x, t, replace(RECIPE, rate=0.02, decay=0.0), seed=5) for _ in range(2))
    success = sigmoid(rising(first.outputs_many(x)[:, :, :3])).mean(axis=(1, 2))
    assert success[easy == 1].mean() > success[easy == 0].mean() + 0.5
    assert (first.hidden == second.hidden).all()


def test_cells_without_weight_teach_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    t = replace(targets(200), level_weights=np.zeros((200, 3)))
    other = replace(t, levels=1.0 - t.levels)
    one, two = (fit_network(x, each, RECIPE, seed=1) for each in (t, other))
    assert (one.hidden == two.hidden).all()


def test_one_input_and_many_give_the_same_outputs() -> None:
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    network = fit_network(x, targets(50), replace(RECIPE, epochs=1))
    assert network.forward(x[7:8])[2][0] == pytest.approx(network.outputs_many(x)[7], abs=1e-4)
