"""What the money could have bought with the whole window known beforehand: a linear programme per tenant.

    maximise    sum over q, m of  gain[q, m] x[q, m]
    subject to  sum of cost[q, m] x[q, m] <= limit,    sum over m of x[q, m] = 1 for every q,    x >= 0

It is the relaxed multiple-choice knapsack, solved by HiGHS (Huangfu and Hall 2018) through scipy; at most two of the x
of one query are fractional. Where the limit does not even pay the cheapest answer to every question, `<= 1` takes
the place of `= 1`, for then some must go without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, eye, kron, vstack

from training.data import Floats

Nanos = NDArray[np.int64]
TRIES = 12  # each brings the true spend of the plan closer to the limit; four do in practice
NEARLY = 1e-3


def shares(gain: Floats, cost: Nanos, limit: float) -> Floats:
    """(n, m) the share of each query that each model answers.

    Args:
        gain: (n, m) what an answer is worth, 0..1.
        cost: (n, m) nano-dollars.
        limit: nano-dollars.
    """
    n, m = gain.shape
    once: Any = kron(eye(n), np.ones((1, m)), format="csr")
    scale = max(float(cost.max()), 1.0)
    money: Any = csr_matrix(cost.reshape(1, -1) / scale)
    pays_all = cost.min(axis=1).sum() <= limit
    one = np.ones(n)
    found: Any = linprog(
        -gain.ravel(),
        A_ub=money if pays_all else vstack([money, once], format="csr"),
        b_ub=np.array([limit / scale]) if pays_all else np.concatenate([[limit / scale], one]),
        A_eq=once if pays_all else None,
        b_eq=one if pays_all else None,
        bounds=(0.0, 1.0),
        method="highs",
    )
    if found.x is None:
        raise RuntimeError(f"the linear programme has no solution: {found.message}")
    return np.asarray(found.x, np.float64).reshape(n, m)


def within(gain: Floats, expected: Nanos, true: Nanos, limit: int) -> Floats:
    """`shares` by expected costs, for a plan whose true costs come to the limit, or to all that is worth spending."""
    low, high = 0.0, 2.0 * limit  # plans that keep the limit, and that may not
    planned, best = float(limit), np.zeros_like(gain)
    for _ in range(TRIES):
        x = shares(gain, expected, planned)
        spent = float((x * true).sum())
        if spent > limit:
            high = planned
        else:
            low, best = planned, x
            if spent >= limit * (1 - NEARLY) or float((x * expected).sum()) < planned * (1 - NEARLY):
                break
        planned = min(max(planned * limit / spent, low + 0.01 * (high - low)), high - 0.01 * (high - low))
    return best
