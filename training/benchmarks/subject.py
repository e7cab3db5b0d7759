"""The classifier in the contest: as it ships, or its recipe fitted afresh on what the mode allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import DEFAULT, read_manifest
from classifier.encoder import load_static
from classifier.inputs import Inputs
from training.benchmarks.routers import Asked, Judgement, from_success
from training.data import Matrix


class SuccessModel(Protocol):
    """What `training.fit` offers: success and gain of models by name, unseen ones placed by their mean score."""

    def success(
        self, prompts: Sequence[str], models: Sequence[str], means: Mapping[str, float]
    ) -> NDArray[np.floating[Any]]:
        """(n, m) probability of a right answer."""
        ...

    def gain(
        self, prompts: Sequence[str], strong: str, weak: str, means: Mapping[str, float]
    ) -> NDArray[np.floating[Any]]:
        """(n,) what the strong model adds."""
        ...


class Rung:
    """The classifier under test.

    Of the test data it is told the models' names and mean scores, no result of any single question.

    Args:
        model: a finished one; or
        fit: results -> model, when something may be learnt.
    """

    name = "rung"
    names_success = True

    def __init__(
        self, *, model: SuccessModel | None = None, fit: Callable[[Matrix], SuccessModel] | None = None
    ) -> None:
        self.learns = fit is not None
        self._model = model
        self._fit = fit

    def fit(self, train: Matrix) -> None:
        """Train on these results and nothing else; a finished model stays as it is."""
        if self._fit is not None:
            self._model = self._fit(train)

    def judge(self, asked: Asked) -> Judgement:
        """Gain and success by the model's own lights."""
        if self._model is None:
            raise RuntimeError("fit comes before judge")
        prompts, means = list(asked.prompts), dict(zip(asked.models, map(float, asked.abilities), strict=True))
        success = self._model.success(prompts, asked.models[::-1], means)[:, ::-1]
        if asked.abilities.size > 2:  # nobody asks for the gain of one pair among many, and its heads cost another fit
            return from_success(np.asarray(success, np.float64))
        gain = self._model.gain(prompts, asked.models[-1], asked.models[0], means)
        return Judgement(gain=np.asarray(gain, np.float64), success=np.asarray(success, np.float64))


def as_shipped() -> Rung:
    """The classifier that ships; it learns nothing."""
    from training.fit import ShippedModel

    return Rung(model=ShippedModel())


def taught(sources: Iterable[str], folder: Path = DEFAULT) -> list[str]:
    """Which of these sources an artefact's manifest names as training data: figures on them flatter it.

    The manifest names files, whose rows may call their source by the beginning of that name.
    """
    data: list[dict[str, Any]] = read_manifest(folder).get("data", [])
    files = [str(entry["source"]) for entry in data if entry.get("questions")]
    return sorted({s for s in sources if any(name == s or name.startswith(f"{s}_") for name in files)})


def refitted() -> Rung:
    """The recipe without the artefact's knowledge: only the unsupervised encoder is shared with it."""
    from training.fit import RoutingModel

    static = load_static(DEFAULT)
    inputs = Inputs(static, static.vocabulary)
    return Rung(fit=lambda train: RoutingModel(inputs).fit(train))
