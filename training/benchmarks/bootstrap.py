"""Bootstrap intervals by question: how far a figure would move with another draw of questions.

Whole questions are drawn with replacement (several queries may ask the same one), and a resample is only a
vector of weights. The predictions stay as they are, so that an interval covers the choice of test questions,
not the training. Figures drawn with one seed are paired: their differences have intervals too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Figures = Mapping[str, Floats]

CHUNK = 50  # resamples at once: 50 x 12,000 queries are 5 MB, which stays in the cache
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its percentile interval; `low` and `high` are None where no resample gave a figure.

    `draws` are the (resamples,) figures, for differences with another router's of the same seed.
    """

    value: float
    low: float | None
    high: float | None
    draws: Floats

    def minus(self, other: Interval) -> Interval:
        """The paired difference; both must come from the same resamples."""
        return interval(self.value - other.value, self.draws - other.draws)


def interval(value: float, draws: Floats) -> Interval:
    """The middle `LEVEL` of the finite draws around the plain figure."""
    finite = draws[np.isfinite(draws)]
    if not finite.size:
        return Interval(value=value, low=None, high=None, draws=draws)
    low, high = np.quantile(finite, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Interval(value=value, low=float(low), high=float(high), draws=draws)


def figure(name: str, found: Mapping[str, Interval]) -> dict[str, Any]:
    """`{name: value, name_ci: [low, high]}`, null where there is none."""
    if name not in found:
        return {name: None, f"{name}_ci": None}
    one = found[name]
    return {
        name: one.value if isfinite(one.value) else None,
        f"{name}_ci": None if one.low is None else [one.low, one.high],
    }


def resamples(questions: NDArray[np.intp], count: int, *, seed: int = 0) -> Iterator[Floats]:
    """Chunks (b, n) of weights: how often each query stands in each resample of the questions."""
    _, member = np.unique(questions, return_inverse=True)
    distinct = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        drawn = rng.integers(0, distinct, size=(size, distinct)) + np.arange(size)[:, None] * distinct
        times = np.bincount(drawn.ravel(), minlength=size * distinct).reshape(size, distinct)
        yield times[:, member].astype(np.float64)


def bootstrap(
    figures: Callable[[Floats], Figures], questions: NDArray[np.intp], *, count: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Every figure with its interval.

    Args:
        figures: weights (b, n) -> named figures (b,).
        questions: (n,) which question each query asks.
        count: resamples; 0 gives the figures without intervals.
        seed: of the draws; equal seeds give paired intervals.
    """
    plain = figures(np.ones((1, len(questions))))
    parts = [figures(weights) for weights in resamples(questions, count, seed=seed)]
    draws = {name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0) for name in plain}
    return {name: interval(float(value[0]), draws[name]) for name, value in plain.items()}
