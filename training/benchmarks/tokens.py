"""`rung bench tokens`: does the high quantile of completion tokens hold, and what does reserving it cost?

    coverage       share of answers no longer than the forecast's high quantile; the promise is .9
    reserve ratio  mean of the reserved tokens over the mean of the used ones; 1 would be clairvoyance

A forecast is for a model of usual verbosity. What is known of a model beforehand is how long its answers are on the
whole, so its forecasts are scaled by that: the geometric mean of its answers over that of all models on the same
questions (as the forecast itself was trained, see `training.tasks.log_tokens`). The scale and the baseline, each
model's own constant quantile, come from other folds of questions than the ones that they are judged on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.types import Classifier, Query
from training.benchmarks.bootstrap import Figures, bootstrap, figure
from training.benchmarks.metrics import Floats
from training.benchmarks.tables import shown, table
from training.data import DataError, Matrix, folds

LEVEL = 0.9  # the quantile that `TokenForecast.high` promises


def over_files(
    files: Mapping[str, Matrix],
    classifier: Classifier,
    *,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Coverage and reserve ratio, file by file, of a classifier and of constant quantiles.

    Args:
        files: results by name.
        classifier: what forecasts.
        resamples: for the intervals.
        seed: of folds and resamples.
        progress: told the file under way.
    """
    rows: list[dict[str, Any]] = []
    for name, matrix in files.items():
        progress(name)
        matrix = with_tokens(matrix)  # noqa: PLW2901 - the same results, narrowed
        fold = folds(matrix.questions, seed=seed)
        for forecaster, high in (
            ("rung", scaled(high_quantiles(classifier, matrix.prompts), matrix.tokens, fold)),
            ("constant", constant(matrix.tokens, fold)),
        ):
            rows.append({"file": name, "forecaster": forecaster, **_row(high, matrix, resamples, seed)})
    return {"results": rows, "level": LEVEL}


def with_tokens(matrix: Matrix) -> Matrix:
    """The queries with a known answer length.

    Raises:
        DataError: there is none.
    """
    known = np.asarray(np.isfinite(matrix.tokens).any(axis=1))
    if not known.any():
        raise DataError("the data gives no completion_tokens; choose files that do")
    return matrix.take(known)


def high_quantiles(classifier: Classifier, prompts: Sequence[str] | NDArray[np.object_]) -> Floats:
    """(n,) forecast 90 % quantile of each prompt."""
    return np.array([float(classifier.estimate(Query(text=str(prompt))).tokens.high) for prompt in prompts])


def scaled(high: Floats, tokens: Floats, fold: NDArray[np.intp]) -> Floats:
    """(n, m) the quantiles in each model's usual verbosity, learnt on the other folds."""
    reserved = np.empty_like(tokens)
    for i in np.unique(fold):
        reserved[fold == i] = high[fold == i, None] * verbosity(tokens[fold != i])
    return reserved


def verbosity(tokens: Floats) -> Floats:
    """(m,) geometric mean of each model's answers over that of all models on the same questions."""
    logs = np.log(np.maximum(tokens, 1.0))
    known = np.isfinite(logs)
    filled = np.where(known, logs, 0.0)
    question = filled.sum(axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)
    excess = np.where(known, logs - question, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.exp(excess)


def constant(tokens: Floats, fold: NDArray[np.intp]) -> Floats:
    """(n, m) each model's own 90 % quantile on the other folds; that of all answers for a model without any."""
    reserved = np.empty_like(tokens)
    for i in np.unique(fold):
        there = tokens[fold != i]
        everyone = np.nanquantile(there, LEVEL)
        own = [np.nanquantile(c, LEVEL) if np.isfinite(c).any() else everyone for c in there.T]
        reserved[fold == i] = np.array(own)
    return reserved


def tokens_text(result: Mapping[str, Any]) -> str:
    """What `rung bench tokens` prints."""
    rows = [
        [row["file"], row["forecaster"], shown(row, "coverage", 3), shown(row, "reserve_ratio", 2), str(row["answers"])]
        for row in result["results"]
    ]
    return table(["file", "forecaster", "coverage", "reserve over mean", "answers"], rows)


def _row(reserved: Floats, matrix: Matrix, resamples: int, seed: int) -> dict[str, Any]:
    known = np.isfinite(matrix.tokens)
    used = np.where(known, matrix.tokens, 0.0).sum(axis=1)
    held = np.where(known, reserved, 0.0).sum(axis=1)
    covered = (known & (matrix.tokens <= reserved)).sum(axis=1).astype(np.float64)
    answers = known.sum(axis=1).astype(np.float64)

    def compute(weights: Floats) -> Figures:
        return {
            "coverage": (weights @ covered) / (weights @ answers),
            "reserve_ratio": (weights @ held) / (weights @ used),
        }

    found = bootstrap(compute, matrix.questions, count=resamples, seed=seed)
    return {**figure("coverage", found), **figure("reserve_ratio", found), "answers": int(answers.sum())}
