"""Labels -> rows to fit: split by time, weighted, and thinking's share taken out.

The newest part of the labelled time is held out whole: nothing is fitted to it, and everything is proven on it.

    weight = reliability * min(P(m) / propensity, CLIP)      P(m): share of the model among the served

for rungs that were taken by chance: each head then speaks for all queries, not for those that its model was given.
Labels of rungs that were not served (a judge's) count by their reliability alone.

Heads are about success without thinking; a label at an allowance is lowered by what policies.quality says that the
allowance bought a model of that mean success.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from policies.quality import curve_for, need_tokens, odds, saturation
from training.learning.ingest import Labels, Log
from training.rows import DataError

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]

CLIP: Final = 5.0  # times an average label's weight: a row seldom explored must not rule its head
LEAST_LABELS: Final = 30  # of a model; with fewer a head says less than the prior
LEAST_IN_ALL: Final = 50
EXPLORE: Final = "let tenants try other rungs now and then (`explore` in the tenant's settings)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """l rows to fit, by decision.

    Attributes:
        at: decision in the log. model: code into `models`. y: 0..1 (a little beyond, where thinking was taken out).
        weight: >= 0. fold: for cross-validation; equal for equal questions.
        models: names, those with LEAST_LABELS or more.
    """

    at: Integers
    model: Integers
    y: Floats
    weight: Floats
    fold: Integers
    models: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.at)


def split(log: Log, holdout: float) -> tuple[Labels, Integers]:
    """Labels of the older decisions, and the decisions of the newer part (`holdout` of the labelled ones).

    Raises:
        DataError: too few labels.
    """
    labelled = np.unique(log.labels.at)
    if len(labelled) < LEAST_IN_ALL:
        raise DataError(
            f"{len(labelled)} decisions have an outcome, {LEAST_IN_ALL} are needed: send feedback (POST /v1/feedback)"
        )
    cut = labelled[min(int(np.ceil(len(labelled) * (1.0 - holdout))), len(labelled) - 1)] if holdout > 0 else len(log)
    return log.labels.take(log.labels.at < cut), np.arange(cut, len(log))


def rows_of(log: Log, labels: Labels, folds: int) -> Rows:
    """What to fit.

    Raises:
        DataError: no model has enough labels.
    """
    count = np.bincount(labels.model[labels.model >= 0], minlength=len(log.models))
    chosen = np.flatnonzero(count >= LEAST_LABELS)
    if not len(chosen):
        raise DataError(f"no model has {LEAST_LABELS} labelled answers; wait for more feedback, or {EXPLORE}")
    code = np.full(len(log.models) + 1, -1)
    code[chosen] = np.arange(len(chosen))
    kept = labels.take(code[labels.model] >= 0)
    model = code[kept.model]
    return Rows(
        at=kept.at,
        model=model,
        y=without_thinking(log, kept, model),
        weight=kept.weight * _spread(log, kept),
        fold=log.question[kept.at] % folds,
        models=tuple(log.models[i] for i in chosen),
    )


def too_few(log: Log, labels: Labels) -> dict[str, int]:
    """Models whose answers were labelled, but not often enough for a head, with how often."""
    count = np.bincount(labels.model[labels.model >= 0], minlength=len(log.models)).tolist()
    return {name: n for name, n in zip(log.models, count, strict=True) if 0 < n < LEAST_LABELS}


def without_thinking(log: Log, labels: Labels, model: Integers) -> Floats:
    """(l,) label values less what their allowance bought."""
    y = labels.value.copy()
    for i in np.flatnonzero(labels.allowance > 0).tolist():
        alike = (model == model[i]) & (labels.allowance == labels.allowance[i])
        mean = float(labels.value[alike].mean())
        bare = odds(mean) / thinking_factor(log, int(labels.at[i]), int(labels.allowance[i]))
        y[i] -= mean - bare / (1.0 + bare)
    return y


def thinking_factor(log: Log, at: int, allowance: int) -> float:
    """By what an allowance multiplies the odds of a right answer to a logged query (policies.quality)."""
    curve = curve_for(log.kinds[int(log.kind[at])])
    return float(np.exp(curve.gain * saturation(allowance, need_tokens(float(log.difficulty[at]), curve))))


def _spread(log: Log, labels: Labels) -> Floats:
    """(l,) inverse-propensity weights of labels about rungs that were taken by chance, stabilised; 1 for others."""
    known = log.taken >= 0
    share = np.bincount(log.taken[known], minlength=len(log.models)) / max(int(known.sum()), 1)
    by_chance = labels.is_served & (log.taken[labels.at] == labels.model)
    inverse = share[np.maximum(labels.model, 0)] / np.maximum(log.propensity[labels.at], 1e-6)
    return np.where(by_chance & (log.propensity[labels.at] < 1.0), np.minimum(inverse, CLIP), 1.0)


def data_hash(log: Log) -> str:
    """What was learnt from, in 64 hexadecimal digits: equal for equal decisions and labels."""
    digest = sha256("\n".join((*log.models, *log.tenants)).encode())
    parts = (log.created, log.question, log.served, log.propensity)
    labels = log.labels
    for array in (*parts, labels.at, labels.model, labels.allowance, labels.value, labels.weight):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
