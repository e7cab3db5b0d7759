"""Rows -> heads in a network: the basis, the sums over parts, the fit, the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import load
from classifier.head import Network
from classifier.model import DifficultyModel
from training.engine import Engine, one_thread
from training.learning.basis import UNITS, Basis, make_basis
from training.learning.dataset import Rows
from training.learning.ingest import Log
from training.learning.metric import load_metric
from training.learning.ridge import Solution, Sums, solve
from training.learning.vectors import by_part, inputs_of, read_inputs
from training.rows import DataError

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]

LANDMARK_SAMPLE: Final = 4_000  # queries that landmarks and scales are taken from
CALIBRATION_SAMPLE: Final = 20_000  # labels that slope and offset are fitted to
GROUPS: Final = 8  # tasks that the parts are dealt to, whatever the engine: equal sums in an equal order
PRIOR: Final = (4.5, -2.25)  # slope and offset of the logistic curve that is nearest to p itself
BELIEF: Final = 20.0  # labels' worth of belief in them
DEPARTURE: Final = 0.5  # deviation of a head's slope from the common one; 1 and 2 cost other pairs what they gain some


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """Heads for `models`, in a network that serves as it is."""

    network: Network
    models: tuple[str, ...]
    solution: Solution


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What one worker adds up: rows of some parts, `where` being their place in the arrays."""

    pieces: Sequence[tuple[str, Integers, Integers]]
    basis: Basis
    artefact: str
    model: Integers
    fold: Integers
    y: Floats
    weight: Floats
    models: int


def learn(
    log: Log,
    rows: Rows,
    *,
    artefact: str,
    engine: Engine,
    without: Integers | None = None,
    seed: int = 0,
    units: int = UNITS,
    start: DifficultyModel | None = None,
) -> Learnt:
    """Fit heads to rows of a log.

    Args:
        log: where the rows' inputs lie.
        rows: what to fit.
        artefact: the base: a folder, or `default`.
        engine: where the sums are made.
        without: decisions that become no landmarks.
        seed: of the samples.
        units: landmarks of each sort.
        start: a classifier of the same inputs to start from, heads and all; by default the base.

    Raises:
        DataError: no row has an input.
    """
    base = start or load(artefact)
    with one_thread():
        basis = basis_for(log, rows, base, artefact, without=without, seed=seed, units=units)
        sums = Sums.empty(len(rows.models), basis.width)
        for part in engine.map(_sums, _tasks(log, rows, basis, artefact)):
            sums.add(part)
        if not sums.count.sum():
            raise DataError("no labelled query has its vectors in the log, or a text to make them from")
        return finish(basis, solve(sums), rows.models, *_sample(log, rows, basis, artefact, seed))


def basis_for(
    log: Log,
    rows: Rows,
    base: DifficultyModel,
    artefact: str,
    *,
    without: Integers | None = None,
    seed: int,
    units: int = UNITS,
) -> Basis:
    """Landmarks among all queries up to the last labelled one: those without labels show what is asked, too.

    The order is drawn per decision, so that leaving some out changes nothing about the others.
    """
    order = np.argsort(np.random.default_rng(seed).random(int(rows.at.max()) + 1), kind="stable")
    kept = order if without is None else order[~np.isin(order, without)]
    at = kept[:LANDMARK_SAMPLE]
    x = inputs_of(log, at, artefact)
    x = x[np.isfinite(x).all(axis=1)]
    if not len(x):
        raise DataError("no query has its vectors in the log, or a text to make them from")
    layout = base.layout
    kept = layout.gate + bool(layout.trivial)
    metric = load_metric(artefact, base.inputs.schema)
    return make_basis(base.network, x, base.inputs.sizes[0], units=units, kept=kept, metric=metric)


def finish(basis: Basis, solution: Solution, models: tuple[str, ...], phi: Floats, rows: Rows) -> Learnt:
    """Calibrate on left-out folds, and put the heads into the network."""
    said = np.concatenate([phi, np.ones((len(phi), 1), np.float32)], axis=1)
    by_fold = np.stack([said @ theta for theta in solution.by_fold])[rows.fold, np.arange(len(rows)), rows.model]
    slopes, offsets = platt(by_fold, rows.y, rows.weight, rows.model, len(models))
    theta = solution.theta * slopes
    network = basis.with_heads(theta[:-1], theta[-1] + offsets)
    return Learnt(network=network, models=models, solution=solution)


