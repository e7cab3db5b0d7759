"""How much a tenant's own labels are worth: the learning curve of `rung-train fit`'s heads.

Per draw, questions are shuffled; the last part is the test, and the first n give labels: of both models (paired) or of
one drawn by a coin (unpaired, as logs are). All questions that are not tested lie in the log without labels, as a log
has them. The base network is blank: nothing but the unsupervised encoder, and the metric where it is learnt from other
files (`train`), has seen other data; of those files, questions that are also in the tested one are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.head import Network, sigmoid
from classifier.inputs import Inputs
from training.benchmarks.metrics import apgr, gap_curve, ranking
from training.benchmarks.tables import mean_interval, mean_shown, table
from training.data import DataError, Matrix, sample_questions
from training.engine import one_thread
from training.learning.basis import UNITS, Basis, make_basis
from training.learning.dataset import Rows
from training.learning.heads import LANDMARK_SAMPLE, finish
from training.learning.metric import learn_metric
from training.learning.ridge import FOLDS, Sums, solve
from training.overlap import overlapping

Floats = NDArray[np.floating[Any]]

SIZES: Final = (50, 200, 1_000, 4_000)
TESTED: Final = 0.1  # least share of the questions that is tested
MEMBERS: Final = 4  # of the blank network: as many as the one that ships has


def measure(
    matrix: Matrix,
    weak: str,
    strong: str,
    inputs: Inputs,
    *,
    sizes: Sequence[int] = SIZES,
    repeats: int = 10,
    units: int = UNITS,
    train: Matrix | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """APGR of the learnt heads by number of labels, paired and unpaired.

    Args:
        matrix: the results. weak, strong: of the models. inputs: of the classifier. sizes: numbers of labels.
        repeats: draws. units: see training.learning.basis. seed: of the draws. progress: told each draw.
        train: results of other files, whose questions the metric is learnt from (training.learning.metric) but for
            those that also stand in the matrix; None for no metric.

    Raises:
        DataError: fewer than 100 questions that both models answered.
    """
    matrix = matrix.pick((weak, strong))
    matrix = matrix.take(matrix.complete)
    if len(matrix) < 100:
        raise DataError(f"{len(matrix)} questions were answered by both models, 100 are needed")
    x = inputs.compute_many(list(matrix.prompts))
    metric = None if train is None else _metric(train, matrix, inputs)
    most = int(len(np.unique(matrix.questions)) * (1.0 - TESTED))
    wanted = sorted({min(size, most) for size in sizes})
    found: dict[tuple[int, str], list[float]] = {}
    for draw in range(repeats):
        progress(f"draw {draw + 1} of {repeats}")
        with one_thread():
            _draw(matrix, x, inputs.sizes[0], units, metric, wanted, seed + draw, found)
    return {
        "weak": weak,
        "strong": strong,
        "queries": len(matrix),
        "repeats": repeats,
        "curve": [
            {"labels": size, **{kind: mean_interval(found[size, kind]) for kind in ("paired", "unpaired")},
             "lost_by_unpaired": mean_interval(np.subtract(found[size, "paired"], found[size, "unpaired"]).tolist())}
            for size in wanted
        ],
    }  # fmt: skip


def learning_text(result: Mapping[str, Any]) -> str:
    """What `rung bench learning` prints."""
    title = f"{result['weak']} against {result['strong']}, {result['queries']} queries, {result['repeats']} draws; APGR"
    rows = [
        [str(row["labels"]), *(mean_shown(row[kind], ".3f") for kind in ("paired", "unpaired", "lost_by_unpaired"))]
        for row in result["curve"]
    ]
    return f"{title}\n{table(['labels', 'paired', 'unpaired', 'lost by unpaired'], rows)}"


def blank(x: Floats, embedded: int) -> Network:
    """A network that standardises and says nothing."""
    deviation = x.std(axis=0)
    deviation[:embedded] = np.sqrt((deviation[:embedded] ** 2).mean())
    nothing = np.zeros((x.shape[1], 0), np.float32)
    return Network(
        shift=x.mean(axis=0).astype(np.float32),
        gain=(1.0 / np.maximum(deviation, 1e-3)).astype(np.float32),
        hidden=nothing,
        hidden_bias=nothing[0],
        out=np.zeros((MEMBERS, 0, 0), np.float32),
        skip=nothing,
        bias=np.zeros((MEMBERS, 0), np.float32),
    )


def _metric(train: Matrix, matrix: Matrix, inputs: Inputs) -> Floats:
    """Learnt from other questions than those that are tested."""
    other = train.take(~overlapping(train.prompts.tolist(), matrix.prompts.tolist()))
    if not len(other):
        raise DataError("every question of --train stands in --data too; give other files")
    return learn_metric(inputs.compute_many(other.prompts.tolist()), other, inputs.sizes[0])


def _draw(  # noqa: PLR0917 - one draw's pieces
    matrix: Matrix,
    x: Floats,
    embedded: int,
    units: int,
    metric: Floats | None,
    sizes: Sequence[int],
    seed: int,
    found: dict[tuple[int, str], list[float]],
) -> None:
    tested = ~sample_questions(matrix.questions, max(*sizes, 0), seed=seed)
    pool, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    sample = np.random.default_rng(seed).permutation(pool)[:LANDMARK_SAMPLE]
    basis = make_basis(blank(x[pool], embedded), x[sample], embedded, units=units, metric=metric)
    phi = basis.phi(x[pool])
    gain = (matrix.score[test, 1] - matrix.score[test, 0]).astype(np.float64)
    coin = np.random.default_rng(seed).integers(0, 2, len(matrix))
    for size in sizes:
        own = np.flatnonzero(sample_questions(matrix.questions, size, seed=seed)[pool])
        for kind in ("paired", "unpaired"):
            rows = _rows(matrix, pool, own, None if kind == "paired" else coin)
            success = _heads(basis, phi, rows, x[test])
            score = (success[:, 1] - success[:, 0]).astype(np.float64)
            area = apgr(gap_curve(ranking(score), gain, np.ones((1, len(test)))))
            found.setdefault((size, kind), []).append(float(area[0]))


def _rows(matrix: Matrix, pool: Any, own: Any, coin: Any) -> Rows:  # noqa: ANN401 - index arrays
    """Labels of the queries `own` (places in the pool), of both models or of the coin's."""
    at = np.repeat(own, 2) if coin is None else own
    model = np.tile([0, 1], len(own)) if coin is None else coin[pool[own]]
    return Rows(
        at=at,
        model=model,
        y=matrix.score[pool[at], model],
        weight=np.ones(len(at)),
        fold=matrix.questions[pool[at]] % FOLDS,
        models=matrix.models,
    )


def _heads(basis: Basis, phi: Floats, rows: Rows, x: Floats) -> Floats:
    """(n, 2) success by the heads as they would be served."""
    sums = Sums.empty(len(rows.models), basis.width)
    sums.add_rows(phi[rows.at], rows.model, rows.fold, rows.y, rows.weight)
    learnt = finish(basis, solve(sums), rows.models, phi[rows.at], rows)
    return sigmoid(learnt.network.outputs_many(x).mean(axis=1))
