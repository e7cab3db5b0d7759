"""`rung bench calibration`: how far off the probabilities are, before and after a few labels of one's own.

Platt's method (Platt 1999): per model, two numbers fitted to the labelled questions turn the logit z of a predicted
success into sigmoid(a z + b). Questions are drawn for labelling `repeats` times; the ECE of the others is averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.benchmarks import metrics
from training.benchmarks.metrics import Floats
from training.benchmarks.routers import Asked, Router
from training.benchmarks.tables import table
from training.data import DataError, Matrix, sample_questions

# Observations that a = 1 and b = 0 are worth: a placed model is already right in the mean; 1 to 30 differ by .002.
PRIOR = 10.0
EDGE = 1e-4  # probabilities are kept this far from 0 and 1, so that logits are finite


def measure(success: Floats, matrix: Matrix, *, labels: int, repeats: int, seed: int = 0) -> dict[str, Any]:
    """Mean ECE over models, and over draws of the labelled questions.

    Args:
        success: (n, m) predicted.
        matrix: the results.
        labels: questions that are labelled.
        repeats: draws.
        seed: of the draws.

    Raises:
        DataError: the labels leave too little to test on.
    """
    if len(np.unique(matrix.questions)) < 2 * labels:
        raise DataError(f"{labels} labels leave less than half of the questions to test on; use fewer")
    before: list[float] = []
    after: list[float] = []
    for repeat in range(repeats):
        labelled = sample_questions(matrix.questions, labels, seed=seed + repeat)
        columns = [_one(success[:, m], matrix.score[:, m], labelled) for m in range(len(matrix.models))]
        pairs = np.array([pair for pair in columns if pair is not None])
        if not len(pairs):
            raise DataError("no model has answers both among the labelled questions and the others")
        before.append(pairs[:, 0].mean())
        after.append(pairs[:, 1].mean())
    return {
        "labels": labels,
        "repeats": repeats,
        "models": len(matrix.models),
        "queries": len(matrix),
        "ece_before": float(np.mean(before)),
        "ece_after": float(np.mean(after)),
        "ece_after_ci": [float(v) for v in np.quantile(after, [0.025, 0.975])],
    }


def over_files(
    files: Mapping[str, Matrix],
    router: Router,
    *,
    labels: int,
    repeats: int,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """`measure` file by file, for a router that has learnt nothing from them.

    Args:
        files: results by name.
        router: names probabilities.
        labels: questions that are labelled.
        repeats: draws.
        seed: of the draws.
        progress: told the file under way.
    """
    rows: list[dict[str, Any]] = []
    for name, matrix in files.items():
        progress(name)
        asked = Asked(
            prompts=matrix.prompts, categories=matrix.categories, models=matrix.models, abilities=matrix.means
        )
        success = router.judge(asked).success
        if success is None:
            raise DataError(f"{router.name} names no probabilities: there is nothing to calibrate")
        rows.append({"file": name, **measure(success, matrix, labels=labels, repeats=repeats, seed=seed)})
    mean = float(np.mean([row["ece_after"] for row in rows]))
    return {"results": rows, "labels": labels, "mean_ece_after": mean}


def platt(logit: Floats, label: Floats) -> tuple[float, float]:
    """(a, b) of sigmoid(a z + b) with the least cross-entropy plus `PRIOR` / 2 x ((a - 1)^2 + b^2)."""
    design = np.stack([logit, np.ones_like(logit)], axis=1)
    identity = np.array([1.0, 0.0])

    def loss(found: Floats) -> tuple[float, Floats]:
        z, off = design @ found, found - identity
        value = float((np.logaddexp(0.0, z) - label * z).sum() + PRIOR / 2.0 * off @ off)
        return value, design.T @ (_sigmoid(z) - label) + PRIOR * off

    a, b = minimize(loss, identity, jac=True, method="BFGS").x
    return float(a), float(b)


def calibration_text(result: Mapping[str, Any]) -> str:
    """What `rung bench calibration` prints."""
    rows = [
        [
            row["file"],
            str(row["models"]),
            f"{row['ece_before']:.3f}",
            f"{row['ece_after']:.3f} [{row['ece_after_ci'][0]:.3f}, {row['ece_after_ci'][1]:.3f}]",
        ]
        for row in result["results"]
    ]
    header = ["file", "models", "ECE before", f"after {result['labels']} labels"]
    return f"{table(header, rows)}\n\nmean after: {result['mean_ece_after']:.3f}"


def _one(p: Floats, label: Floats, labelled: NDArray[np.bool_]) -> tuple[float, float] | None:
    """One model's ECE on the questions that were not labelled, before and after; None where it answered too few."""
    answered = np.isfinite(label)
    fit, test = answered & labelled, answered & ~labelled
    if not fit.any() or not test.any():
        return None
    z = _logit(p)
    a, b = platt(z[fit], label[fit])
    weights = np.ones((1, int(test.sum())))
    return tuple(float(metrics.ece(q[test], label[test], weights)[0]) for q in (p, _sigmoid(a * z + b)))  # type: ignore[return-value]  # two of them


def _sigmoid(z: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -40.0, 40.0)))


def _logit(p: Floats) -> Floats:
    clipped = np.clip(p, EDGE, 1.0 - EDGE)
    return np.log(clipped / (1.0 - clipped))
