"""The figures of a router as pure functions of its scores, the results and the queries' weights.

Every function takes weights (b, n), one row per bootstrap resample (a row of ones for the plain figure), and
returns (b,) figures: the order of the scores is found once, and a thousand resamples cost a thousand
cumulative sums. Queries with equal scores are taken in random order *in expectation*, so that a constant
score is exactly the random router and a router gains nothing from the order of the file.

Sources: PGR, APGR and CPT from RouteLLM (Ong et al. 2024, arXiv 2406.18665, section 3); ECE from Guo et al.
2017 (arXiv 1706.04599, 15 bins of equal width); AUROC as the Mann-Whitney statistic with half a point for
ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ECE_BINS = 15  # Guo et al. 2017


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Queries by falling score, in groups of equal scores.

    Attributes:
        order: (n,) indices, highest score first. starts: (g,) where each group of equals begins in `order`.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    def sums(self, values: Floats) -> Floats:
        """(b, g) sums of (b, n) values within each group."""
        return np.add.reduceat(values[:, self.order], self.starts, axis=1)


class Gap(NamedTuple):
    """The performance-gap curve: straight between its points, from (0, 0) to (1, 1).

    `share` (b, g + 1): share of queries sent to the strong model; `pgr` (b, g + 1): performance gap
    recovered. NaN throughout a resample in which the strong model is no better than the weak one.
    """

    share: Floats
    pgr: Floats


def ranking(score: Floats) -> Ranking:
    """Order queries by (n,) finite scores, highest first."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return Ranking(order=order, starts=starts)


def gap_curve(ranked: Ranking, gain: Floats, weights: Floats) -> Gap:
    """PGR(share) = (r - weak) / (strong - weak) when the highest-ranked share goes to the strong model.

    Args:
        ranked: by the router's score.
        gain: (n,) strong's score - weak's score.
        weights: (b, n).
    """
    share = _cumulative(ranked.sums(weights))
    gained = _cumulative(ranked.sums(weights * gain))
    total_gain = gained[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        pgr = np.where(total_gain > 0.0, gained / total_gain, np.nan)
    return Gap(share / share[:, -1:], pgr)


def apgr(gap: Gap) -> Floats:
    """(b,) area under the performance-gap curve: .5 for a random router, above 1 is possible."""
    return np.asarray(np.trapezoid(gap.pgr, gap.share, axis=1))


def cpt(gap: Gap, target: float) -> Floats:
    """(b,) call-performance threshold: the least share of strong calls that recovers `target` of the gap."""
    reached = gap.pgr >= target
    at = np.argmax(reached, axis=1)
    rows = np.arange(len(at))
    before = np.maximum(at - 1, 0)
    rise = gap.pgr[rows, at] - gap.pgr[rows, before]
    step = gap.share[rows, at] - gap.share[rows, before]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(rise > 0.0, (target - gap.pgr[rows, before]) / rise, 0.0)
    return np.where(reached.any(axis=1), gap.share[rows, before] + part * step, np.nan)


def relative_cost(ranked: Ranking, base: Floats, extra: Floats, weights: Floats, share: Floats) -> Floats:
    """(b,) cost of sending the highest-ranked share to the strong model, relative to sending it everything.

    Args:
        ranked: by the router's score.
        base: (n,) cost of the weak model.
        extra: (n,) what the strong one costs more.
        weights: (b, n).
        share: (b,) of the queries, 0..1.
    """
    sent = _cumulative(ranked.sums(weights))
    more = _cumulative(ranked.sums(weights * extra))
    spent = [np.interp(at, x / x[-1], y) for at, x, y in zip(share, sent, more, strict=True)]
    weak = weights @ base
    return (weak + np.array(spent)) / (weak + more[:, -1])


def auroc(ranked: Ranking, label: Floats, weights: Floats) -> Floats:
    """(b,) probability that a success ranks above a failure; ties count half, partial success for both.

    Args:
        ranked: by predicted success.
        label: (n,) success 0..1.
        weights: (b, n).
    """
    wins = ranked.sums(weights * label)
    losses = ranked.sums(weights * (1.0 - label))
    wins_above = np.cumsum(wins, axis=1) - wins / 2.0
    pairs = wins.sum(axis=1) * losses.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0.0, (wins_above * losses).sum(axis=1) / pairs, np.nan)


def brier(probability: Floats, label: Floats, weights: Floats) -> Floats:
    """(b,) weighted mean squared difference of (n,) probabilities and (n,) successes (Brier 1950)."""
    return weights @ np.square(probability - label) / weights.sum(axis=1)


def ece(probability: Floats, label: Floats, weights: Floats, bins: int = ECE_BINS) -> Floats:
    """(b,) expected calibration error: |mean probability - mean success| over bins, weighted by queries."""
    member = np.clip((probability * bins).astype(np.intp), 0, bins - 1)
    one_hot = np.eye(bins)[member]
    difference = (weights * (probability - label)) @ one_hot
    return np.abs(difference).sum(axis=1) / weights.sum(axis=1)


def mean_known(figures: Sequence[Floats]) -> Floats:
    """(b,) mean of several (b,) figures over those that exist, NaN where none does."""
    parts = np.array(figures)
    known = np.isfinite(parts)
    total, count = np.where(known, parts, 0.0).sum(axis=0), known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _cumulative(parts: Floats) -> Floats:
    """(b, g + 1) running sums that begin at 0."""
    return np.concatenate((np.zeros((len(parts), 1)), np.cumsum(parts, axis=1)), axis=1)
