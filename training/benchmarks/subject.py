"""The classifier in the contest: as it ships, or fitted afresh on what the mode allows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from classifier.types import Classifier, Estimate, Query
from training.abilities import abilities
from training.benchmarks.metrics import Floats
from training.benchmarks.routers import Asked, Judgement, from_success
from training.data import Matrix

Fit = Callable[[Matrix], Classifier]


class Shipped:
    """A finished classifier. Of the test file it is told which models there are and how good each is on the whole.

    A model with a head of its own is judged by that, any other by its ability: the published one, else the one that
    its mean score in the file implies (`training.abilities`). No label of a single question is used.
    """

    name = "rung"
    learns = False

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def fit(self, train: Matrix) -> None:
        """It has been fitted already."""

    def judge(self, asked: Asked) -> Judgement:
        """Route by the difference of the two models' success."""
        return from_success(success_of(self.classifier, asked), asked)


class Fitted:
    """The classifier's recipe, fitted to whatever it is given.

    Args:
        fit: results -> classifier.
    """

    name = "rung"
    learns = True

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def fit(self, train: Matrix) -> None:
        """Train a classifier on these results and nothing else."""
        self._classifier = self._fit(train)

    def judge(self, asked: Asked) -> Judgement:
        """Route by the difference of the two models' success."""
        return from_success(success_of(self._classifier, asked), asked)


def success_of(classifier: Classifier, asked: Asked) -> Floats:
    """(n, m) probability of a right answer per query and model."""
    placed = abilities(asked.models, list(asked.abilities))
    estimates = [classifier.estimate(Query(text=prompt)) for prompt in asked.prompts]
    return np.array([_row(estimate, asked.models, placed) for estimate in estimates])


def _row(estimate: Estimate, models: tuple[str, ...], placed: Floats) -> list[float]:
    return [
        estimate.heads[model] if model in estimate.heads else estimate.success_at(float(ability))
        for model, ability in zip(models, placed, strict=True)
    ]
