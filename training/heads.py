"""Heads of their own for models that have results: a blend of the learners of `training.learners`.

Per question the learners predict the scores of all models at once. A pair's gain is the difference of its two heads;
heads fitted to the gain itself ranked worse (trees .622 against .635 of APGR on routellm_mmlu_dev).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from classifier.inputs import Inputs
from training.data import Matrix, folds
from training.learners import Category, Kernel, Learner, Texts, Trees, Words
from training.stacking import blended, stack_weights

Floats = NDArray[np.floating[Any]]
INNER: Final = 3  # folds whose held-out predictions weigh the learners


class Heads:
    """Success of m models that have results.

    The phases of a fit: predict the scores by every learner on three folds in turn, and weigh the learners by that
    (`training.stacking`); fit them on everything.

    Args:
        seed: of the trees and the folds.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed

    def fit(self, train: Matrix, inputs: Inputs) -> Self:
        """Fit all learners to (n, m) scores; missing ones are filled by question and model means."""
        self._embedded = inputs.sizes[0]
        self._mean, y = centred(train.score)
        x = inputs.compute_many(list(train.prompts))
        self._weights = self._weigh(train, x, y)
        self._texts, self._learners = self._fitted(train, x, y)
        return self

    def success(self, prompts: Sequence[str], inputs: Inputs) -> Floats:
        """(n, m) probabilities."""
        view = self._texts.view(prompts, inputs.compute_many(list(prompts)))
        parts = [learner.predict(view) for learner in self._learners]
        return np.clip(blended(parts, self._weights) + self._mean, 0.01, 0.99)

    def _weigh(self, train: Matrix, x: Floats, y: Floats) -> Floats:
        """(2, learners) weights by held-out predictions; equal ones where there are too few questions."""
        if len(np.unique(train.questions)) < INNER:
            return np.full((2, len(self._new(train))), 1.0 / len(self._new(train)))
        fold = folds(train.questions, INNER, seed=self._seed)
        held = [np.zeros_like(y) for _ in self._new(train)]
        for k in range(INNER):
            here, rest = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
            texts, learners = self._fitted(train.take(rest), x[rest], y[rest])
            view = texts.view(train.prompts[here].tolist(), x[here])
            for part, learner in zip(held, learners, strict=True):
                part[here] = learner.predict(view)
        return stack_weights(held, y)

    def _fitted(self, train: Matrix, x: Floats, y: Floats) -> tuple[Texts, list[Learner]]:
        texts = Texts(train.prompts.tolist(), x, self._embedded)
        return texts, [learner.fit(texts.learnt, y) for learner in self._new(train)]

    def _new(self, train: Matrix) -> list[Learner]:
        return [
            Words(),
            Category(train.categories.astype(str)),
            Trees(self._seed),
            Kernel(self._seed, self._embedded),
        ]


def centred(score: Floats) -> tuple[Floats, Floats]:
    """Column means (m,) and deviations from them (n, m); missing ones are the question's own mean deviation, shrunk."""
    known = np.isfinite(score)
    mean = np.where(known, score, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    away = np.where(known, score - mean, 0.0)
    question = away.sum(1) / (known.sum(1) + 1.0)
    return mean, np.where(known, away, question[:, None])
