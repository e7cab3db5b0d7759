"""Fitting the small networks of `classifier.head`: several tasks at once, labels missing here and there.

Plain numpy on purpose: the nets have some hundred thousand weights, so that a framework would only add
    gigabytes.

The phases of a fit:

1. standardise the inputs on the training rows;
2. per member (each with its own seed and its own bootstrap weights): minimise by Adam with decoupled weight
   decay (Kingma and Ba 2015; Loshchilov and Hutter 2019), the learning rate falling along a half cosine;
3. pack the members side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.head import CLIP, Network, rising, sigmoid, softmax

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What the outputs should be; a weight of 0 leaves a cell out.

    Attributes:
        levels: (n, L) success probability per ability level, 0..1; level_weights: (n, L).
        kinds: (n, K) probability per kind; kind_weights: (n,).
        tokens: (n,) log completion tokens; token_weights: (n,).
        heads: (n, H) success per named model; head_weights: (n, H).
    """

    levels: Floats
    level_weights: Floats
    kinds: Floats
    kind_weights: Floats
    tokens: Floats
    token_weights: Floats
    heads: Floats
    head_weights: Floats

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Outputs per task: levels, kinds, tokens (1), heads."""
        return self.levels.shape[1], self.kinds.shape[1], 1, self.heads.shape[1]

    def take(self, rows: NDArray[np.intp]) -> Targets:
        """The same tasks on these rows."""
        return Targets(
            levels=self.levels[rows],
            level_weights=self.level_weights[rows],
            kinds=self.kinds[rows],
            kind_weights=self.kind_weights[rows],
            tokens=self.tokens[rows],
            token_weights=self.token_weights[rows],
            heads=self.heads[rows],
            head_weights=self.head_weights[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to fit. Chosen by leave-one-file-out on the training files (see docs/classifier.md).

    Attributes:
        members, width: networks in the ensemble, hidden units in each.
        epochs, batch, rate: of Adam. decay: decoupled weight decay per step of size `rate`.
        dropout: share of hidden units left out per step. embedding_noise: deviation added to standardised
            inputs.
        kind_share, token_share, head_share: weight of these tasks beside success.
    """

    members: int = 4
    width: int = 96
    epochs: int = 12
    batch: int = 256
    rate: float = 2e-3
    decay: float = 0.05
    dropout: float = 0.2
    input_noise: float = 0.1
    kind_share: float = 0.3
    token_share: float = 0.2
    head_share: float = 0.5


Progress = Callable[[Iterator[int], int], Iterator[int]]


def fit_network(
    x: Floats,
    targets: Targets,
    recipe: Recipe,
    *,
    seed: int = 0,
    groups: tuple[int, ...] = (),
    progress: Progress | None = None,
) -> Network:
    """Fit the ensemble.

    Args:
        x: (n, D) inputs.
        targets: what the outputs should be.
        recipe: how to fit.
        seed: of everything random.
        groups: sizes of the input's parts, the embedding first: standardising keeps its geometry.
        progress: wraps the loop over members, to show a bar.

    Returns:
        the packed network, in float32; deterministic for equal inputs and seed on one machine.
    """
    shift, gain = _standardiser(x, groups)
    z = np.clip((x - shift) * gain, -CLIP, CLIP).astype(np.float32)
    steps = iter(range(recipe.members))
    seeds = progress(steps, recipe.members) if progress else steps
    return _pack(shift, gain, [_fit_member(z, targets, recipe, seed * 1000 + k) for k in seeds])


