"""Off-policy evaluation: what another policy would have earned on logged decisions, from what the logged one did.

n decisions with k rungs each; the logged policy took rung a_i with probability p_i and earned r_i. The new policy would
take rung a with probability t_ia. With w_i = t_i,a_i / p_i (clipped at CLIP):

    IPS     mean w r                              (Horvitz and Thompson 1952)
    SNIPS   sum w r / sum w                       (self-normalised; Swaminathan and Joachims 2015)
    DR      mean [sum_a t_a q_a + w (r - q_a_i)]  (doubly robust; Dudik, Langford and Li 2011), q a model of the reward

Rewards are known where feedback came. For those without, DR still has its first term; IPS and SNIPS use the others
only. That is unbiased if whether feedback comes does not depend on how good the answer was, given the query.
Intervals are normal ones, by groups of decisions that are not independent (a session's, say). Effective sample size:
(sum w)^2 / sum w^2 (Kish 1965). The mean of w estimates how much of what the new policy would do the log ever tried: 1
where all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

CLIP: Final = 50.0  # largest weight: an exploration share of 6 % over three rungs; beyond, one row rules the mean
Z: Final = 1.959964  # of a 95 % interval
NAMES: Final = ("ips", "snips", "dr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What happened.

    Attributes:
        taken: (n,) column of the rung that was taken. propensity: (n,) its probability.
        reward: (n,) what it earned, NaN where nobody told. group: (n,) decisions of equal numbers are not independent.
    """

    taken: Integers
    propensity: Floats
    reward: Floats
    group: Integers

    def take(self, rows: NDArray[Any]) -> Logged:
        """These decisions only."""
        return Logged(
            taken=self.taken[rows],
            propensity=self.propensity[rows],
            reward=self.reward[rows],
            group=self.group[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An estimate with its 95 % interval, from `rows` rewarded decisions worth `effective` independent ones.

    `support` estimates the share of the policy's choices that the log ever tried.
    """

    value: float
    low: float
    high: float
    rows: int
    effective: float
    support: float

    def as_json(self) -> dict[str, float | int]:
        """For a report."""
        return {name: getattr(self, name) for name in self.__slots__}


def weights(logged: Logged, target: Floats) -> Floats:
    """(n,) importance weights of a policy that takes rungs with probabilities `target` (n, k)."""
    at = np.arange(len(logged.taken))
    return np.minimum(target[at, logged.taken] / logged.propensity, CLIP)


def ips(logged: Logged, target: Floats) -> Value:
    """Inverse-propensity estimate of a policy's mean reward."""
    told, w, r, group = _told(logged, target)
    return _value(float((w * r).mean()), w * r, group, w, told)


def snips(logged: Logged, target: Floats) -> Value:
    """Self-normalised estimate; its spread by the delta method."""
    told, w, r, group = _told(logged, target)
    mean = float((w * r).sum() / max(float(w.sum()), 1e-12))
    return _value(mean, w * (r - mean) / max(float(w.mean()), 1e-12) + mean, group, w, told)


def dr(logged: Logged, target: Floats, q: Floats) -> Value:
    """Doubly robust estimate with rewards modelled by `q` (n, k), which must not have seen these decisions."""
    return _doubly(logged, target, q, target)


def dr_gain(logged: Logged, target: Floats, base: Floats, q: Floats) -> Value:
    """How much more `target` (n, k) earns than `base` (n, k): one paired doubly robust estimate.

    Effective sample size and support are those of `target`.
    """
    return _doubly(logged, target - base, q, target)


def _doubly(logged: Logged, signed: Floats, q: Floats, target: Floats) -> Value:
    at = np.arange(len(logged.taken))
    told = np.isfinite(logged.reward)
    rest = np.where(told, logged.reward - q[at, logged.taken], 0.0)
    w = np.clip(signed[at, logged.taken] / logged.propensity, -CLIP, CLIP)
    share = max(float(told.mean()), 1e-12)
    scores = (signed * q).sum(axis=1) + w * rest / share
    return _value(float(scores.mean()), scores, logged.group, weights(logged, target)[told], told)


def _told(logged: Logged, target: Floats) -> tuple[NDArray[np.bool_], Floats, Floats, Integers]:
    told = np.isfinite(logged.reward)
    return told, weights(logged, target)[told], logged.reward[told], logged.group[told]


def _value(value: float, scores: Floats, group: Integers, w: Floats, told: NDArray[np.bool_]) -> Value:
    half = Z * _error(scores, group)
    return Value(
        value=value,
        low=value - half,
        high=value + half,
        rows=int(told.sum()),
        effective=float(w.sum() ** 2 / max(float((w**2).sum()), 1e-12)) if len(w) else 0.0,
        support=float(w.mean()) if len(w) else 0.0,
    )


def _error(scores: Floats, group: Integers) -> float:
    """Standard error of the mean of scores that come in groups (cluster-robust, Liang and Zeger 1986)."""
    if not len(scores):
        return float("inf")
    _, member = np.unique(group, return_inverse=True)
    sums = np.bincount(member, weights=scores - scores.mean())
    groups = len(sums)
    return float("inf") if groups < 2 else float(np.sqrt((sums**2).sum() * groups / (groups - 1)) / len(scores))
