"""Fitting routing models to results: one class for every mode of the benchmark and for a tenant's own logs.

    model = RoutingModel(inputs).fit(matrix)              # training.data.Matrix: queries x models, NaN allowed
    model.success(prompts, models, means)                 # (n, m) probability of a right answer
    model.gain(prompts, strong, weak, means)              # (n,) what the strong model adds

Models that were trained on have heads of their own (`training.heads`); any other is placed by its published mean score
(`training.placement`). `ShippedModel` answers the same two questions from an artefact, where nothing is learnt at all.

Heads are fitted when they are first asked for, so that a file of a hundred models costs only those that matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import load
from classifier.head import Network
from classifier.inputs import Inputs
from classifier.model import DifficultyModel
from training.data import Matrix
from training.heads import Heads
from training.lessons import with_own
from training.levels import ease, fit_levels, kind_shares
from training.placement import kinds_apart, placed_gain, placed_success

Floats = NDArray[np.floating[Any]]


class RoutingModel:
    """Success per model from results, in-domain or transferred.

    Args:
        inputs: encoder and features; by default those of the classifier that ships.
        seed: of everything random. Equal data and seed give equal models.
    """

    def __init__(self, inputs: Inputs | None = None, *, seed: int = 0) -> None:
        self.inputs = inputs or load().inputs
        self.seed = seed

    def fit(self, train: Matrix) -> Self:
        """Take the results in; fitting itself waits for the first question."""
        self._train = train
        self._heads: dict[tuple[str, ...], Heads] = {}
        self._levels: Network | None = None
        return self

    def success(
        self, prompts: Sequence[str], models: Sequence[str], means: Mapping[str, float] | None = None
    ) -> Floats:
        """Probability of a right answer.

        Args:
            prompts: n texts.
            models: m names.
            means: published mean score per model name, for models that have no results in the training data.

        Returns:
            (n, m), each within 0..1.

        Raises:
            ValueError: a model is neither in the training data nor in `means`.
        """
        if set(models) <= set(self._train.models):
            return self._own(tuple(models)).success(prompts, self.inputs)
        known = self._means(models, means)
        return placed_success(ease(*self._read(prompts)), known)

    def gain(self, prompts: Sequence[str], strong: str, weak: str, means: Mapping[str, float] | None = None) -> Floats:
        """What the strong model adds: (n,); a difference of success, or `placed_gain` of models without results."""
        if {strong, weak} <= set(self._train.models):
            both = self.success(prompts, (strong, weak))
            return both[:, 0] - both[:, 1]
        return _gain(*self._read(prompts), *self._means((strong, weak), means))

    def _means(self, models: Sequence[str], means: Mapping[str, float] | None) -> list[float]:
        absent = [model for model in models if model not in (means or {})]
        if absent:
            raise ValueError(f"nothing is known of {', '.join(absent)}: give its mean score, or results to train on")
        return [(means or {})[model] for model in models]

    def _read(self, prompts: Sequence[str]) -> tuple[Network, Floats]:
        if self._levels is None:
            lesson = with_own(self._train, self.seed)
            x = self.inputs.compute_many(lesson.texts.tolist())
            self._levels = fit_levels(x, lesson.sources, lesson.targets, self.inputs, seed=self.seed)
        return self._levels, self.inputs.compute_many(list(prompts))

    def _own(self, models: tuple[str, ...]) -> Heads:
        if models not in self._heads:
            self._heads[models] = Heads(seed=self.seed).fit(self._train.pick(models), self.inputs)
        return self._heads[models]


class ShippedModel:
    """The classifier as it ships, asked about models by their published mean scores. It learns nothing.

    Args:
        classifier: by default the artefact that ships.
    """

    def __init__(self, classifier: DifficultyModel | None = None) -> None:
        self.classifier = classifier or load()

    def success(self, prompts: Sequence[str], models: Sequence[str], means: Mapping[str, float]) -> Floats:
        """(n, m); see `RoutingModel.success`. Of the prompts' results nothing is used but those means."""
        return placed_success(ease(*self._read(prompts)), [means[model] for model in models])

    def gain(self, prompts: Sequence[str], strong: str, weak: str, means: Mapping[str, float]) -> Floats:
        """(n,); see `RoutingModel.gain`."""
        return _gain(*self._read(prompts), means[strong], means[weak])

    def _read(self, prompts: Sequence[str]) -> tuple[Network, Floats]:
        return self.classifier.network, self.classifier.inputs.compute_many(list(prompts))


def _gain(network: Network, x: Floats, strong: float, weak: float) -> Floats:
    return placed_gain(kinds_apart(ease(network, x), kind_shares(network, x)), strong, weak)
