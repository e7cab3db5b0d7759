"""What one fit learns from: results, prompts of our own, and noisy copies of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.data import Matrix
from training.levels import one_hot, stacked, targets_of
from training.network import Targets
from training.noise import noisy_copies
from training.own_prompts import Own, not_trivial, rated, sized, taught_trivial
from training.tasks import KINDS, LEVELS

TRIVIAL_WEIGHT: Final = 3.0  # some 900 prompts against 30,000: a rare but certain lesson
DRAWN_WEIGHT: Final = 2.0  # of tasks drawn by size: there are ten times more of them than rated ones
RATED_WEIGHT: Final = 5.0  # there are a hundred times more results than rated prompts; 3 to 15 do equally well
NOISY_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Everything that one fit learns from.

    Attributes:
        texts, sources: (n,) and where each comes from.
        roots: (n,) the row of which each is a noisy copy, or its own.
        targets: what the network shall say of them.
    """

    texts: NDArray[Any]
    sources: NDArray[Any]
    roots: NDArray[np.intp]
    targets: Targets

    def take(self, rows: NDArray[np.intp]) -> Lesson:
        """These rows only."""
        return Lesson(
            texts=self.texts[rows],
            sources=self.sources[rows],
            roots=self.roots[rows],
            targets=self.targets.take(rows),
        )


def with_own(matrix: Matrix, seed: int) -> Lesson:
    """The results' questions followed by the trivial, the rated, the not trivial prompts and tasks drawn by size."""
    small, rates, others, tasks = taught_trivial(seed), rated(), not_trivial(seed), sized(seed)
    own = _texts((*small.prompts, *rates.prompts, *others))
    parts = (
        _own_targets(small, TRIVIAL_WEIGHT),
        _own_targets(rates, RATED_WEIGHT),
        _only_not_trivial(len(others), RATED_WEIGHT),
        _own_targets(tasks, DRAWN_WEIGHT),
    )
    texts = np.concatenate((matrix.prompts, own, _texts(tasks.prompts)))
    names = (np.repeat("own", len(own)), np.repeat("drawn", len(tasks.prompts)))
    return Lesson(
        texts=texts,
        sources=np.concatenate((matrix.sources, *names)),
        roots=np.arange(len(texts)),
        targets=stacked((targets_of(matrix), *parts)),
    )


def _own_targets(own: Own, weight: float) -> Targets:
    count = len(own.prompts)
    return Targets(
        levels=own.levels,
        level_weights=np.full((count, len(LEVELS)), weight),
        kinds=one_hot(own.kinds, len(KINDS)),
        kind_weights=np.full(count, weight),
        tokens=own.tokens,
        token_weights=np.full(count, weight),
        heads=own.trivial[:, None],
        head_weights=np.full((count, 1), weight),
    )


def _only_not_trivial(count: int, weight: float) -> Targets:
    """Targets that say of each question that it is not trivial, and nothing else."""
    nothing = np.zeros(count)
    return Targets(
        levels=np.zeros((count, len(LEVELS))),
        level_weights=np.zeros((count, len(LEVELS))),
        kinds=np.zeros((count, len(KINDS))),
        kind_weights=nothing,
        tokens=nothing,
        token_weights=nothing,
        heads=nothing[:, None],
        head_weights=np.full((count, 1), weight),
    )


def with_noise(lesson: Lesson, seed: int) -> Lesson:
    """The lesson followed by noisy copies of a share of it, with the targets of their originals."""
    random = np.random.default_rng(seed)
    rows = np.flatnonzero(random.random(len(lesson.texts)) < NOISY_SHARE)
    copies = noisy_copies(lesson.texts[rows].tolist(), random)
    return Lesson(
        texts=np.concatenate((lesson.texts, _texts(copies))),
        sources=np.concatenate((lesson.sources, lesson.sources[rows])),
        roots=np.concatenate((lesson.roots, rows)),
        targets=stacked((lesson.targets, lesson.targets.take(rows))),
    )


def _texts(texts: Sequence[str]) -> NDArray[Any]:
    return np.array([*texts, None], dtype=object)[:-1]  # a list of equal strings must not become a fixed-width array
