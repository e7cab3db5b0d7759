"""Whether the abilities of `abilities.csv` agree with results: what a model's mean scores elsewhere say of its ability.

Scores that were entered from memory cannot be held against their sources offline, but results of the same models stand
in the data directory. Per file a straight line is fitted between the logits of mean score and of listed ability, over
all listed models but the one asked about; where that model's mean score falls on it is the implied ability.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.abilities import abilities, listed, place
from training.data import Matrix
from training.prices import plain_name

MIN_ANSWERS: Final = 200  # of a model in a file; of fewer, the mean score is off by .04 and more
MIN_MODELS: Final = 6  # listed ones besides, for a line worth the name
FAR: Final = 0.1  # between listed and implied; two results files differ by about this on one model


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One listed model held against results.

    Attributes:
        listed: its ability in the table. implied: by file, what its results there say.
    """

    model: str
    listed: float
    implied: Mapping[str, float]

    @property
    def far(self) -> bool:
        """Whether the results, taken together, say something else."""
        return abs(float(np.mean(list(self.implied.values()))) - self.listed) > FAR


def hold(matrix: Matrix) -> list[Held]:
    """Every listed model with enough answers in a file with enough listed models, in the order of their names."""
    found: dict[str, dict[str, float]] = {}
    for source in np.unique(matrix.sources.astype(str)):
        part = _answered(matrix.take(matrix.sources == source))
        able = abilities(part.models, part.means.tolist())
        for i, model in enumerate(part.models):
            found.setdefault(model, {})[source] = _without(i, part.means, able)
    return [Held(model=model, listed=_listed(model), implied=found[model]) for model in sorted(found)]


def table(held: Iterable[Held]) -> list[dict[str, Any]]:
    """Rows for people: model, listed, implied per file, and whether they are far apart."""
    return [
        {"model": one.model, "listed": one.listed, **{k: round(v, 3) for k, v in one.implied.items()}, "far": one.far}
        for one in held
    ]


def _answered(part: Matrix) -> Matrix:
    """The part with its listed models that answered enough; with none where they are too few."""
    enough = np.isfinite(part.score).sum(axis=0) >= MIN_ANSWERS
    kept = [model for model, there in zip(part.models, enough, strict=True) if there and _known(model)]
    return part.pick(kept if len(kept) > MIN_MODELS else [])


def _without(i: int, means: NDArray[np.float64], able: NDArray[np.float64]) -> float:
    """The ability of model i by the line through the others."""
    known = able.copy()
    known[i] = np.nan
    return float(place(means, known)[i])


def _known(model: str) -> bool:
    return model in listed() or plain_name(model) in listed()


def _listed(model: str) -> float:
    return listed().get(model, listed().get(plain_name(model), float("nan")))
