"""The contest of two models: who sends the right queries to the strong one.

1. `arrange` settles what is judged and what may be learnt from: overlap between the two is removed.
2. `contest` picks the models and the queries that all of them answered.
3. `run` lets one router judge every query, never one that it was trained on.
4. `figures` turns its judgement into figures with intervals; all routers get the same resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.benchmarks import metrics
from training.benchmarks.bootstrap import Figures, Interval, bootstrap
from training.benchmarks.metrics import Floats
from training.benchmarks.routers import Asked, Judgement, Router, oracle
from training.data import DataError, Matrix, folds, sample_questions
from training.overlap import overlapping

Mode = Literal["shipped", "transfer", "cv"]

MIN_QUERIES = 10  # with fewer queries no figure means anything
MIN_LEARNT = 10  # questions; of fewer nobody learns anything, and some learners find no solution


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What may be learnt from (None: nothing), and the rows that are then judged."""

    train: Matrix | None
    rows: NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is judged and what may be learnt from, over all models.

    Attributes:
        matrix: the test results. splits: in mode `cv` one per fold, else one.
        removed: queries taken out because training and test shared them; removed_from: of which side.
    """

    mode: Mode
    matrix: Matrix
    splits: tuple[Split, ...]
    removed: int = 0
    removed_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Test queries that all chosen models answered.

    Attributes:
        matrix: n queries x the chosen models, weak first, strong last.
        asked: what routers may see of them. splits: their `rows` index `matrix`.
    """

    mode: Mode
    matrix: Matrix
    asked: Asked
    splits: tuple[Split, ...]

    @property
    def weak(self) -> str:
        """Name of the weak model."""
        return self.matrix.models[0]

    @property
    def strong(self) -> str:
        """Name of the strong model."""
        return self.matrix.models[-1]

    @property
    def gain(self) -> Floats:
        """(n,) strong's score - weak's score."""
        return self.matrix.score[:, -1] - self.matrix.score[:, 0]


def arrange(
    matrix: Matrix,
    mode: Mode,
    *,
    train: Matrix | None = None,
    labels: int | None = None,
    k: int = 5,
    seed: int = 0,
) -> Setting:
    """Settle training and test.

    Args:
        matrix: the test results.
        mode: `cv` trains on the other folds, `transfer` on `train`; `shipped` lets only baselines learn, from `train`.
        train: results of other files. Questions shared with the test leave it; in mode `shipped`, where the
            classifier cannot unlearn them, they leave the test.
        labels: in mode `cv`, learn from this many questions only.
        k: folds of `cv`.
        seed: of folds and label draws.

    Raises:
        DataError: the mode and the data do not go together, or overlap leaves nothing.
    """
    if mode == "cv":
        if train is not None:
            raise DataError("the mode cv learns from the other folds; --train is for transfer and shipped")
        return Setting(mode=mode, matrix=matrix, splits=_cross(matrix, labels=labels, k=k, seed=seed))
    if labels is not None:
        raise DataError("--labels limits what the mode cv learns from; it means nothing elsewhere")
    if train is None:
        if mode == "transfer":
            raise DataError("the mode transfer needs results to train on: add --train FILE")
        return Setting(mode=mode, matrix=matrix, splits=(_whole(matrix, None),))
    if mode == "shipped":
        shared = overlapping(matrix.prompts.tolist(), train.prompts.tolist())
        matrix, side = matrix.take(~shared), "test"
    else:
        shared = overlapping(train.prompts.tolist(), matrix.prompts.tolist())
        train, side = train.take(~shared), "training"
    if not len(matrix) or not len(train):
        raise DataError("every question stands both in --data and in --train; train on other files")
    if (left := len(np.unique(train.questions))) < MIN_LEARNT:
        raise DataError(f"--train has only {left} questions to learn from; it takes {MIN_LEARNT}, and pays from 200")
    return Setting(
        mode=mode, matrix=matrix, splits=(_whole(matrix, train),), removed=int(shared.sum()), removed_from=side
    )


def pair(matrix: Matrix, *, weak: str | None = None, strong: str | None = None) -> tuple[str, str]:
    """(weak, strong): the named models, else those of lowest and highest mean score.

    Models that answered less than half of the queries are not chosen where others are there: their means are of
    other questions.

    Raises:
        DataError: there are no two models, or a named one is not there.
    """
    if len(matrix.models) < 2:
        raise DataError(f"routing needs two models, the data has only {', '.join(matrix.models)}")
    matrix.pick([name for name in (weak, strong) if name is not None])  # names the absent ones
    coverage = np.isfinite(matrix.score).mean(axis=0)
    usual = coverage >= (0.5 if (coverage >= 0.5).sum() >= 2 else 0.0)
    order = [i for i in np.argsort(matrix.means, kind="stable") if usual[i]]
    weak = weak or next(matrix.models[i] for i in order if matrix.models[i] != strong)
    strong = strong or next(matrix.models[i] for i in order[::-1] if matrix.models[i] != weak)
    if weak == strong:
        raise DataError(f"{weak} is both the weak and the strong model; name two")
    return weak, strong


