"""What a classifier is worth on questions that nobody has asked yet: accuracy at equal spend, cost at equal accuracy.

A classifier predicts success per model. Weighing money from nothing to everything turns its predictions into a curve of
(spend, accuracy), both realised on the questions' true outcomes. Curves are compared at one spend, and at one accuracy;
intervals are percentiles over resampled questions, the same resamples for all curves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEIGHTS = np.concatenate([[0.0], np.geomspace(1e-2, 1e2, 200)])  # of money, in right answers per dearest call
RESAMPLES = 500
LEVEL = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """(n, W) what each question would cost and score at each weight of money."""

    cost: Floats
    score: Floats


def curve(success: Floats, expected: Floats, cost: Floats, score: Floats) -> Curve:
    """The curve of predictions.

    Args:
        success: (n, m) predicted. expected: (m,) dollars a call is expected to cost.
        cost, score: (n, m) dollars and scores as they truly are.
    """
    scaled = expected / expected.max()
    chosen = np.stack([(success - weight * scaled).argmax(axis=1) for weight in WEIGHTS], axis=1)
    return Curve(
        cost=np.take_along_axis(cost, chosen, axis=1),
        score=np.take_along_axis(score, chosen, axis=1),
    )


def accuracy_at(one: Curve, spend: float, weights: Floats) -> Floats:
    """(B,) mean score at a mean spend, for (B, n) weights of the questions (rows sum to 1)."""
    costs, scores = weights @ one.cost, weights @ one.score
    return np.array([_interpolated(c, s, spend) for c, s in zip(costs, scores, strict=True)])


def cost_at(one: Curve, accuracy: Floats, weights: Floats) -> Floats:
    """(B,) the least mean spend that reaches these accuracies (B,), by mixing two weights; NaN where none does."""
    costs, scores = weights @ one.cost, weights @ one.score
    found = np.full(len(weights), np.nan)
    for i, (c, s, goal) in enumerate(zip(costs, scores, accuracy, strict=True)):
        order = np.argsort(c, kind="stable")
        best = np.maximum.accumulate(s[order])
        rising, first = np.unique(best, return_index=True)  # each accuracy at the least spend that reaches it
        if goal <= rising[-1] + 1e-12:
            found[i] = np.interp(goal, rising, c[order][first])
    return found


def _interpolated(costs: Floats, scores: Floats, spend: float) -> float:
    """The score at a spend, by mixing the two weights next to it; the best that costs no more at either end."""
    order = np.argsort(costs, kind="stable")
    return float(np.interp(spend, costs[order], np.maximum.accumulate(scores[order])))


def resamples(count: int, *, seed: int = 0) -> Floats:
    """(1 + RESAMPLES, count) weights: the questions as they are, then resampled."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return np.concatenate([np.ones((1, count)), drawn]) / count


def told(values: Floats) -> dict[str, Any]:
    """A figure with its interval, from the value and its resamples."""
    finite = values[1:][np.isfinite(values[1:])]
    low, high = np.percentile(finite, LEVEL) if len(finite) else (np.nan, np.nan)
    return {"value": round(float(values[0]), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def compare(curves: Mapping[str, Curve], spend: float, *, seed: int = 0) -> dict[str, Any]:
    """`first_day`, `learnt` and `everything` against each other at the first day's spend and accuracy."""
    weights = resamples(len(next(iter(curves.values())).cost), seed=seed)
    at = {name: accuracy_at(one, spend, weights) for name, one in curves.items()}
    before, after, best = at["first_day"], at["learnt"], at["everything"]
    cost_before = cost_at(curves["first_day"], before, weights)
    cost_after = cost_at(curves["learnt"], before, weights)
    return {
        "spend_usd_per_1000": round(spend * 1000, 5),
        "accuracy_at_equal_spend": {name: told(values) for name, values in at.items()},
        "gain_at_equal_spend": told(after - before),
        "cost_at_equal_accuracy": {
            "first_day_usd_per_1000": told(cost_before * 1000),
            "learnt_usd_per_1000": told(cost_after * 1000),
            "saved_share": told(1 - cost_after / cost_before),
        },
        "gap_closed": told((after - before) / (best - before)),
    }
