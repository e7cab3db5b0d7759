"""Heads on landmarks serve as they were fitted, and what the base says stays as it is."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from classifier import load_default
from classifier.head import sigmoid
from training.learning.basis import KERNEL_SAMPLE, LINEAR, WIDTH, make_basis, without_heads
from training.learning.groups import memberships

MODEL = load_default()
DRAW = np.random.default_rng(0)
WORDS = ("sum", "apple", "garden", "theorem", "integral", "poem", "code", "python", "virus", "tax", "heart")
TEXTS = [" ".join(DRAW.choice(WORDS, 6)) for _ in range(90)]
X = MODEL.inputs.compute_many(TEXTS)
METRIC = DRAW.normal(size=(X.shape[1], 5)).astype(np.float32) * MODEL.network.gain[:, None]


def test_a_head_in_the_network_says_what_phi_times_its_weights_says() -> None:
    basis = make_basis(MODEL.network, X, MODEL.inputs.sizes[0], units=16)
    weights = DRAW.normal(size=(basis.width, 3))
    offsets = np.array([0.1, -0.2, 0.3])
    network = basis.with_heads(weights, offsets)
    logits = network.outputs_many(X).mean(axis=1)[:, -3:]
    assert np.allclose(logits, basis.phi(X) @ weights + offsets, atol=2e-3)


def test_the_base_says_what_it_said() -> None:
    basis = make_basis(MODEL.network, X, MODEL.inputs.sizes[0], units=16)
    network = basis.with_heads(np.zeros((basis.width, 2)), np.zeros(2))
    kept = MODEL.network.out.shape[2]
    assert np.allclose(network.outputs_many(X)[:, :, :kept], MODEL.network.outputs_many(X), atol=1e-4)
    assert np.allclose(sigmoid(network.outputs_many(X)[:, :, kept:].mean(axis=1)), 0.5, atol=1e-4)


def test_heads_of_an_earlier_night_are_left_out() -> None:
    basis = make_basis(MODEL.network, X, MODEL.inputs.sizes[0], units=8)
    outputs = MODEL.network.out.shape[2]
    network = basis.with_heads(DRAW.normal(size=(basis.width, 2)), np.zeros(2))
    assert np.allclose(without_heads(network, outputs).outputs_many(X), MODEL.network.outputs_many(X), atol=1e-4)


def test_heads_that_are_started_from_are_a_part_of_phi_and_give_way_to_the_new_ones() -> None:
    kept, embedded = MODEL.network.out.shape[2], MODEL.inputs.sizes[0]
    first = make_basis(MODEL.network, X, embedded, units=8)
    everyones = first.with_heads(DRAW.normal(size=(first.width, 2)), np.zeros(2))
    basis = make_basis(everyones, X, embedded, units=8, kept=kept)
    assert basis.width == first.width + 2
    same = np.zeros((basis.width, 1))
    same[-1] = 1.0  # the second head, whatever else
    network = basis.with_heads(same, np.zeros(1))
    assert network.out.shape[2] == kept + 1
    own = network.outputs_many(X).mean(axis=1)[:, -1]
    former = everyones.outputs_many(X).mean(axis=1)[:, -1]
    assert np.corrcoef(own, former)[0, 1] > 0.9999
    assert np.allclose(network.outputs_many(X)[:, :, :kept], MODEL.network.outputs_many(X), atol=1e-3)


@pytest.mark.parametrize("metric", [None, METRIC], ids=["without a metric", "with one"])
def test_phi_has_the_inner_products_of_the_kernel(metric: np.ndarray | None) -> None:
    bare = without_heads(MODEL.network, 0)
    basis = make_basis(bare, X, MODEL.inputs.sizes[0], metric=metric)
    phi = basis.phi(X).astype(np.float64)
    z = bare.standardise(X).astype(np.float64)
    z -= z.mean(axis=0)
    embedded = MODEL.inputs.sizes[0]
    parts = [z[:, :embedded], z[:, embedded:]]
    even = np.concatenate([p / np.sqrt((p**2).sum(1).mean()) for p in parts], axis=1)
    seen = even.copy()
    seen[:, :embedded] = parts[0] / np.linalg.norm(parts[0], axis=1, keepdims=True)
    kernel = LINEAR**2 * even @ even.T + bumps(seen) + bumps(seen[:, embedded:])
    if metric is not None:
        by_metric = (z / bare.gain) @ metric
        by_metric /= by_metric.std(axis=0)
        kernel += bumps(by_metric / np.sqrt((by_metric**2).sum(1).mean()))
    member = memberships(seen, KERNEL_SAMPLE, X)
    kernel += member @ member.T
    centring = np.eye(len(X)) - 1.0 / len(X)
    wanted, found = centring @ kernel @ centring, phi @ phi.T
    assert np.corrcoef(wanted.ravel(), found.ravel())[0, 1] > 0.97
    assert found.trace() < wanted.trace() * 1.001


def bumps(points: np.ndarray) -> np.ndarray:
    distance = ((points[:, None] - points) ** 2).sum(axis=2)
    return np.exp(-distance / (2 * WIDTH**2))


def test_a_head_survives_the_half_precision_that_it_is_stored_in() -> None:
    basis = make_basis(MODEL.network, X, MODEL.inputs.sizes[0], metric=METRIC)
    target = np.sin(3 * basis.phi(X)[:, :1])
    phi = basis.phi(X)
    weights = np.linalg.solve(phi.T @ phi + np.eye(basis.width), phi.T @ target)
    network = basis.with_heads(weights, np.zeros(1))
    halved = replace(
        network, **{f.name: getattr(network, f.name).astype(np.float16).astype(np.float32) for f in fields(network)}
    )
    said, stored = (one.outputs_many(X).mean(axis=1)[:, -1] for one in (network, halved))
    assert np.abs(said - stored).max() < 0.02 * np.abs(said).max()


def test_a_small_sample_gives_fewer_landmarks_and_components() -> None:
    basis = make_basis(MODEL.network, X[:30], MODEL.inputs.sizes[0])
    outputs = MODEL.network.out.shape[2]
    assert basis.network.out.shape[1] == MODEL.network.out.shape[1] + 2 * 28 // len(MODEL.network.out)
    assert basis.width <= 30 + outputs
    assert np.allclose(basis.phi(X[:30]).mean(axis=0), 0.0, atol=1e-2)