def contest(setting: Setting, models: Sequence[str]) -> Contest:
    """Narrow the test to these models, weak first and strong last, and to queries that all of them answered.

    Raises:
        DataError: too few such queries.
    """
    chosen = setting.matrix.pick(models)
    kept = chosen.complete
    if kept.sum() < MIN_QUERIES:
        raise DataError(f"only {kept.sum()} test queries were answered by all of {', '.join(models)}; choose others")
    position = np.cumsum(kept) - 1
    matrix = chosen.take(kept)
    asked = Asked(prompts=matrix.prompts, categories=matrix.categories, models=matrix.models, abilities=matrix.means)
    splits = tuple(Split(train=s.train, rows=position[s.rows[kept[s.rows]]]) for s in setting.splits)
    return Contest(mode=setting.mode, matrix=matrix, asked=asked, splits=splits)


def run(router: Router, held: Contest, progress: Callable[[str], None] = lambda _: None) -> Judgement | None:
    """Judge every query; None where the router would have to learn, and there is nothing to learn from.

    `progress` is told each fold of several.
    """
    parts: list[Judgement] = []
    for number, split in enumerate(held.splits, 1):
        if len(held.splits) > 1:
            progress(f"fold {number} of {len(held.splits)}")
        if router.learns:
            if split.train is None:
                return None
            router.fit(split.train)
        parts.append(router.judge(_known_abilities(held.asked, split.train).take(split.rows)))
    rows = np.concatenate([split.rows for split in held.splits])
    back = np.argsort(rows)
    success = [part.success for part in parts if part.success is not None]
    return Judgement(
        gain=np.concatenate([part.gain for part in parts])[back],
        success=np.concatenate(success)[back] if len(success) == len(parts) else None,
    )


def figures(judgement: Judgement, held: Contest, *, resamples: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """The figures of one router with intervals; the names are those of the JSON, CPT and cost in percent."""
    gain, truth = held.gain, held.matrix.score
    base = held.matrix.usd[:, 0]
    extra = held.matrix.usd[:, -1] - base
    ranked, best = metrics.ranking(judgement.gain), metrics.ranking(oracle(truth).gain)

    def compute(weights: Floats) -> Figures:
        gap = metrics.gap_curve(ranked, gain, weights)
        area, best_area = metrics.apgr(gap), metrics.apgr(metrics.gap_curve(best, gain, weights))
        cpt80 = metrics.cpt(gap, 0.8)
        return {
            "apgr": area,
            "cpt50": 100.0 * metrics.cpt(gap, 0.5),
            "cpt80": 100.0 * cpt80,
            "cost80": 100.0 * metrics.relative_cost(ranked, base, extra, weights, cpt80),
            "oracle_share": (area - 0.5) / (best_area - 0.5),
            **success_figures(judgement.success, -judgement.gain, truth, weights),
        }

    return bootstrap(compute, held.matrix.questions, count=resamples, seed=seed)


def success_figures(success: Floats | None, fallback: Floats, truth: Floats, weights: Floats) -> Figures:
    """AUROC, Brier and ECE of success, each the mean over the models.

    Where a router names no probabilities its score ranks the queries (AUROC only: (n,) `fallback`, higher for
    likelier success), and the other two are left out.
    """
    models = range(truth.shape[1])
    if success is None:
        ranked = metrics.ranking(fallback)
        return {"auroc": metrics.mean_known([metrics.auroc(ranked, truth[:, m], weights) for m in models])}
    columns = [(success[:, m], truth[:, m]) for m in models]
    return {
        "auroc": metrics.mean_known([metrics.auroc(metrics.ranking(p), y, weights) for p, y in columns]),
        "brier": np.mean([metrics.brier(p, y, weights) for p, y in columns], axis=0),
        "ece": np.mean([metrics.ece(p, y, weights) for p, y in columns], axis=0),
    }


def _cross(matrix: Matrix, *, labels: int | None, k: int, seed: int) -> tuple[Split, ...]:
    """Folds by question, each trained on the others, or on `labels` questions of them."""
    fold = folds(matrix.questions, k, seed=seed)
    splits: list[Split] = []
    for i in range(k):
        train = matrix.take(fold != i)
        if labels is not None:
            train = train.take(sample_questions(train.questions, labels, seed=seed + i))
        splits.append(Split(train=train, rows=np.flatnonzero(fold == i)))
    return tuple(splits)


def _whole(matrix: Matrix, train: Matrix | None) -> Split:
    return Split(train=train, rows=np.arange(len(matrix)))


def _known_abilities(asked: Asked, train: Matrix | None) -> Asked:
    """Abilities by the training results where the same models stand there, not by the test's own."""
    if train is None or not set(asked.models) <= set(train.models):
        return asked
    return replace(asked, abilities=train.pick(asked.models).means)
