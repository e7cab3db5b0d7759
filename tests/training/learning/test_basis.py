"""Heads on landmarks serve as they were fitted, and what the base says stays as it is."""

from __future__ import annotations

import numpy as np

from classifier import load_default
from classifier.head import sigmoid
from training.learning.basis import make_basis, without_heads

MODEL = load_default()
DRAW = np.random.default_rng(0)
WORDS = ("sum", "apple", "garden", "theorem", "integral", "poem", "code", "python", "virus", "tax", "heart")
TEXTS = [" ".join(DRAW.choice(WORDS, 6)) for _ in range(90)]
X = MODEL.inputs.compute_many(TEXTS)


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


def test_parts_of_phi_have_equal_length_and_a_small_sample_gives_fewer_landmarks() -> None:
    basis = make_basis(MODEL.network, X[:30], MODEL.inputs.sizes[0])
    assert basis.width == X.shape[1] + 2 * 28 + MODEL.network.out.shape[2]
    phi = basis.phi(X[:30])
    assert np.allclose(phi.mean(axis=0), 0.0, atol=1e-2)
    landmarks = phi[:, X.shape[1] : X.shape[1] + 56]
    assert 1.5 < (landmarks**2).sum(axis=1).mean() < 2.5
