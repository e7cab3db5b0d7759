"""From results to what the network learns: success per ability level, kind of task, tokens.

One file's models rarely are another's, so that questions of all files are brought on one scale: each model
counts for the ability levels next to its own (linear interpolation), and a question's target at a level is
the mean score of the models that count there, weighted by how near they are. Levels that no model of the file
is near carry no weight.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.data import Matrix

LEVELS: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
KINDS: Final = (
    "small talk", "knowledge", "commonsense", "science", "mathematics", "code", "puzzle", "professional",
    "writing",
)  # fmt: skip

KIND_TABLE: Final = Path(__file__).with_name("kinds.csv")


@cache
def _kind_of() -> tuple[tuple[str, str], ...]:
    """(prefix of a category, kind), in the order in which they are tried."""
    with KIND_TABLE.open(encoding="utf-8", newline="") as file:
        return tuple((row["category_prefix"], row["kind"]) for row in csv.DictReader(file))


def kind_of(category: str) -> int | None:
    """The index in KINDS of a category, or None where the table has no word on it."""
    kind = next((kind for prefix, kind in _kind_of() if category.startswith(prefix)), None)
    return None if kind is None else KINDS.index(kind)


def level_targets(
    score: NDArray[np.float64], ability: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, L) target and (n, L) evidence per ability level.

    Args:
        score: (n, m) scores, NaN where not answered.
        ability: (m,) of the models.

    Returns:
        the weighted mean score per level, and the sum of its weights (how many models speak for it).
    """
    near = np.array([[np.interp(a, LEVELS, row) for row in np.eye(len(LEVELS))] for a in ability])  # (m, L)
    answered = np.isfinite(score)
    evidence = answered.astype(float) @ near
    total = np.where(answered, score, 0.0) @ near
    target = total / np.maximum(evidence, 1e-9)
    return target.astype(np.float32), evidence.astype(np.float32)


def log_tokens(matrix: Matrix) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean log tokens (n,) over a question's models, their verbosity taken out; and where known."""
    logs = np.log(np.maximum(matrix.tokens, 1.0))
    known = np.isfinite(logs)
    if not known.any():
        return np.zeros(len(matrix), np.float32), np.zeros(len(matrix), np.bool_)
    filled = np.where(known, logs, 0.0)
    verbosity = filled.sum(0) / np.maximum(known.sum(0), 1)
    grand = filled.sum() / known.sum()
    centred = np.where(known, logs - verbosity + grand, 0.0)
    count = known.sum(1)
    return (centred.sum(1) / np.maximum(count, 1)).astype(np.float32), count > 0
