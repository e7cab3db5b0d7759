"""`rung bench transfer`: what is left of the classifier on a benchmark that it has seen nothing of.

Each data file is judged in turn by the recipe fitted to all the others, without the questions that they share. The
figure is the AUROC of success: per model, how well the classifier tells the questions that it will answer, then the
mean over the models. (Over all models at once it would rise with the models' differences, which are no merit.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.benchmarks import metrics, routing
from training.benchmarks.bootstrap import Figures, Interval, bootstrap
from training.benchmarks.compare import figure
from training.benchmarks.metrics import Floats
from training.benchmarks.routers import Asked, Judgement, Router
from training.benchmarks.tables import shown, table
from training.data import DataError, Matrix


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
    if len(files) + len(extra) < 2:
        raise DataError("leaving one file out needs two: add --data or --train")
    rows: list[dict[str, Any]] = []
    for left_out in files:
        progress(f"overlap of {left_out.stem}")
        rest = [path for path in (*files, *extra) if path != left_out]
        setting = routing.arrange(read([left_out]), "transfer", train=read(rest))
        for router in routers():
            progress(f"{router.name} on {left_out.stem}")
            found = auroc(router, setting, resamples=resamples, seed=seed)
            rows.append(
                {
                    "router": router.name,
                    "file": left_out.stem,
                    **figure("auroc", {"auroc": found}),
                    "queries": len(setting.matrix),
                    "models": len(setting.matrix.models),
                    "overlap_removed": setting.removed,
                }
            )
    names = list(dict.fromkeys(row["router"] for row in rows))
    means = {n: float(np.mean([row["auroc"] for row in rows if row["router"] == n])) for n in names}
    return {"results": rows, "mean_auroc": means}


def auroc(router: Router, setting: routing.Setting, *, resamples: int, seed: int) -> Interval:
    """The router's AUROC of success on the setting, the mean over models that both succeed and fail."""
    matrix = setting.matrix
    order = np.argsort(matrix.means, kind="stable")
    matrix = matrix.pick([matrix.models[int(i)] for i in order])
    asked = Asked(prompts=matrix.prompts, categories=matrix.categories, models=matrix.models, abilities=matrix.means)
    router.fit(_training(setting))
    columns = _columns(router.judge(asked), matrix)

    def compute(weights: Floats) -> Figures:
        parts = [metrics.auroc(ranked, label, weights[:, rows]) for ranked, label, rows in columns]
        return {"auroc": metrics.mean_known(parts)}

    return bootstrap(compute, matrix.questions, count=resamples, seed=seed)["auroc"]


def transfer_text(result: Mapping[str, Any]) -> str:
    """What `rung bench transfer` prints."""
    rows = [
        [
            row["file"],
            row["router"],
            shown(row, "auroc", 3),
            str(row["models"]),
            str(row["queries"]),
            str(row["overlap_removed"]),
        ]
        for row in result["results"]
    ]
    means = "; ".join(f"{name} {value:.3f}" for name, value in result["mean_auroc"].items())
    return f"{table(['left out', 'router', 'AUROC', 'models', 'queries', 'removed'], rows)}\n\nmean AUROC: {means}"


def _training(setting: routing.Setting) -> Matrix:
    train = setting.splits[0].train
    if train is None:
        raise DataError("there is nothing to learn from")
    return train


def _columns(judgement: Judgement, matrix: Matrix) -> list[tuple[metrics.Ranking, Floats, Any]]:
    """Per model with successes and failures: its ranking, its labels, and the rows that it answered."""
    columns: list[tuple[metrics.Ranking, Floats, Any]] = []
    for m in range(len(matrix.models)):
        rows = np.flatnonzero(np.isfinite(matrix.score[:, m]))
        label = matrix.score[rows, m]
        if 0.0 < label.mean() < 1.0:
            predicted = -judgement.gain if judgement.success is None else judgement.success[:, m]
            columns.append((metrics.ranking(predicted[rows]), label, rows))
    if not columns:
        raise DataError("no model of the file both succeeds and fails")
    return columns
