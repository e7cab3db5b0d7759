"""Success per model, linear in phi: what all models share, and what sets each apart, fitted from sums alone.

    p_m(x) = phi(x) . (b0 + b_m) + a_m
    minimise  sum_i w_i (y_i - p_m(i)(x_i))^2 + l0 |b0|^2 + l1 sum_m |b_m|^2

b0 is learnt from every row, so rows of one model teach what is hard for the others: that is what makes unpaired rows
(one model's answer a query) nearly as good as paired ones. l0 and l1 are averaged over: each pair of a grid weighs

    exp(-n loss / 2 s^2)            loss: mean squared error on left-out folds; s^2: that of the best pair

as its likelihood (Buckland et al. 1997), for the best pair by cross-validation is often so by luck.

Everything needed is sums over rows (`Sums`), per fold and model: phi phi', phi y, y^2, weighted. Sums of partitions are
added, so that logs of any size are read once, a part at a time, on one machine or many, with equal results. Even the
loss on a fold follows from its sums: y'y - 2 t.phi'y + t.(phi'phi)t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

FOLDS: Final = 5
SHARED: Final = (10.0, 30.0, 100.0)  # l0: labels' worth of belief that no query differs from another
APART: Final = (10.0, 30.0, 100.0)  # l1: that models do not differ in what is hard for them
GRID: Final = tuple(product(SHARED, APART))
ROUNDS: Final = 12  # of the alternation; more change no prediction by 1e-3
CHUNK: Final = 8_192  # rows of phi at once: 25 MB


@dataclass(slots=True)
class Sums:
    """Sums over rows, per fold f and model m; phi has a last column of ones.

    Attributes:
        gram: (F, M, D + 1, D + 1). cross: (F, M, D + 1). squares, count: (F, M), the count of rows unweighted.
    """

    gram: NDArray[np.float64]
    cross: NDArray[np.float64]
    squares: NDArray[np.float64]
    count: NDArray[np.float64]

    @classmethod
    def empty(cls, models: int, width: int, folds: int = FOLDS) -> Sums:
        """Of no rows."""
        d = width + 1
        return cls(
            gram=np.zeros((folds, models, d, d)),
            cross=np.zeros((folds, models, d)),
            squares=np.zeros((folds, models)),
            count=np.zeros((folds, models)),
        )

    def add_rows(self, phi: Floats, model: Integers, fold: Integers, y: Floats, weight: Floats) -> None:
        """Add rows: phi (n, D), model and fold (n,), label and weight (n,)."""
        for f, m in product(range(self.gram.shape[0]), range(self.gram.shape[1])):
            rows = np.flatnonzero((fold == f) & (model == m))
            if not rows.size:
                continue
            part = np.concatenate([phi[rows], np.ones((len(rows), 1))], axis=1, dtype=np.float64)
            weighted = part * weight[rows, None]
            self.gram[f, m] += weighted.T @ part
            self.cross[f, m] += weighted.T @ y[rows]
            self.squares[f, m] += float(weight[rows] @ y[rows] ** 2)
            self.count[f, m] += len(rows)

    def add(self, other: Sums) -> None:
        """Add another part's sums."""
        self.gram += other.gram
        self.cross += other.cross
        self.squares += other.squares
        self.count += other.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Weights.

    Attributes:
        theta: (D + 1, M) b0 + b_m, with a_m last. by_fold: (F, D + 1, M) fitted without each fold.
        shared, apart: the penalties l0 and l1, averaged likewise. loss: mean squared error on left-out folds.
    """

    theta: Floats
    by_fold: Floats
    shared: float
    apart: float
    loss: float


def solve(sums: Sums, grid: Sequence[tuple[float, float]] = GRID) -> Solution:
    """Fit with every pair of penalties, and average by how well each foretells left-out folds.

    Args:
        sums: of the rows. grid: pairs of l0 and l1.
    """
    gram, cross = sums.gram.sum(0), sums.cross.sum(0)
    left = [(gram - sums.gram[f], cross - sums.cross[f]) for f in range(len(sums.gram))]
    by_fold = np.stack([[_fit(g, c, shared, apart) for g, c in left] for shared, apart in grid])
    loss = np.array([_loss(sums, thetas) for thetas in by_fold])
    rows = float(sums.gram[:, :, -1, -1].sum())
    weight = np.exp(-0.5 * rows * (loss - loss.min()) / max(float(loss.min()), 1e-9))
    weight /= weight.sum()
    whole = np.stack([_fit(gram, cross, shared, apart) for shared, apart in grid])
    shared, apart = (weight @ np.array(grid)).tolist()
    mean = np.einsum("g,gfdm->fdm", weight, by_fold)
    return Solution(
        theta=np.einsum("g,gdm->dm", weight, whole),
        by_fold=mean,
        shared=shared,
        apart=apart,
        loss=_loss(sums, mean),
    )


def _fit(gram: Floats, cross: Floats, shared: float, apart: float) -> Floats:
    """(D + 1, M): alternate between what is shared and what is not until both fit."""
    models, d = cross.shape
    own = np.zeros((models, d))
    own[:, -1] = cross[:, -1] / np.maximum(gram[:, -1, -1], 1e-9)
    together = _factor(gram.sum(0)[:-1, :-1] + shared * np.eye(d - 1))
    penalty = apart * np.eye(d)
    penalty[-1, -1] = 1e-6  # a mean costs nothing
    single = [_factor(gram[m] + penalty) for m in range(models)]
    common = np.zeros(d)
    for _ in range(ROUNDS):
        rest = cross - (gram @ own[:, :, None])[:, :, 0]
        common[:-1] = cho_solve(together, rest.sum(0)[:-1], check_finite=False)
        for m in range(models):
            own[m] = cho_solve(single[m], cross[m] - gram[m] @ common, check_finite=False)
    return (common + own).T


def _factor(matrix: Floats) -> Any:  # noqa: ANN401 - scipy's pair of matrix and side
    """Cholesky factor; sums are finite, so nothing is searched for what is not."""
    return cho_factor(matrix, overwrite_a=True, check_finite=False)


def _loss(sums: Sums, thetas: Floats) -> float:
    """Mean squared error of the left-out folds, from their sums."""
    total = 0.0
    for f, theta in enumerate(thetas):
        for m in range(theta.shape[1]):
            t = theta[:, m]
            total += sums.squares[f, m] - 2.0 * t @ sums.cross[f, m] + t @ sums.gram[f, m] @ t
    return float(total / max(sums.gram[:, :, -1, -1].sum(), 1e-9))