def platt(p: Floats, y: Floats, weight: Floats, model: Integers, models: int) -> tuple[Floats, Floats]:
    """Slopes and offsets (M,) of sigmoid(slope * p + offset) of each model against labels (n,).

    Slopes are drawn to a common one by DEPARTURE: models are compared by these curves, and slopes fitted apart differ
    by chance more than in truth. Each model's curve is drawn to PRIOR by BELIEF labels.
    """
    grid = np.linspace(0.05, 0.95, 19)
    own = np.concatenate([model, np.repeat(np.arange(models), len(grid))])[:, None] == np.arange(models)
    p = np.concatenate([p, np.tile(grid, models)])
    y = np.concatenate([np.clip(y, 0.0, 1.0), np.tile(grid, models)])
    weight = np.concatenate([weight, np.full(models * len(grid), BELIEF / len(grid))])
    design = np.column_stack([p, p[:, None] * own, own])
    penalty = np.repeat([1e-6, DEPARTURE**-2, 1e-6], [1, models, models])
    theta = np.repeat([PRIOR[0], 0.0, PRIOR[1]], [1, models, models])
    for _ in range(25):
        q = 0.5 * (1.0 + np.tanh(0.5 * (design @ theta)))
        curvature = design.T @ (design * (weight * q * (1 - q))[:, None]) + np.diag(penalty)
        theta -= np.linalg.solve(curvature, design.T @ (weight * (q - y)) + penalty * theta)
    return np.maximum(theta[0] + theta[1 : models + 1], 0.2), theta[models + 1 :]


def _tasks(log: Log, rows: Rows, basis: Basis, artefact: str) -> list[_Task]:
    pieces = by_part(log, rows.at)
    about = {"basis": basis, "artefact": artefact, "models": len(rows.models)}
    columns = {name: getattr(rows, name) for name in ("model", "fold", "y", "weight")}
    tasks: list[_Task] = []
    for group in range(GROUPS):
        own = pieces[group::GROUPS]
        if own:
            where = np.concatenate([place for _, _, place in own])
            bounds = np.cumsum([0, *(len(place) for _, _, place in own)])
            local = [(p, r, np.arange(a, b)) for (p, r, _), a, b in zip(own, bounds[:-1], bounds[1:], strict=True)]
            tasks.append(_Task(pieces=local, **about, **{name: column[where] for name, column in columns.items()}))
    return tasks


def _sums(task: _Task) -> Sums:
    """The worker's part, with one thread wherever it works: equal parts, equal bits."""
    sums = Sums.empty(task.models, task.basis.width)
    with one_thread():
        for path, rows, place in task.pieces:
            distinct, again = np.unique(rows, return_inverse=True)  # several rungs of one query are labelled
            for where, x in read_inputs(path, distinct, task.artefact):
                phi = task.basis.phi(x)
                here = np.flatnonzero((again >= where.start) & (again < where.stop))
                inputs, at = phi[again[here] - where.start], place[here]
                good = np.isfinite(inputs).all(axis=1)
                sums.add_rows(
                    inputs[good], task.model[at][good], task.fold[at][good], task.y[at][good], task.weight[at][good]
                )
    return sums


def _sample(log: Log, rows: Rows, basis: Basis, artefact: str, seed: int) -> tuple[Floats, Rows]:
    """Phi (s, D) and rows (s,) to calibrate on."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:CALIBRATION_SAMPLE])
    at, again = np.unique(rows.at[chosen], return_inverse=True)
    phi = basis.phi(inputs_of(log, at, artefact))[again]
    good = np.isfinite(phi).all(axis=1)
    fields = {name: getattr(rows, name)[chosen][good] for name in ("at", "model", "y", "weight", "fold")}
    return phi[good], replace(rows, **fields)
