"""The contest of many models: what accuracy the money buys when each query may go to any of them.

A router with success probabilities p sends a query to the model with the highest p - price x expected cost.
Sweeping the price from dear to nothing gives its cost-quality curve. The figures read off it compare with the
best single model: how much better at its cost, and how much cheaper at its accuracy. Area: the curve's mean
accuracy between the cheapest model's cost and the best one's (RouterBench's AIQ, Hu et al. 2024, arXiv
2403.12031, without taking the convex hull, which would choose points by their test results).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.benchmarks.bootstrap import Figures, Interval, bootstrap
from training.benchmarks.metrics import Floats
from training.data import Matrix, count_tokens

STEPS = 150  # prices on the curve: neighbours differ by less than a tenth of the bootstrap's noise
COMPLETE = 0.8  # share of the queries that every model of the pool must have answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One router's cost-quality curve, cheapest first.

    Attributes:
        usd, accuracy: (STEPS,) mean cost in dollars and mean score per query.
        figures: `area`, `accuracy_at_best_cost`, `gain_at_best_cost` (points), `cost_at_best_accuracy` (share of
            the best single model's cost) and `extra_cost_at_best_accuracy` (the same of what it costs more than
            the cheapest model); the last two are NaN where its accuracy is not reached, and the last where the best
            single model costs no more than the cheapest.
    """

    usd: Floats
    accuracy: Floats
    figures: dict[str, Interval]


def models(matrix: Matrix) -> list[str]:
    """The pool, worst first: models with the most gaps leave until enough queries were answered by all."""
    while len(matrix.models) > 2 and matrix.complete.mean() < COMPLETE:
        worst = int(np.isfinite(matrix.score).mean(axis=0).argmin())
        matrix = matrix.pick([model for i, model in enumerate(matrix.models) if i != worst])
    return [matrix.models[int(i)] for i in np.argsort(matrix.means, kind="stable")]


def best_single(matrix: Matrix) -> int:
    """The column with the highest mean score, the cheaper of equals."""
    return int(np.lexsort((matrix.usd.mean(axis=0), -matrix.means))[0])


def expected_costs(known: Matrix, prompts: NDArray[np.object_]) -> Floats:
    """(n, m) dollars per query and model, a straight line of the prompt's tokens per model.

    What an operator knows beforehand: the price list and how long his models' answers are on average.
    """
    asked = np.array([count_tokens(prompt) for prompt in prompts])
    return np.stack([_line(known, column)(asked) for column in range(len(known.models))], axis=1)


def curve(success: Floats, expected: Floats, matrix: Matrix, *, resamples: int = 1000, seed: int = 0) -> Curve:
    """The curve of a router.

    Args:
        success: (n, m) its probabilities.
        expected: (n, m) expected costs in dollars.
        matrix: the results, complete.
        resamples: for the intervals.
        seed: of the resamples.
    """
    rows = np.arange(len(matrix))[:, None]
    chosen = _choices(success, expected)
    score, usd = matrix.score[rows, chosen], matrix.usd[rows, chosen]
    best, cheapest = best_single(matrix), int(matrix.usd.mean(axis=0).argmin())
    single_score, single_usd = matrix.score[:, best], matrix.usd[:, best]

    def compute(weights: Floats) -> Figures:
        total = weights.sum(axis=1, keepdims=True)
        costs, scores = weights @ usd / total, weights @ score / total
        at, goal = weights @ single_usd / total[:, 0], weights @ single_score / total[:, 0]
        low = weights @ matrix.usd[:, cheapest] / total[:, 0]
        read = [_read(*line) for line in zip(costs, scores, at, goal, low, strict=True)]
        area, reached, saving = np.array(read).T
        return {
            "area": area,
            "accuracy_at_best_cost": reached,
            "gain_at_best_cost": 100.0 * (reached - goal),
            "cost_at_best_accuracy": saving,
            "extra_cost_at_best_accuracy": _extra(saving, at, low) if best != cheapest else saving,
        }

    return Curve(
        usd=usd.mean(axis=0),
        accuracy=score.mean(axis=0),
        figures=bootstrap(compute, matrix.questions, count=resamples, seed=seed),
    )


def _extra(saving: Floats, at: Floats, low: Floats) -> Floats:
    """(b,) the share of what the best model costs more than the cheapest; NaN where it costs no more."""
    dearer = at - low
    return np.where(dearer > 0.0, (saving * at - low) / np.where(dearer > 0.0, dearer, 1.0), np.nan)


def _choices(success: Floats, expected: Floats) -> NDArray[np.intp]:
    """(n, STEPS) the chosen model at each price of a dollar, falling until cost counts for nothing."""
    spread = expected.max() - expected.min()
    prices = np.append(np.geomspace(1e5, 1e-2, STEPS - 1) / max(spread, 1e-12), 0.0)
    return np.stack([(success - price * expected).argmax(axis=1) for price in prices], axis=1)


def _read(costs: Floats, scores: Floats, at: float, goal: float, low: float) -> tuple[float, float, float]:
    """Area, score at the cost `at`, and the least cost of the score `goal` relative to `at`."""
    order = np.argsort(costs, kind="stable")
    costs, scores = costs[order], scores[order]
    grid = np.linspace(low, at, 200)
    area = float(np.interp(grid, costs, scores).mean())
    return area, float(np.interp(at, costs, scores)), _first_cost(costs, scores, goal) / at


def _first_cost(costs: Floats, scores: Floats, goal: float) -> float:
    """The least cost on the curve with this score, straight between points; NaN if it never has it."""
    reached = scores >= goal
    if not reached.any():
        return float("nan")
    at = int(reached.argmax())
    if at == 0:
        return float(costs[0])
    part = (goal - scores[at - 1]) / (scores[at] - scores[at - 1])
    return float(costs[at - 1] + part * (costs[at] - costs[at - 1]))


def _line(known: Matrix, column: int) -> np.poly1d:
    """Cost as a straight line of the prompt's tokens, constant where it would fall."""
    there = np.isfinite(known.usd[:, column])
    usd = known.usd[there, column]
    tokens = np.array([count_tokens(prompt) for prompt in known.prompts[there]])
    if np.ptp(tokens) == 0.0:
        return np.poly1d([usd.mean()])
    slope, level = np.polyfit(tokens, usd, 1)
    return np.poly1d([slope, level]) if slope > 0.0 <= level else np.poly1d([usd.mean()])
