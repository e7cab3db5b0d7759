"""`rung bench transfer --leave-out kind`: what is left of the classifier on a kind of task that it has seen nothing of.

Each kind of task (mathematics, code, professional, ...; `training/kinds.csv` says which category is of which) is left
out of all files in turn, with what other kinds share with it, and judged by the recipe fitted to the rest. The figure
is the AUROC of success within a category, the mean over models and categories: between categories, a file's other
kinds would help. Models are asked about under other names, so that they are placed by their mean scores: heads of
their own, learnt from the other kinds, are another matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from training.benchmarks import routing
from training.benchmarks.bootstrap import Figures, Interval, bootstrap, figure
from training.benchmarks.metrics import Floats
from training.benchmarks.routers import Router
from training.benchmarks.tables import shown, table
from training.benchmarks.transfer import (
    SELDOM,
    Column,
    categories,
    columns,
    judged,
    mean_auroc,
    mean_of,
    means_text,
    training_of,
)
from training.data import DataError, Integers, Matrix
from training.levels import present
from training.tasks import KINDS, kind_of


def leave_kinds_out(
    matrix: Matrix,
    routers: Callable[[], Sequence[Router]],
    *,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Judge each kind of task by routers fitted to all others.

    Args:
        matrix: results of one or more files, with their categories.
        routers: makes fresh routers.
        resamples: for the intervals.
        seed: of the resamples.
        progress: told the kind under way.

    Raises:
        DataError: fewer than two kinds have a category with enough questions.
    """
    member = _kinds(matrix)
    kinds = [kind for kind in range(len(KINDS)) if any(map(len, _groups(matrix.take(member == kind))))]
    if len(kinds) < 2:
        raise DataError("leaving one kind of task out needs two: categories of training/kinds.csv, 50 questions each")
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        progress(f"overlap of {KINDS[kind]}")
        setting = routing.arrange(matrix.take(member == kind), "transfer", train=matrix.take(member != kind))
        for router in routers():
            progress(f"{router.name} on {KINDS[kind]}")
            found, groups = _auroc(router, setting, resamples=resamples, seed=seed)
            rows.append(
                {
                    "router": router.name,
                    "kind": KINDS[kind],
                    **figure("auroc_within", {"auroc_within": found}),
                    "categories": groups,
                    "queries": len(setting.matrix),
                    "overlap_removed": setting.removed,
                }
            )
    names = list(dict.fromkeys(row["router"] for row in rows))
    return {"results": rows, "mean_auroc_within": {name: mean_of(rows, name, "auroc_within") for name in names}}


def kinds_text(result: Mapping[str, Any]) -> str:
    """What the command prints."""
    header = ["left out", "router", "AUROC within categories", "categories", "queries", "removed"]
    rows = [
        [row["kind"], row["router"], shown(row, "auroc_within", 3)]
        + [str(row[name]) for name in ("categories", "queries", "overlap_removed")]
        for row in result["results"]
    ]
    return f"{table(header, rows)}\n\nmean over kinds: {means_text(result['mean_auroc_within'])}"


def _auroc(router: Router, setting: routing.Setting, *, resamples: int, seed: int) -> tuple[Interval, int]:
    """The AUROC within categories, and how many categories have one; each file's models are judged by themselves."""
    router.fit(training_of(setting))
    groups: list[list[Column]] = []
    for at in _files(setting.matrix):
        part = _renamed(present(setting.matrix.take(at)))
        judgement, ordered = judged(router, part)
        for rows in categories(ordered):
            group = columns(judgement, ordered, rows, SELDOM)
            groups.extend([[(ranked, label, at[found]) for ranked, label, found in group]] if group else [])

    def compute(weights: Floats) -> Figures:
        return {"auroc_within": mean_auroc(groups, weights)}

    found = bootstrap(compute, setting.matrix.questions, count=resamples, seed=seed)
    return found["auroc_within"], len(groups)


def _kinds(matrix: Matrix) -> Integers:
    """(n,) the kind of each query, -1 where its category is of none."""
    found = [kind_of(str(category)) for category in matrix.categories]
    return np.array([-1 if kind is None else kind for kind in found], np.intp)


def _files(matrix: Matrix) -> list[Integers]:
    """The rows of each source."""
    sources = matrix.sources.astype(str)
    return [np.flatnonzero(sources == source) for source in np.unique(sources)]


def _groups(matrix: Matrix) -> list[list[Integers]]:
    """Per source, its categories that have enough questions."""
    return [categories(matrix.take(rows)) for rows in _files(matrix)]


def _renamed(part: Matrix) -> Matrix:
    """The same results of models that no training file has."""
    return replace(part, models=tuple(f"{model} (elsewhere)" for model in part.models))
