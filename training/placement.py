"""Models that have no results: success and gain from one latent ease and their published mean scores.

With results of other benchmarks only, differences between predicted curves of single models are noise: one latent ease
per question ranked success and gain better in every leave-one-file-out test. So a placed model's success is
`sigmoid(SPREAD * ease + shift)`, the shift chosen so that the mean over the questions asked is its published score.

The gain of a stronger model adds to the difference of two such curves how typical a question is of its set: on
questions far easier than the rest both succeed, on far harder ones both fail, and neither is said by curves whose ease
is so uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SPREAD: Final = 0.6  # logits per deviation of ease: what AUROCs of .6 to .65, usual in transfer, are worth
STEEP: Final = 1.0  # the same for the difference of two curves, where only the order counts
TYPICAL: Final = 2.0  # weight of typicality beside that difference; .5 to 3 do equally well on the mean of five files


def placed_success(ease: Floats, means: Sequence[float]) -> Floats:
    """Success (n, m) of models with these mean scores; `ease` (n,) in any unit, higher is easier."""
    z = SPREAD * _standard(ease)
    return np.stack([_shifted(z, mean) for mean in means], axis=1)


def placed_gain(ease: Floats, strong: float, weak: float) -> Floats:
    """What a model of mean score `strong` adds over one of `weak`: (n,) scores whose order counts, not their unit."""
    z = _standard(ease)
    difference = _shifted(STEEP * z, strong) - _shifted(STEEP * z, weak)
    return _standard(difference) - TYPICAL * _standard(np.abs(z))


def _standard(values: Floats) -> Floats:
    return (values - values.mean()) / max(float(values.std()), 1e-9)


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
