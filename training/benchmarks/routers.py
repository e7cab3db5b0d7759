"""What can be compared: the contract of a router, and the baselines that need no model of the text.

A router is shown prompts, categories and the models' names and abilities, never a test query's scores. It
answers with a routing score per query (higher: the strong model is worth more here) and, where it can, with
each model's probability of success.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.data import Matrix

Floats = NDArray[np.float64]

BASELINE_GROUP = "rung.baselines"
STAND_IN_COVERAGE = 0.5  # a stand-in must have answered most of its file, or its mean says little


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a router may see of n test queries and m models.

    Attributes:
        prompts, categories: (n,). models: (m,) names, the weak one first, the strong one last.
        abilities: (m,) mean score of each model, as it would be published. It tells strong from weak.
    """

    prompts: NDArray[np.object_]
    categories: NDArray[np.object_]
    models: tuple[str, ...]
    abilities: Floats

    def take(self, rows: NDArray[np.intp]) -> Asked:
        """The same models on these queries."""
        return Asked(
            prompts=self.prompts[rows],
            categories=self.categories[rows],
            models=self.models,
            abilities=self.abilities,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A router's answer.

    Attributes:
        gain: (n,) the routing score: what the strong model adds over the weak one, in any unit.
        success: (n, m) probability of a right answer per model, or None where the router does not say.
    """

    gain: Floats
    success: Floats | None = None


class Router(Protocol):
    """Anything that can be put in the contest."""

    @property
    def name(self) -> str:
        """How tables and JSON call it."""
        ...

    @property
    def learns(self) -> bool:
        """Whether it can say nothing before `fit`."""
        ...

    @property
    def names_success(self) -> bool:
        """Whether its judgements carry probabilities of success."""
        ...

    def fit(self, train: Matrix) -> None:
        """Learn from results."""
        ...

    def judge(self, asked: Asked) -> Judgement:
        """Score queries that it has not seen the results of."""
        ...


class Fixed:
    """A router that learns nothing: a function of the prompts' text alone.

    Args:
        name: how tables call it.
        score: prompts -> (n,) routing scores.
    """

    learns = False
    names_success = False

    def __init__(self, name: str, score: Callable[[Sequence[str]], Sequence[float]]) -> None:
        self.name = name
        self._score = score

    def fit(self, train: Matrix) -> None:
        """Nothing to learn."""

    def judge(self, asked: Asked) -> Judgement:
        """The function's scores."""
        return Judgement(gain=np.asarray(self._score(list(asked.prompts)), np.float64))


class Category:
    """Each category's mean score per model on the training questions; else the overall mean."""

    name = "category"
    learns = True
    names_success = True

    def fit(self, train: Matrix) -> None:
        """Keep the training results."""
        self._train = train

    def judge(self, asked: Asked) -> Judgement:
        """Look the category's means up."""
        labels = labels_for(self._train, asked)
        overall = known_means(labels, fallback=np.full(labels.shape[1], 0.5))
        success = np.tile(overall, (len(asked.prompts), 1))
        for category in np.unique(asked.categories):
            here = asked.categories == category
            success[here] = known_means(labels[self._train.categories == category], fallback=overall)
        return from_success(success)


def random_router() -> Fixed:
    """The random router in expectation: equal scores everywhere (see `metrics` on ties)."""
    return Fixed("random", lambda prompts: np.zeros(len(prompts)).tolist())


def length_router() -> Fixed:
    """Longer prompts to the strong model, by characters."""
    return Fixed("length", lambda prompts: [float(len(prompt)) for prompt in prompts])


def plugged_routers() -> list[Fixed]:
    """Scorers (prompts -> scores) from the entry-point group `rung.baselines`, LiteLLM's among them."""
    return [
        Fixed(point.name, point.load()) for point in sorted(entry_points(group=BASELINE_GROUP), key=lambda p: p.name)
    ]


def oracle(score: Floats) -> Judgement:
    """The judgement of one who knows the results: (n, m) scores."""
    return from_success(score)


def from_success(success: Floats) -> Judgement:
    """Route by the difference of the strong and the weak model's success."""
    return Judgement(gain=success[:, -1] - success[:, 0], success=success)


def known_means(labels: Floats, *, fallback: Floats) -> Floats:
    """(m,) column means over the known labels; the fallback where a column has none."""
    known = np.isfinite(labels)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, labels, 0.0).sum(axis=0) / np.maximum(count, 1), fallback)


def labels_for(train: Matrix, asked: Asked) -> Floats:
    """(n_train, m) training labels for the models asked about, NaN where there is none.

    Models that the training files do not hold are stood in for, file by file, by the model whose mean score there is
    nearest: all that is known of an unseen model is how good it is on the whole.
    """
    if set(asked.models) <= set(train.models):
        return train.pick(asked.models).score
    labels = np.full((len(train), len(asked.models)), np.nan)
    for source in np.unique(train.sources):
        rows = np.flatnonzero(train.sources == source)
        part = train.take(rows)
        common = np.isfinite(part.score).mean(axis=0) > STAND_IN_COVERAGE
        candidates = np.flatnonzero(common) if common.any() else np.arange(len(train.models))
        nearest = candidates[np.abs(part.means[candidates][:, None] - asked.abilities).argmin(axis=0)]
        labels[rows] = part.score[:, nearest]
    return labels
