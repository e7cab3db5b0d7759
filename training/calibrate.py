"""Calibration on questions that the network has not seen: what makes its numbers mean what they say.

success   Platt's slope and offset on the logits (Platt 1999), against every level's observed scores
error     how much of the squared residual of difficulty is not the coin-flipping of a few answers
tokens    split conformal prediction (Vovk et al. 2005; Lei et al. 2018): the finite-sample quantile of
          log(used) - log(expected), per kind of task (Mondrian), the models' own verbosity taken out
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.head import Network, rising, sigmoid, softmax
from classifier.model import Layout, interpolation
from training.data import Matrix
from training.levels import targets_of

Floats = NDArray[np.floating[Any]]
MIN_KIND: Final = 200  # answers; a kind with fewer takes the quantile of all


def calibrated(layout: Layout, network: Network, x: Floats, held: Matrix) -> Layout:
    """The layout with calibration filled in from held-out questions (n, D) and their results."""
    outputs = network.outputs_many(x)
    targets = targets_of(held)
    levels, kinds = len(layout.abilities), len(layout.kinds)
    logits = rising(outputs[:, :, :levels])
    slope, offset = platt(logits.mean(axis=1), targets.levels, targets.level_weights)
    by_member = sigmoid(slope * logits + offset)
    likely = softmax(outputs[:, :, levels : levels + kinds].mean(axis=1)).argmax(axis=1)
    excess, owner = token_excess(outputs[:, :, levels + kinds].mean(axis=1), held)
    return replace(
        layout,
        slope=slope,
        offset=offset,
        spread_factor=_spread_factor(by_member, targets.levels, targets.level_weights, layout),
        token_margins=_margins(excess, likely[owner], kinds, layout.token_level),
        token_mean_factor=float(np.exp(excess).mean()),
    )


def platt(logits: Floats, target: Floats, weight: Floats) -> tuple[float, float]:
    """Slope and offset that make sigmoid(slope * logit + offset) fit soft targets: Newton's method on (n, L) cells."""
    z, y, w = (np.asarray(a, float).ravel() for a in (logits, target, weight))
    design, theta = np.stack((z, np.ones_like(z)), axis=1), np.array([1.0, 0.0])
    for _ in range(25):
        p = 0.5 * (1 + np.tanh(0.5 * (design @ theta)))
        curvature = design.T @ (design * (w * p * (1 - p))[:, None]) + 1e-6 * np.eye(2)
        theta -= np.linalg.solve(curvature, design.T @ (w * (p - y)))
    return max(float(theta[0]), 0.05), float(theta[1])


def token_excess(log_expected: Floats, held: Matrix) -> tuple[Floats, NDArray[np.intp]]:
    """log(used) - log(expected) of every answer (a,), its model's verbosity taken out; and its question (a,)."""
    logs = np.log(np.maximum(held.tokens, 1.0))
    known = np.isfinite(logs)
    filled = np.where(known, logs, 0.0)
    question = filled.sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    verbosity = np.where(known, logs - question, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    owner, _ = np.nonzero(known)
    return (logs - verbosity - log_expected[:, None])[known], owner


def conformal_quantile(values: Floats, level: float) -> float:
    """The ceil((n + 1) * level)-th smallest value: a fresh one stays below it with probability `level` or more."""
    rank = min(int(np.ceil((len(values) + 1) * level)), len(values))
    return float(np.sort(values)[rank - 1])


def _margins(excess: Floats, kind: NDArray[np.intp], kinds: int, level: float) -> tuple[float, ...]:
    everything = conformal_quantile(excess, level)
    own = [excess[kind == k] for k in range(kinds)]
    return tuple(conformal_quantile(part, level) if len(part) >= MIN_KIND else everything for part in own)


def _spread_factor(by_member: Floats, target: Floats, weight: Floats, layout: Layout) -> float:
    """By what to multiply the ensemble's spread of difficulty to get its standard error."""
    cheap = interpolation(np.array(layout.abilities), layout.cheap)
    failure, observed = 1.0 - by_member @ cheap, 1.0 - target @ cheap
    evidence = (3.0 * weight) @ cheap
    sure = evidence >= 2.0
    if not sure.any():
        return 1.0
    mean = failure.mean(axis=1)[sure]
    noise = mean * (1 - mean) / evidence[sure]
    wrong = max(float(((observed[sure] - mean) ** 2 - noise).mean()) - layout.spread_floor**2, 1e-4)
    return float(np.sqrt(wrong / max(float(failure.var(axis=1)[sure].mean()), 1e-6)))
