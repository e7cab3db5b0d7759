"""Models that have no results: success and gain from one latent ease and their published mean scores.

With results of other benchmarks only, differences between predicted curves of single models are noise: one latent ease
per question ranked success and gain better in every leave-one-file-out test. So a placed model's success is
`sigmoid(SPREAD * ease + shift)`, the shift chosen so that the mean over the questions asked is its published score.

Of two questions of different kinds of task more is known than of two of one kind, since a kind's mean ease averages
what is wrong with single ones: before a gain, `kinds_apart` draws the kinds apart. Success hardly profits by it, and
its calibration suffers.

The gain of a stronger model adds to the difference of two such curves how typical a question is of its set: on
questions far easier than the rest both succeed, on far harder ones both fail, and neither is said by curves whose ease
is so uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

Floats = NDArray[np.floating[Any]]

SPREAD: Final = 0.6  # logits per deviation of ease: what AUROCs of .6 to .65, usual in transfer, are worth
STEEP: Final = 1.5  # the same for the difference of two curves, where only the order counts
# Weight of typicality beside that difference; docs/adr/0018-kinds-are-drawn-apart.md tells what 0 and 2 do.
TYPICAL: Final = 0.5
APART: Final = 3.0  # times as far as the network has them; 2 to 4 do equally well
FEW: Final = 1.0  # questions of mean ease that a kind starts with


def kinds_apart(ease: Floats, shares: Floats) -> Floats:
    """The ease (n,), standardised, with the kinds of task APART times as far from each other.

    Args:
        ease: (n,) in any unit, higher is easier.
        shares: (n, K) probabilities of the kinds.
    """
    z = _standard(ease)
    means = shares.T @ z / (shares.sum(axis=0) + FEW)
    return z + (APART - 1.0) * (shares @ means)


def placed_success(ease: Floats, means: Sequence[float]) -> Floats:
    """Success (n, m) of models with these mean scores; `ease` (n,) in any unit, higher is easier."""
    z = SPREAD * _standard(ease)
    return np.stack([_shifted(z, mean) for mean in means], axis=1)


def placed_gain(ease: Floats, strong: float, weak: float) -> Floats:
    """What a model of mean score `strong` adds over one of `weak`: (n,) scores whose order counts, not their unit."""
    z = _normal(ease)
    difference = _shifted(STEEP * z, strong) - _shifted(STEEP * z, weak)
    return _standard(difference) - TYPICAL * _standard(np.abs(z))


def _standard(values: Floats) -> Floats:
    return (values - values.mean()) / max(float(values.std()), 1e-9)


def _normal(values: Floats) -> Floats:
    """The deviates of a normal distribution that have the same ranks: a long tail of one side weighs no more."""
    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))


def _shifted(logits: Floats, mean: float) -> Floats:
    """Probabilities (n,) whose mean is `mean` (kept within .01 of 0 and 1): bisection on a common shift."""
    wanted = min(max(mean, 0.01), 0.99)
    low, high = -15.0, 15.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _expit(logits + middle).mean() < wanted else (low, middle)
    return _expit(logits + (low + high) / 2)


def _expit(z: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * z))
