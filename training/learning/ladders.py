"""Logged ladders, and what a policy would choose on them: many decisions at once.

The rule is `policies.choice.pick`: the best of value * quality - weight * cost, then the cheapest rung within the
tolerance of its quality. A property holds the two against each other. Ceilings are in the log already: only rungs
that they admitted are there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from classifier.head import sigmoid
from classifier.model import DifficultyModel
from policies.policy import DEFAULT, Policy
from training.learning.dataset import thinking_factor
from training.learning.ingest import Log
from training.learning.vectors import by_part

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladders:
    """n decisions with up to k rungs; where there are fewer, quality is -inf.

    Attributes:
        model: (n, k) codes of `Log.models`, -1 where there is no rung. allowance: (n, k). quality: (n, k) predicted.
        cost: (n, k) expected, in nano-dollars. value, weight, tolerance: (n,) of the choice (policies.choice.Taste).
        taken: (n,) column of the rung that was taken, -1 where it is not among them.
    """

    model: Integers
    allowance: Integers
    quality: Floats
    cost: Floats
    value: Floats
    weight: Floats
    tolerance: Floats
    taken: Integers

    def __len__(self) -> int:
        return len(self.model)

    def choices(self, scale: float = 1.0) -> Integers:
        """(n,) columns that the rule chooses; `scale` multiplies the weight of money."""
        there = np.isfinite(self.quality)
        utility = np.where(
            there, self.value[:, None] * self.quality - (scale * self.weight)[:, None] * self.cost, -np.inf
        )
        best = _first(utility, self.quality)
        rows = np.arange(len(self))
        near = there & (self.quality >= (self.quality[rows, best] - self.tolerance)[:, None])
        near &= self.cost <= self.cost[rows, best][:, None]
        return _first(np.where(near, -self.cost, -np.inf), self.quality)

    def with_quality(self, quality: Floats) -> Ladders:
        """The same rungs, judged otherwise."""
        return replace(self, quality=np.where(np.isfinite(self.quality), quality, -np.inf))

    def take(self, rows: NDArray[Any]) -> Ladders:
        """These decisions only."""
        return Ladders(**{name: getattr(self, name)[rows] for name in self.__slots__})


def one_hot(columns: Integers, width: int) -> Floats:
    """(n, width) ones where the columns are."""
    return (columns[:, None] == np.arange(width)).astype(np.float64)


def read_ladders(log: Log, at: Integers, policy: Policy = DEFAULT) -> Ladders:
    """The ladders of the decisions `at`, valued by their own dials."""
    options: list[list[dict[str, Any]]] = [[] for _ in range(len(at))]
    for path, rows, place in by_part(log, at):
        files, plain = fsspec.core.url_to_fs(path)
        with files.open(plain, "rb") as handle:
            column = pq.ParquetFile(handle).read(columns=["options"])["options"].take(rows)
        for where, rungs in zip(place.tolist(), column.to_pylist(), strict=True):
            options[where] = rungs or []
    return _arranged(log, at, options, policy)


def _arranged(log: Log, at: Integers, options: list[list[dict[str, Any]]], policy: Policy) -> Ladders:
    code = {name: i for i, name in enumerate(log.models)}
    width = max([1, *map(len, options)])
    shape = (len(at), width)
    model, allowance = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    quality, cost = np.full(shape, -np.inf), np.zeros(shape)
    taken = np.full(len(at), -1, np.int64)
    for i, rungs in enumerate(options):
        for j, rung in enumerate(rungs):
            model[i, j], allowance[i, j] = code.get(rung["model"], -1), rung["allowance"]
            quality[i, j], cost[i, j] = rung["quality"], rung["cost_nano"]
            if model[i, j] >= 0 and (model[i, j], allowance[i, j]) == (log.taken[at[i]], log.taken_allowance[at[i]]):
                taken[i] = j
    dials = np.nan_to_num(log.dial[at], nan=0.5)
    distinct, member = np.unique(dials, return_inverse=True)
    return Ladders(
        model=model,
        allowance=allowance,
        quality=quality,
        cost=cost,
        value=np.array([policy.value_nano(float(d)) for d in distinct], float)[member],
        weight=1.0 + np.nan_to_num(log.pacing[at]),
        tolerance=np.array([policy.tolerance_at(float(d)) for d in distinct], float)[member],
        taken=taken,
    )


def judged(ladders: Ladders, log: Log, at: Integers, model: DifficultyModel, x: Floats) -> Ladders:
    """The ladders with the qualities of another classifier; rungs of models without a head keep theirs.

    Args:
        ladders: of the decisions `at`, with inputs x (n, d); where an input is NaN, all rungs keep their quality.
    """
    return with_success(ladders, log, at, model.layout.heads, head_success(model, x))


def with_success(ladders: Ladders, log: Log, at: Integers, heads: tuple[str, ...], said: Floats) -> Ladders:
    """The ladders with these heads' success (n, H); rungs of other models, or where it is NaN, keep their quality."""
    column = np.array([heads.index(name) if name in heads else -1 for name in log.models] + [-1])
    own = column[ladders.model]
    known = (own >= 0) & np.isfinite(said).all(axis=1, keepdims=True)
    success = np.take_along_axis(said, np.maximum(own, 0), axis=1) if len(heads) else ladders.quality
    thinking: list[list[int]] = np.argwhere(known & (ladders.allowance > 0)).tolist()
    for i, j in thinking:
        factor = thinking_factor(log, int(at[i]), int(ladders.allowance[i, j]))
        success[i, j] = success[i, j] * factor / (1.0 - success[i, j] * (1.0 - factor))
    return ladders.with_quality(np.where(known, success, ladders.quality))


def head_success(model: DifficultyModel, x: Floats) -> Floats:
    """(n, H) success by the heads of a classifier."""
    count = len(model.layout.heads)
    outputs = model.network.outputs_many(x).mean(axis=1)
    return np.asarray(sigmoid(outputs[:, outputs.shape[1] - count :]), np.float64)


def _first(score: Floats, then: Floats) -> Integers:
    """(n,) the column of the highest score; of equals the one with the highest `then`."""
    best = score.max(axis=1, keepdims=True)
    return np.where(score == best, then, -np.inf).argmax(axis=1)
