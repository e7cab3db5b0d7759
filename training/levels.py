"""Success by ability: what can be said of a model that has no results in the training data.

1. All files are brought on one scale (`training.tasks.level_targets`) and one network learns success per ability level.
2. A model is placed where the mean success over the questions asked equals its published mean score; where the scale
   ends, or the benchmark at hand is harder or easier on the whole than its wording suggests, a common shift of the
   logits takes up the rest (`match_means`).

The second step uses the questions' texts and one published number per model, never a result of a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classifier.head import rising, sigmoid
from classifier.inputs import Inputs
from training.abilities import abilities
from training.data import Matrix
from training.network import Recipe, Targets, fit_network
from training.tasks import LEVELS, level_targets

Floats = NDArray[np.floating[Any]]
FULL_EVIDENCE = 3.0  # models that speak for a level until more add nothing to its weight


class LevelModel:
    """One network over all training files, queried by published mean score.

    Args:
        inputs: encoder and features.
        seed: of the network. recipe: how to fit it.
    """

    def __init__(self, inputs: Inputs, *, seed: int = 0, recipe: Recipe | None = None) -> None:
        self._inputs = inputs
        self._seed = seed
        self._recipe = recipe or Recipe(members=4, epochs=6)

    def fit(self, train: Matrix) -> Self:
        """Learn from results, file by file."""
        level, evidence = targets_by_source(train)
        n = len(train)
        targets = Targets(
            levels=level,
            level_weights=np.minimum(evidence, FULL_EVIDENCE) / FULL_EVIDENCE,
            kinds=np.zeros((n, 1), np.float32),
            kind_weights=np.zeros(n, np.float32),
            tokens=np.zeros(n, np.float32),
            token_weights=np.zeros(n, np.float32),
            heads=np.zeros((n, 0), np.float32),
            head_weights=np.zeros((n, 0), np.float32),
        )
        x = self._inputs.compute_many(list(train.prompts))
        self._network = fit_network(x, targets, self._recipe, seed=self._seed, groups=self._inputs.sizes)
        return self

    def success(self, prompts: Sequence[str], means: Sequence[float]) -> Floats:
        """(n, m) success of models with these mean scores on these very prompts."""
        outputs = self._network.outputs_many(self._inputs.compute_many(list(prompts)))
        levels = sigmoid(rising(outputs[:, :, : len(LEVELS)])).mean(axis=1)
        return match_means(levels, LEVELS, means)


def targets_by_source(train: Matrix) -> tuple[Floats, Floats]:
    """(n, L) targets and evidence; each file's models are placed on the common scale first."""
    target = np.zeros((len(train), len(LEVELS)), np.float32)
    evidence = np.zeros_like(target)
    for source in np.unique(train.sources.astype(str)):
        rows = np.flatnonzero(train.sources == source)
        part = train.take(rows)
        there = np.isfinite(part.score).any(axis=0)
        names = [name for name, known in zip(part.models, there, strict=True) if known]
        part = part.pick(names)
        target[rows], evidence[rows] = level_targets(part.score, abilities(names, part.means))
    return target, evidence


def match_means(levels: Floats, scale: Sequence[float], means: Sequence[float]) -> Floats:
    """Success of models of given mean scores.

    Args:
        levels: (n, L) success per ability level.
        scale: (L,) the levels.
        means: (m,) mean scores over these n queries.

    Returns:
        (n, m) each column's mean equals `means` (within .01 and 1e-3 of 0 and 1).
    """
    logits = _logit(np.asarray(levels, float))
    curve = np.asarray(levels, float).mean(axis=0)
    wanted = np.clip(np.asarray(means, float), 0.01, 0.99)
    columns = [_shifted(_at(logits, scale, float(np.interp(mean, curve, scale))), mean) for mean in wanted]
    return np.stack(columns, axis=1)


def _at(logits: Floats, scale: Sequence[float], ability: float) -> Floats:
    """(n,) logits interpolated at one ability."""
    weights = np.array([np.interp(ability, scale, row) for row in np.eye(len(scale))])
    return logits @ weights


def _shifted(logits: Floats, mean: float) -> Floats:
    """(n,) probabilities whose mean is `mean`: bisection on a common shift of the logits."""
    low, high = -15.0, 15.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _expit(logits + middle).mean() < mean else (low, middle)
    return _expit(logits + (low + high) / 2)


def _expit(z: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def _logit(p: Floats) -> Floats:
    clipped = np.clip(p, 1e-4, 1 - 1e-4)
    return np.log(clipped / (1 - clipped))
