"""`rung-train evaluate`: what a candidate would have done on decisions that it has not seen, against what was done.

The base is the logged policy without its exploration: the same rule on the qualities that the classifier in force told
at the time. Both policies are valued by the doubly robust estimate (training.learning.replay), whose model of the
reward is the candidate's own heads: fitted to older decisions only.

    utility = reward - (1 + pacing price) * cost / value of a right answer      in right answers a query
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.model import DifficultyModel
from training.benchmarks.metrics import auroc, brier, ece, ranking
from training.learning.ingest import Log
from training.learning.ladders import Ladders, judged, one_hot, read_ladders
from training.learning.replay import Logged, Value, dr, dr_gain, ips, snips
from training.learning.steadiness import flips
from training.learning.vectors import inputs_of
from training.rows import DataError

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]

MOST: Final = 20_000  # decisions that are looked at, the newest; intervals are a hundredth then
SCALES: Final = tuple(np.geomspace(0.02, 50.0, 25).tolist())  # of the weight of money, for the curve
LENGTHS: Final = (0, 200, 1_000, 4_000)  # characters
LEAST_SLICE: Final = 30  # rewarded decisions in a slice that is shown
LEAST_SCORED: Final = 20  # labels of a model whose predictions are scored
NANO: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an evaluation stands on: decisions, rungs as both policies see them, and what came of them."""

    log: Log
    at: Integers
    before: Ladders
    after: Ladders
    logged: Logged


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The proof.

    Attributes:
        gains: `utility`, `reward`, `cost_usd` of the candidate over the base, a query.
        estimates: the candidate's reward by `ips`, `snips`, `dr`, and the base's by `dr` (`base`).
        slices: utility gain per `dimension=name`.
        scores: per model, AUROC, Brier and ECE of the candidate and of what was told at the time.
        dearest_share: of queries sent to the model that costs most: (before, after).
        curve: (cost in dollars, reward) of the candidate by the weight of money, and the base's point.
        equal: `reward_at_equal_cost` (gain), `cost_at_equal_reward` (relative; None where it is not reached).
        flips: share of the candidate's choices that noise turns over (training.learning.steadiness).
    """

    gains: dict[str, Value]
    estimates: dict[str, Value]
    slices: dict[str, Value]
    scores: dict[str, dict[str, float | int]]
    dearest_share: tuple[float, float]
    curve: list[tuple[float, float]]
    base_point: tuple[float, float]
    equal: dict[str, Any]
    flips: dict[str, float] = field(default_factory=dict[str, float])

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "gains": {name: value.as_json() for name, value in self.gains.items()},
            "estimates": {name: value.as_json() for name, value in self.estimates.items()},
            "slices": {name: value.as_json() for name, value in self.slices.items()},
            "scores": self.scores,
            "dearest_share": list(self.dearest_share),
            "curve": [list(point) for point in self.curve],
            "base_point": list(self.base_point),
            "equal": self.equal,
            "flips": self.flips,
        }


def evaluate(
    log: Log, held: Integers, model: DifficultyModel, *, artefact: str, base: DifficultyModel | None = None
) -> Evaluation:
    """Value a candidate on decisions that nothing was fitted to.

    Args:
        log: the log. held: the decisions.
        model: the candidate. artefact: a folder whose encoder reads the queries.
        base: a classifier to compare with in place of what was told at the time.

    Raises:
        DataError: no decision with a ladder has an outcome.
    """
    seen = scene(log, held, model, artefact=artefact, base=base)
    return replace(value(seen), flips=flips(log, seen.at, seen.after, model))


def scene(
    log: Log, held: Integers, model: DifficultyModel, *, artefact: str, base: DifficultyModel | None = None
) -> Scene:
    """Gather what `value` needs."""
    at = held[(log.taken[held] >= 0) & (log.propensity[held] > 0)][-MOST:]
    ladders = read_ladders(log, at)
    known = ladders.taken >= 0
    at, ladders = at[known], ladders.take(known)
    reward = rewards(log)[at]
    if not np.isfinite(reward).any():
        raise DataError("no held-out decision has an outcome of the rung that was taken; wait for feedback")
    x = inputs_of(log, at, artefact)
    logged = Logged(
        taken=ladders.taken, propensity=log.propensity[at], reward=reward, group=log.question[at].astype(np.int64)
    )
    before = ladders if base is None else judged(ladders, log, at, base, x)
    return Scene(log=log, at=at, before=before, after=judged(ladders, log, at, model, x), logged=logged)


def rewards(log: Log) -> Floats:
    """(n,) label of the rung that was taken, NaN where nobody told, or another was served in its place."""
    reward, labels = np.full(len(log), np.nan), log.labels
    own = labels.is_served & (labels.model == log.taken[labels.at])
    reward[labels.at[own]] = labels.value[own]
    return reward


def value(s: Scene) -> Evaluation:
    """All figures of a scene."""
    width = s.after.model.shape[1]
    new, old = (one_hot(ladders.choices(), width) for ladders in (s.after, s.before))
    q = np.where(np.isfinite(s.after.quality), s.after.quality, 0.0)
    gain = dr_gain(_in_utility(s), new, old, _utility(s, q))
    return Evaluation(
        gains={
            "utility": gain,
            "reward": dr_gain(s.logged, new, old, q),
            "cost_usd": dr_gain(_in_cost(s), new, old, s.after.cost / NANO),
        },
        estimates={
            "ips": ips(s.logged, new),
            "snips": snips(s.logged, new),
            "dr": dr(s.logged, new, q),
            "base": dr(s.logged, old, q),
        },
        slices=_slices(s, new, old, q),
        scores=_scores(s),
        dearest_share=_dearest(s, old, new),
        **_curve(s, old, q),
    )


def _utility(s: Scene, q: Floats) -> Floats:
    return q - (s.after.weight / s.after.value)[:, None] * s.after.cost


def _in_utility(s: Scene) -> Logged:
    price = s.after.weight / s.after.value
    cost = s.after.cost[np.arange(len(s.at)), s.logged.taken]
    return replace(s.logged, reward=s.logged.reward - price * cost)


def _in_cost(s: Scene) -> Logged:
    return replace(s.logged, reward=s.log.cost_nano[s.at] / NANO)


def _slices(s: Scene, new: Floats, old: Floats, q: Floats) -> dict[str, Value]:
    log, logged, utility = s.log, _in_utility(s), _utility(s, q)
    length = np.searchsorted(LENGTHS, log.characters[s.at], side="right") - 1
    dimensions = {
        "tenant": (log.tenant[s.at], log.tenants),
        "kind": (log.kind[s.at], log.kinds),
        "language": (log.language[s.at], log.languages),
        "characters": (length, tuple(f"from {n}" for n in LENGTHS)),
    }
    found: dict[str, Value] = {}
    for dimension, (codes, names) in dimensions.items():
        for code in np.unique(codes).tolist():
            rows = np.flatnonzero(codes == code)
            if np.isfinite(logged.reward[rows]).sum() >= LEAST_SLICE and names[code]:
                found[f"{dimension}={names[code]}"] = dr_gain(logged.take(rows), new[rows], old[rows], utility[rows])
    return found


def _scores(s: Scene) -> dict[str, dict[str, float | int]]:
    """How well success of the rung that was taken was foretold, by the candidate and at the time."""
    found: dict[str, dict[str, float | int]] = {}
    rows = np.flatnonzero(np.isfinite(s.logged.reward))
    model = s.after.model[rows, s.logged.taken[rows]]
    for code in np.unique(model).tolist():
        own = rows[model == code]
        if len(own) < LEAST_SCORED:
            continue
        label, ones = s.logged.reward[own].astype(np.float64), np.ones((1, len(own)))
        row: dict[str, float | int] = {"labels": len(own)}
        for name, ladders in (("", s.after), ("before_", s.before)):
            p = np.clip(ladders.quality[own, s.logged.taken[own]], 0.0, 1.0).astype(np.float64)
            row |= {
                f"{name}auroc": float(auroc(ranking(p), label, ones)[0]),
                f"{name}brier": float(brier(p, label, ones)[0]),
                f"{name}ece": float(ece(p, label, ones)[0]),
            }
        found[s.log.models[code]] = {key: round(figure, 4) for key, figure in row.items() if figure == figure}  # noqa: PLR0124 - not NaN
    return found


def _dearest(s: Scene, old: Floats, new: Floats) -> tuple[float, float]:
    there = np.isfinite(s.after.quality)
    dearest = np.where(there, s.after.cost, -1.0).argmax(axis=1)
    rows = np.arange(len(s.at))
    return float(old[rows, dearest].mean()), float(new[rows, dearest].mean())


def _curve(s: Scene, old: Floats, q: Floats) -> dict[str, Any]:
    """The candidate at other weights of money: what it earns at the base's cost, and costs at the base's reward."""
    usd, width = s.after.cost / NANO, s.after.model.shape[1]
    targets = [one_hot(s.after.choices(scale), width) for scale in SCALES]
    points = [(float((t * usd).sum(1).mean()), dr(s.logged, t, q).value) for t in targets]
    base = (float((old * usd).sum(1).mean()), dr(s.logged, old, q).value)
    within = [i for i, (cost, _) in enumerate(points) if cost <= base[0] * 1.0001]
    reached = [cost for cost, reward in points if reward >= base[1]]
    same = max(within, key=lambda i: points[i][1]) if within else None
    gain = None if same is None else dr_gain(s.logged, targets[same], old, q).as_json()
    equal = {
        "reward_at_equal_cost": gain,
        "cost_at_equal_reward": min(reached) / base[0] if reached and base[0] else None,
    }
    return {"curve": points, "base_point": base, "equal": equal}