def _standardiser(x: Floats, groups: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Mean and 1 / deviation; an embedding (the first group) shares one deviation, to keep its geometry."""
    shift, deviation = x.mean(axis=0), x.std(axis=0)
    if groups:
        deviation[: groups[0]] = np.sqrt((deviation[: groups[0]] ** 2).mean())
    return shift.astype(np.float32), (1.0 / np.maximum(deviation, 1e-3)).astype(np.float32)


def _fit_member(z: Floats, targets: Targets, recipe: Recipe, seed: int) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    weights = _initial(z.shape[1], recipe.width, sum(targets.sizes), targets, random)
    adam = _Adam(weights, recipe)
    total = recipe.epochs * (len(z) // recipe.batch + 1)
    bootstrap = random.exponential(size=len(z)).astype(np.float32)  # the Bayesian bootstrap (Rubin 1981)
    for _ in range(recipe.epochs):
        for rows in np.array_split(random.permutation(len(z)), len(z) // recipe.batch + 1):
            noisy = z[rows] + recipe.input_noise * random.standard_normal((len(rows), z.shape[1]), np.float32)
            kept = (random.random((len(rows), recipe.width), np.float32) >= recipe.dropout) / (1 - recipe.dropout)
            gradient = _gradient(weights, noisy, kept.astype(np.float32), targets.take(rows), bootstrap[rows], recipe)
            adam.step(weights, gradient, total)
    return weights


def _initial(inputs: int, width: int, outputs: int, targets: Targets, random: np.random.Generator) -> dict[str, Floats]:
    hidden = random.standard_normal((inputs, width)) * np.sqrt(2.0 / inputs)
    bias = np.zeros(outputs)
    weight = targets.level_weights
    mean = np.clip((targets.levels * weight).sum(0) / np.maximum(weight.sum(0), 1e-9), 0.02, 0.98)
    bias[0] = np.log(mean[0] / (1 - mean[0]))
    bias[1 : len(mean)] = -1.0  # a step of softplus(-1) = .31 logits from level to level
    known = targets.token_weights
    bias[len(mean) + targets.kinds.shape[1]] = (targets.tokens * known).sum() / max(float(known.sum()), 1e-9)
    return {
        "hidden": hidden.astype(np.float32),
        "hidden_bias": np.zeros(width, np.float32),
        "out": (random.standard_normal((width, outputs)) * 0.3 / np.sqrt(width)).astype(np.float32),
        "skip": np.zeros((inputs, outputs), np.float32),
        "bias": bias.astype(np.float32),
    }


def _gradient(  # noqa: PLR0917 - the pieces of one step
    w: dict[str, Floats], z: Floats, kept: Floats, targets: Targets, bootstrap: Floats, recipe: Recipe
) -> dict[str, Floats]:
    before = z @ w["hidden"] + w["hidden_bias"]
    units = np.maximum(before, 0.0) * kept
    delta = output_delta(units @ w["out"] + z @ w["skip"] + w["bias"], targets, recipe)
    delta *= (bootstrap / len(z))[:, None]
    back = (delta @ w["out"].T) * kept * (before > 0)
    return {
        "hidden": z.T @ back,
        "hidden_bias": back.sum(0),
        "out": units.T @ delta,
        "skip": z.T @ delta,
        "bias": delta.sum(0),
    }


def output_delta(outputs: Floats, t: Targets, recipe: Recipe) -> Floats:
    """Derivative of the loss by the outputs: cross-entropy for success and kinds, Huber for log tokens."""
    levels, kinds, _, heads = t.sizes
    raw = outputs[:, :levels]
    by_level = (sigmoid(rising(raw)) - t.levels) * t.level_weights
    tail = np.cumsum(by_level[:, ::-1], axis=1)[:, ::-1]  # a step moves every level above it
    tail[:, 1:] *= sigmoid(raw[:, 1:])
    kind = (softmax(outputs[:, levels : levels + kinds]) - t.kinds) * t.kind_weights[:, None]
    error = outputs[:, levels + kinds] - t.tokens
    token = np.clip(error, -1.0, 1.0) * t.token_weights
    parts = [tail, recipe.kind_share * kind, recipe.token_share * token[:, None]]
    if heads:
        head = (sigmoid(outputs[:, -heads:]) - t.heads) * t.head_weights
        parts.append(recipe.head_share * head)
    return np.concatenate(parts, axis=1).astype(np.float32)


class _Adam:
    """Adam's moments for one member."""

    def __init__(self, weights: dict[str, Floats], recipe: Recipe) -> None:
        self._first = {name: np.zeros_like(value) for name, value in weights.items()}
        self._second = {name: np.zeros_like(value) for name, value in weights.items()}
        self._recipe = recipe
        self._count = 0

    def step(self, weights: dict[str, Floats], gradient: dict[str, Floats], total: int) -> None:
        """Move the weights in place by one step of `total`."""
        rate = self._recipe.rate * 0.5 * (1 + np.cos(np.pi * self._count / total))
        self._count += 1
        for name, g in gradient.items():
            m, v = self._first[name], self._second[name]
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            ratio = (m / (1 - 0.9**self._count)) / (np.sqrt(v / (1 - 0.999**self._count)) + 1e-8)
            decay = 0.0 if "bias" in name else self._recipe.decay
            weights[name] -= (rate * (ratio + decay * weights[name])).astype(np.float32)


def _pack(shift: Floats, gain: Floats, members: list[dict[str, Floats]]) -> Network:
    return Network(
        shift=shift,
        gain=gain,
        hidden=np.concatenate([m["hidden"] for m in members], axis=1),
        hidden_bias=np.concatenate([m["hidden_bias"] for m in members]),
        out=np.stack([m["out"] for m in members]),
        skip=np.stack([m["skip"] for m in members]).mean(axis=0),
        bias=np.stack([m["bias"] for m in members]),
    )
