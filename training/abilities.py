"""How able each model is, on one scale: accuracy on MMLU-Pro (Wang et al. 2024) without thinking, 0..1.

A model is placed, in this order,

1. by its own results in the `mmlu_pro` file, where it has them;
2. by `abilities.csv`: accuracies as recalled from published ones, or our estimate where none was recalled; its column
   `basis` says which, and whether results in the data directory bear it out (`rung-train abilities`);
3. by its results elsewhere: where its mean score falls among those of models of known ability (`place`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.prices import plain_name

TABLE = Path(__file__).with_name("abilities.csv")
LOWEST, HIGHEST = 0.15, 0.95  # no model in use lies outside; a placement from a few results is clipped to it
UNKNOWN = 0.6  # the middle of the models in use in 2025, for a model of which nothing is known


@cache
def listed() -> dict[str, float]:
    """Ability per model name, exact and plain (the first row of a plain name counts), from the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [(row["model"], float(row["mmlu_pro"])) for row in csv.DictReader(file)]
    return {plain_name(name): able for name, able in reversed(rows)} | dict(rows)


def abilities(
    models: Sequence[str], means: Sequence[float], known: Mapping[str, float] | None = None
) -> NDArray[np.float64]:
    """(m,) ability of each model of one results file.

    Args:
        models: (m,) their names.
        means: (m,) mean score of each in that file, to place those that the table does not list.
        known: abilities measured elsewhere, by `exact_name`; they go before the table.
    """
    table, measured = listed(), known or {}
    found = [measured.get(exact_name(name), table.get(name, table.get(plain_name(name), np.nan))) for name in models]
    return place(np.asarray(means, float), np.array(found))


def exact_name(model: str) -> str:
    """The name without vendor, host and punctuation, in lower case; what `plain_name` drops besides tells models apart.

    >>> exact_name("meta/Meta-Llama-3_1-8B-Instruct@somewhere")
    'metallama318binstruct'
    """
    return re.sub(r"[^a-z0-9]", "", model.lower().rsplit("/", 1)[-1].split("@")[0])


def place(means: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Abilities with the gaps filled: a straight line through the logits of mean score and of known ability.

    With fewer than three known models the mean score itself is taken as the ability.
    """
    there = np.isfinite(known)
    if there.all():
        return known
    if there.sum() < 3:
        guess = means
    else:
        slope, offset = np.polyfit(_logit(means[there]), _logit(known[there]), 1)
        guess = 1.0 / (1.0 + np.exp(-(max(slope, 0.0) * _logit(means) + offset)))
    return np.where(there, known, np.clip(np.nan_to_num(guess, nan=UNKNOWN), LOWEST, HIGHEST))


def place_by_results(
    success: NDArray[np.floating],
    levels: Sequence[float],
    scores: Sequence[float],
    *,
    prior: float = UNKNOWN,
    strength: float = 4.0,
) -> float:
    """Ability of a model never seen in training, from a few results of its own: the most likely one.

    Args:
        success: (n, L) the classifier's success per ability level for the n queries that it answered.
        levels: (L,) those abilities.
        scores: (n,) its scores, 0..1.
        prior: where it would be expected without results.
        strength: of that expectation: a normal prior of deviation 0.3 / sqrt(strength) on the ability.

    Returns:
        the maximum of the posterior on a grid of .005.
    """
    grid = np.linspace(LOWEST, HIGHEST, 161)
    y = np.asarray(scores, float)
    rows = np.asarray(success, float)
    chance = np.array([[np.interp(a, levels, row) for a in grid] for row in rows]).reshape(len(y), len(grid))
    chance = np.clip(chance, 1e-3, 1 - 1e-3)
    evidence = (y[:, None] * np.log(chance) + (1 - y[:, None]) * np.log1p(-chance)).sum(axis=0)
    belief = -0.5 * strength * ((grid - prior) / 0.3) ** 2
    return float(grid[int(np.argmax(evidence + belief))])


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(share, 0.01, 0.99)
    return np.log(clipped / (1 - clipped))
