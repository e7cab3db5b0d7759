"""Weights of a blend, learnt from held-out predictions (stacked generalisation, Wolpert 1992; Breiman 1996).

What all models do to a question (how easy it is) and by how much they differ there are two things to learn: a learner
may know the first and have nothing but noise on the second, and only the second decides between models. So each learner
has one weight for the mean over the models and one for the deviations from it.

The weights are non-negative least squares with a normal prior around equal weights, `TRUST` its deviation: where
held-out results say little, as on pairs of models, the blend stays near the plain mean; where they say much, the best
learner takes over. Of m models there are m - 1 deviations to learn from, so that the prior gives way with their root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.floating[Any]]
TRUST: Final = 0.05  # .03 to .15 do equally well on both files that it was looked at


def common_and_own(predicted: Floats) -> tuple[Floats, Floats]:
    """The mean over the models (n, 1), and the deviations from it (n, m)."""
    common = predicted.mean(axis=1, keepdims=True)
    return common, predicted - common


def stack_weights(predicted: Sequence[Floats], truth: Floats) -> Floats:
    """(2, K) weights of K learners, for the mean and for the deviations.

    Args:
        predicted: K held-out predictions (n, m), centred as the truth is.
        truth: (n, m).
    """
    common, own = zip(*map(common_and_own, predicted), strict=True)
    goal = common_and_own(truth)
    apart = np.sqrt(max(truth.shape[1] - 1, 1))
    return np.stack([_weights(common, goal[0], TRUST), _weights(own, goal[1], TRUST * apart)])


def blended(predicted: Sequence[Floats], weights: Floats) -> Floats:
    """(n, m) what K learners say together."""
    parts = zip(*map(common_and_own, predicted), strict=True)
    sums = [sum(w * p for w, p in zip(row, part, strict=True)) for row, part in zip(weights, parts, strict=True)]
    return np.asarray(sums[0] + sums[1])


def _weights(predicted: Sequence[Floats], truth: Floats, trust: float) -> Floats:
    design, goal = np.stack([part.ravel() for part in predicted], axis=1), truth.ravel()
    count = design.shape[1]
    noise = max(float(((goal - design.mean(axis=1)) ** 2).mean()), 1e-9)
    pull = np.sqrt(noise) / trust
    found, _ = nnls(
        np.concatenate((design, pull * np.eye(count))), np.concatenate((goal, np.full(count, pull / count)))
    )
    return found
