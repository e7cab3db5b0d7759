"""Off-policy estimates held against the truth, on results where every model's answer to every question is known.

Half of the questions teach a model of the reward; the other half are the population. Per replication, n of them are
drawn with replacement and a logging policy that explores takes one model each; only that one's score is shown to the
estimators (and only for a share of the draws, as feedback comes). The truth is the target policy's mean score over the
population.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from classifier.inputs import Inputs
from training.benchmarks.tables import table
from training.data import DataError, Matrix, folds
from training.estimators import PartScaler
from training.learning.replay import Logged, Value, dr, ips, snips

Floats = NDArray[np.floating[Any]]

ALPHA: Final = 1_000.0  # of the ridge that models rewards; crude on purpose: DR must mend it
EXPLORED: Final = 0.3


def measure(
    matrix: Matrix,
    inputs: Inputs,
    *,
    size: int = 2_000,
    replications: int = 200,
    feedback: float = 1.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Bias and coverage of each estimator.

    Raises:
        DataError: fewer than 200 complete queries.
    """
    matrix = matrix.take(matrix.complete)
    if len(matrix) < 200:
        raise DataError(f"{len(matrix)} queries were answered by every model, 200 are needed")
    q, population = _modelled(matrix, inputs, seed)
    score = matrix.score[population]
    draw = np.random.default_rng(seed)
    logging = _exploring(q + 0.1 * draw.standard_normal(q.shape))
    target = np.eye(q.shape[1])[q.argmax(axis=1)]
    truth = float((target * score).sum(axis=1).mean())
    found: dict[str, list[Value]] = {"ips": [], "snips": [], "dr": []}
    for _ in range(replications):
        rows = draw.integers(0, len(q), size)
        taken = (logging[rows].cumsum(axis=1) > draw.random((size, 1))).argmax(axis=1)
        reward = np.where(draw.random(size) < feedback, score[rows, taken], np.nan)
        logged = Logged(taken=taken, propensity=logging[rows, taken], reward=reward, group=np.arange(size))
        for name, value in (
            ("ips", ips(logged, target[rows])),
            ("snips", snips(logged, target[rows])),
            ("dr", dr(logged, target[rows], q[rows])),
        ):
            found[name].append(value)
    return {
        "models": len(matrix.models), "population": len(q), "size": size, "replications": replications,
        "feedback": feedback, "truth": truth, "logged": float((logging * score).sum(axis=1).mean()),
        "estimators": {name: _figures(values, truth) for name, values in found.items()},
    }  # fmt: skip


def offpolicy_text(result: Mapping[str, Any]) -> str:
    """What `rung bench offpolicy` prints."""
    title = (
        f"{result['models']} models; truth {result['truth']:.4f}, logged policy {result['logged']:.4f}; "
        f"{result['replications']} logs of {result['size']} decisions, feedback for {result['feedback']:.0%}"
    )
    names = ("bias", "bias_error", "rmse", "coverage", "width", "effective")
    rows = [
        [name, *(f"{row[column]:+.4f}" if column == "bias" else f"{row[column]:.4f}" for column in names)]
        for name, row in result["estimators"].items()
    ]
    return f"{title}\n{table(['estimator', *(n.replace('_', ' ') for n in names)], rows)}"


def _modelled(matrix: Matrix, inputs: Inputs, seed: int) -> tuple[Floats, NDArray[np.intp]]:
    """Predicted rewards (p, m) of the population, from the other half, and the population's rows."""
    fold = folds(matrix.questions, 2, seed=seed)
    teach, population = np.flatnonzero(fold == 0), np.flatnonzero(fold == 1)
    x = inputs.compute_many(list(matrix.prompts))
    scaler = PartScaler(inputs.sizes[0]).fit(x[teach])
    ridge = Ridge(alpha=ALPHA).fit(scaler.transform(x[teach]), matrix.score[teach])
    return np.clip(ridge.predict(scaler.transform(x[population])), 0.0, 1.0), population


def _exploring(quality: Floats) -> Floats:
    """(p, m) probabilities of the logging policy: mostly its best, by another opinion than the target's."""
    models = quality.shape[1]
    return EXPLORED / models + (1.0 - EXPLORED) * np.eye(models)[quality.argmax(axis=1)]


def _figures(values: list[Value], truth: float) -> dict[str, float]:
    off = np.array([value.value for value in values]) - truth
    held = [value.low <= truth <= value.high for value in values]
    return {
        "bias": float(off.mean()),
        "bias_error": float(off.std() / np.sqrt(len(off))),
        "rmse": float(np.sqrt((off**2).mean())),
        "coverage": float(np.mean(held)),
        "width": float(np.mean([value.high - value.low for value in values])),
        "effective": float(np.mean([value.effective for value in values])),
    }
