"""What public data says tells questions apart for models: a metric under which a log's few labels go further.

Two questions are alike, for routing, where the same models answer them and fail at them. Which directions of the
classifier's input tell that is learnt from results of many models on many subjects: a ridge from the standardised input
to every model's score and to the category; its predictions are the metric's coordinates. The scores of the models that
are routed between are not needed, nor is any label of the log's.

It stands beside the artefact whose input it reads (`metric.safetensors`), and only fitting heads reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from classifier.artefact import DEFAULT
from classifier.head import CLIP
from training.data import Matrix

Floats = NDArray[np.floating[Any]]

FILE: Final = "metric.safetensors"
SOURCE: Final = "mmlu_pro"  # 29 models on 14 subjects; metrics of other files serve less, and add nothing to this one
PENALTY: Final = 2.5  # of the ridge, times the questions: 5,200 liked 30,000 better than 3,000, and 100,000 as well
KNOWN: Final = 0.5  # share of the questions that a model must have answered to speak


def learn_metric(x: Floats, matrix: Matrix, embedded: int) -> Floats:
    """(d, r) the metric, of inputs.

    Args:
        x: (n, d) inputs of the questions. matrix: their results and categories. embedded: how many of the d are the
            embedding.
    """
    deviation = x.std(axis=0, dtype=np.float64)
    deviation[:embedded] = np.sqrt((deviation[:embedded] ** 2).mean())
    gain = 1.0 / np.maximum(deviation, 1e-3)
    z = np.clip((x - x.mean(axis=0)) * gain, -CLIP, CLIP).astype(np.float64)
    z -= z.mean(axis=0)
    goal = _goals(matrix)
    weights = np.linalg.solve(z.T @ z + PENALTY * len(z) * np.eye(z.shape[1]), z.T @ (goal - goal.mean(axis=0)))
    found = gain[:, None] * weights
    return (found / np.maximum(np.abs(found).max(axis=0), 1e-12)).astype(np.float32)  # its lengths mean nothing


def _goals(matrix: Matrix) -> Floats:
    """(n, r) scores of the models that answered enough, gaps filled by the question's mean, and the categories."""
    score = matrix.score[:, np.isfinite(matrix.score).mean(axis=0) >= KNOWN].astype(np.float64)
    known = np.isfinite(score)
    away = np.where(known, score - np.where(known, score, 0.0).sum(0) / np.maximum(known.sum(0), 1), 0.0)
    typical = away.sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    categories = matrix.categories.astype(str)
    return np.concatenate([np.where(known, away, typical), categories[:, None] == np.unique(categories)], axis=1)


def save_metric(folder: Path, metric: Floats, schema: str) -> None:
    """Put it beside an artefact. `schema` is the `Inputs.schema` that it reads."""
    save_file({"metric": metric.astype(np.float16)}, folder / FILE, metadata={"schema": schema})


def load_metric(artefact: str, schema: str) -> Floats | None:
    """The metric beside an artefact (a folder, or `default`); None where there is none, or for other inputs."""
    path = (DEFAULT if artefact == "default" else Path(artefact)) / FILE
    if not path.is_file():
        return None
    with safe_open(path, framework="numpy") as file:
        if (file.metadata() or {}).get("schema") != schema:
            return None
        return np.asarray(file.get_tensor("metric"), np.float32)
