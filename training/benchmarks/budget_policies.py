"""Who spends the money: Rung, and what it must beat. A policy here says which models to ask for, query by query.

    cheap              always the cheapest model, the best of equally cheap ones
    strong_until_gone  the best model while the money can be held for it, then the cheapest: fallbacks on a budget
    threshold          the best model where its predicted gain over the cheapest passes one number, as RouteLLM does
                       (Ong et al. 2024, arXiv 2406.18665); the number is tuned on the past
    knn                the same on the nearest neighbours' gains

Every one of them falls back to the cheapest model before a request is refused.
"""

from __future__ import annotations

import numpy as np

from training.benchmarks.budget_replay import Names
from training.benchmarks.budget_world import Records, Setup
from training.data import Floats, Integers

RUNG = "rung"
BASELINES = ("cheap", "strong_until_gone", "threshold", "knn")


def policies(found: Records, setup: Setup, past: Integers, budget: float) -> dict[str, Names]:
    """Every on-line policy, Rung first.

    Args:
        found, setup: outcomes and the configured gateway.
        past: rows that the thresholds are tuned on.
        budget: of the window, as a share of what the strong model would cost for all of it.
    """
    cheap, strong = found.models[setup.cheap], found.models[setup.strong]

    def thresholded(success: Floats) -> Names:
        gain = success[:, setup.strong] - success[:, setup.cheap]
        least = tuned(gain[past], found, setup, past, budget)
        return lambda query: (strong, cheap) if gain[query] >= least else (cheap,)

    return {
        RUNG: lambda _: (None,),
        "cheap": lambda _: (cheap,),
        "strong_until_gone": lambda _: (strong, cheap),
        "threshold": thresholded(found.success),
        "knn": thresholded(found.knn),
    }


def tuned(gain: Floats, found: Records, setup: Setup, past: Integers, budget: float) -> float:
    """The threshold with the most right answers in the past whose cost there keeps within the budget's share.

    Args:
        gain: (past,) predicted gain of the strong model over the cheap one.
        found, setup, past, budget: see `policies`.
    """
    order = np.argsort(-gain, kind="stable")
    cost, score = found.cost[past][order], found.score[past][order]
    extra = (cost[:, setup.strong] - cost[:, setup.cheap]).astype(np.float64)
    spent = cost[:, setup.cheap].sum() + np.concatenate([[0.0], np.cumsum(extra)])
    right = np.concatenate([[0.0], np.cumsum(score[:, setup.strong] - score[:, setup.cheap])])
    whole = np.concatenate([[True], np.diff(gain[order]) != 0.0, [True]])  # equal gains pass a threshold together
    allowed = whole & (spent <= budget * cost[:, setup.strong].sum())
    if not allowed.any():
        return np.inf
    sent = int(np.argmax(np.where(allowed, right, -np.inf)))
    return float(gain[order[sent - 1]]) if sent else np.inf
