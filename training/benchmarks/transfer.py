"""`rung bench transfer`: what is left of the classifier on a benchmark that it has seen nothing of.

Each data file is judged in turn by the recipe fitted to all the others, without the questions that they share. The
figure is the AUROC of success: per model, how well the classifier tells the questions that it will answer, then the
mean over the models. (Over all models at once it would rise with the models' differences, which are no merit.) Beside
it stands the same within each category, the mean over the categories: what is known beyond the subject.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from training.benchmarks import metrics, routing
from training.benchmarks.bootstrap import Figures, Interval, bootstrap, figure
from training.benchmarks.metrics import Floats
from training.benchmarks.routers import Asked, Judgement, Router
from training.benchmarks.tables import shown, table
from training.data import DataError, Integers, Matrix

FEW: Final = 50  # questions of a category; an AUROC of fewer is noise
SELDOM: Final = 5.0  # successes, and failures, of a model in a category; likewise

Column = tuple[metrics.Ranking, Floats, Integers]


def leave_one_out(
    files: Sequence[Path],
    extra: Sequence[Path],
    read: Callable[[Sequence[Path]], Matrix],
    routers: Callable[[], Sequence[Router]],
    *,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Judge each file by routers fitted to the others.

    Args:
        files: each is left out once.
        extra: files that are always learnt from.
        read: paths -> results.
        routers: makes fresh routers.
        resamples: for the intervals.
        seed: of the resamples.
        progress: told the file under way.

    Raises:
        DataError: there is nothing to learn from.
    """
    if len({*files, *extra}) < 2:
        raise DataError("leaving one file out needs two: add --data or --train")
    rows: list[dict[str, Any]] = []
    for left_out in files:
        progress(f"overlap of {left_out.stem}")
        rest = [path for path in (*files, *extra) if path != left_out]
        setting = routing.arrange(read([left_out]), "transfer", train=read(rest))
        for router in routers():
            progress(f"{router.name} on {left_out.stem}")
            found = aurocs(router, setting, resamples=resamples, seed=seed)
            rows.append(
                {
                    "router": router.name,
                    "file": left_out.stem,
                    **figure("auroc", found),
                    **figure("auroc_within", found),
                    "queries": len(setting.matrix),
                    "models": len(setting.matrix.models),
                    "overlap_removed": setting.removed,
                }
            )
    names = list(dict.fromkeys(row["router"] for row in rows))
    return {
        "results": rows,
        "mean_auroc": {name: mean_of(rows, name, "auroc") for name in names},
        "mean_auroc_within": {name: mean_of(rows, name, "auroc_within") for name in names},
    }


def aurocs(router: Router, setting: routing.Setting, *, resamples: int, seed: int) -> dict[str, Interval]:
    """The router's AUROC of success on the setting, mean over the models: `auroc` of all, `auroc_within` categories.

    Raises:
        DataError: no model both succeeds and fails.
    """
    router.fit(training_of(setting))
    judgement, matrix = judged(router, setting.matrix)
    whole = columns(judgement, matrix, np.arange(len(matrix)))
    if not whole:
        raise DataError("no model of the file both succeeds and fails")
    within = [columns(judgement, matrix, rows, SELDOM) for rows in categories(matrix)]

    def compute(weights: Floats) -> Figures:
        return {"auroc": mean_auroc([whole], weights), "auroc_within": mean_auroc(within, weights)}

    return bootstrap(compute, matrix.questions, count=resamples, seed=seed)


def judged(router: Router, test: Matrix) -> tuple[Judgement, Matrix]:
    """The fitted router's judgement of a file, and the file with its models in the order of their mean scores."""
    order = np.argsort(test.means, kind="stable")
    matrix = test.pick([test.models[int(i)] for i in order])
    asked = Asked(prompts=matrix.prompts, categories=matrix.categories, models=matrix.models, abilities=matrix.means)
    return router.judge(asked), matrix


def categories(matrix: Matrix) -> list[Integers]:
    """The rows of each category that has enough questions."""
    _, member, count = np.unique(matrix.categories.astype(str), return_inverse=True, return_counts=True)
    return [np.flatnonzero(member == i) for i in np.flatnonzero(count >= FEW)]


def columns(judgement: Judgement, matrix: Matrix, within: Integers, seldom: float = 0.0) -> list[Column]:
    """Per model with more than `seldom` successes and failures there: its ranking, labels, and the rows it answered."""
    found: list[Column] = []
    for m in range(len(matrix.models)):
        rows = within[np.isfinite(matrix.score[within, m])]
        label = matrix.score[rows, m]
        if min(label.sum(), (1.0 - label).sum()) > seldom:
            predicted = -judgement.gain if judgement.success is None else judgement.success[:, m]
            found.append((metrics.ranking(predicted[rows]), label, rows))
    return found


def mean_auroc(groups: Sequence[Sequence[Column]], weights: Floats) -> Floats:
    """(b,) the mean over the groups of the mean over their columns; NaN where there is none."""
    parts = [
        metrics.mean_known([metrics.auroc(ranked, label, weights[:, rows]) for ranked, label, rows in group])
        for group in groups
        if group
    ]
    return metrics.mean_known(parts) if parts else np.full(len(weights), np.nan)


def transfer_text(result: Mapping[str, Any]) -> str:
    """What `rung bench transfer` prints."""
    rows = [
        [
            row["file"],
            row["router"],
            shown(row, "auroc", 3),
            shown(row, "auroc_within", 3),
            str(row["models"]),
            str(row["queries"]),
            str(row["overlap_removed"]),
        ]
        for row in result["results"]
    ]
    header = ["left out", "router", "AUROC", "within categories", "models", "queries", "removed"]
    return "\n\n".join(
        (
            table(header, rows),
            f"mean AUROC: {means_text(result['mean_auroc'])}",
            f"within categories: {means_text(result['mean_auroc_within'])}",
        )
    )


def means_text(means: Mapping[str, float | None]) -> str:
    """Routers with their means, `-` where there is none."""
    return "; ".join(f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in means.items())


def training_of(setting: routing.Setting) -> Matrix:
    """What the setting lets a router learn from. Raises DataError where that is nothing."""
    train = setting.splits[0].train
    if train is None:
        raise DataError("there is nothing to learn from")
    return train


def mean_of(rows: Sequence[Mapping[str, Any]], router: str, name: str) -> float | None:
    """The router's mean over the rows that have the figure; None where none has."""
    values = [row[name] for row in rows if row["router"] == router and row[name] is not None]
    return float(np.mean(values)) if values else None
