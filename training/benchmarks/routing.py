"""The contest of two models: who sends the right queries to the strong one.

1. `prepare` picks the pair and the queries that both answered, and lays out what is trained on and what is
   judged.
2. `run` lets one router judge every query, never one that it was trained on.
3. `figures` turns its judgement into figures with intervals; all routers get the same resamples.
"""

from __future__ import annotations

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

MIN_PAIRED = 20  # with fewer queries no figure means anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What may be learnt from (None: nothing), and which test queries are then judged."""

    train: Matrix | None
    rows: NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Test queries that both models answered, and the splits.

    Attributes:
        matrix: n queries x all models of the file. asked: what routers may see of them.
        removed: queries taken out because training and test shared them; removed_from: of which side.
    """

    mode: Mode
    matrix: Matrix
    asked: Asked
    splits: tuple[Split, ...]
    removed: int = 0
    removed_from: str = ""

    @property
    def weak(self) -> str:
        """Name of the weak model."""
        return self.asked.models[self.asked.weak]

    @property
    def strong(self) -> str:
        """Name of the strong model."""
        return self.asked.models[self.asked.strong]

    @property
    def gain(self) -> Floats:
        """(n,) strong's score - weak's score."""
        return self.matrix.score[:, self.asked.strong] - self.matrix.score[:, self.asked.weak]


def prepare(
    matrix: Matrix,
    mode: Mode,
    *,
    train: Matrix | None = None,
    strong: str | None = None,
    weak: str | None = None,
    labels: int | None = None,
    k: int = 5,
    seed: int = 0,
) -> Contest:
    """Lay the contest out.

    Args:
        matrix: the test results.
        mode: `cv` trains on the other folds, `transfer` on `train`; `shipped` lets only the baselines learn
            from `train`.
        train: results of other files. Questions that it shares with the test leave `train`, or in mode
            `shipped`, where the classifier can't unlearn them, the test.
        strong: a model's name; by default the one with the highest mean score.
        weak: likewise the lowest.
        labels: in mode `cv`, learn from this many questions only.
        k: folds of `cv`.
        seed: of folds and label draws.

    Raises:
        DataError: the pair is not there, answered hardly anything in common, or nothing remains to train on.
    """
    if mode == "transfer" and train is None:
        raise DataError("the mode transfer needs results to train on: add --train FILE")
    weak, strong = _pair(matrix, weak, strong)
    pair = matrix.pick([weak, strong])
    matrix = matrix.take(pair.complete)
    removed, removed_from = 0, ""
    if train is not None and mode == "shipped":
        shared = overlapping(matrix.prompts.tolist(), train.prompts.tolist())
        matrix, removed, removed_from = matrix.take(~shared), int(shared.sum()), "test"
    elif train is not None:
        shared = overlapping(train.prompts.tolist(), matrix.prompts.tolist())
        train, removed, removed_from = train.take(~shared), int(shared.sum()), "training"
        if not len(train):
            raise DataError("every training question stands in the test data too; train on other files")
    if len(matrix) < MIN_PAIRED:
        raise DataError(
            f"only {len(matrix)} test queries were answered by both {weak} and {strong}; choose another pair"
        )
    whole = Split(train=train, rows=np.arange(len(matrix)))
    return Contest(
        mode=mode,
        matrix=matrix,
        asked=asked_of(matrix, weak, strong),
        splits=_cross(matrix, labels=labels, k=k, seed=seed) if mode == "cv" else (whole,),
        removed=removed,
        removed_from=removed_from,
    )


def run(router: Router, contest: Contest) -> Judgement | None:
    """Judge every query; None where the router would have to learn, and there is nothing to learn from."""
    parts: list[Judgement] = []
    for split in contest.splits:
        if router.learns:
            if split.train is None:
                return None
            router.fit(split.train)
        parts.append(router.judge(_known_abilities(contest.asked, split.train).take(split.rows)))
    rows = np.concatenate([split.rows for split in contest.splits])
    back = np.argsort(rows)
    success = [part.success for part in parts if part.success is not None]
    return Judgement(
        gain=np.concatenate([part.gain for part in parts])[back],
        success=np.concatenate(success)[back] if len(success) == len(parts) else None,
    )


def figures(
    judgement: Judgement, contest: Contest, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """The figures of one router with intervals; the names are those of the JSON, CPT and cost in percent."""
    pair = [contest.asked.weak, contest.asked.strong]
    gain, truth = contest.gain, contest.matrix.score[:, pair]
    extra = contest.matrix.usd[:, pair[1]] - contest.matrix.usd[:, pair[0]]
    base = contest.matrix.usd[:, pair[0]]
    ranked, best = metrics.ranking(judgement.gain), metrics.ranking(oracle(truth, _two(contest.asked)).gain)
    success = None if judgement.success is None else judgement.success[:, pair]

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
            **success_figures(success, -judgement.gain, truth, weights),
        }

    return bootstrap(compute, contest.matrix.questions, count=resamples, seed=seed)


def success_figures(success: Floats | None, fallback: Floats, truth: Floats, weights: Floats) -> Figures:
    """AUROC, Brier and ECE of success, each the mean over the models.

    Where a router names no probabilities its score ranks the queries (AUROC only: (n,) `fallback`, higher for
    likelier success), and the other two are left out.
    """
    models = range(truth.shape[1])
    if success is None:
        ranked = metrics.ranking(fallback)
        return {"auroc": np.mean([metrics.auroc(ranked, truth[:, m], weights) for m in models], axis=0)}
    columns = [(success[:, m], truth[:, m]) for m in models]
    return {
        "auroc": np.mean([metrics.auroc(metrics.ranking(p), y, weights) for p, y in columns], axis=0),
        "brier": np.mean([metrics.brier(p, y, weights) for p, y in columns], axis=0),
        "ece": np.mean([metrics.ece(p, y, weights) for p, y in columns], axis=0),
    }


def asked_of(matrix: Matrix, weak: str, strong: str) -> Asked:
    """What routers may see of a matrix."""
    return Asked(
        prompts=matrix.prompts,
        categories=matrix.categories,
        models=matrix.models,
        abilities=matrix.means,
        weak=matrix.models.index(weak),
        strong=matrix.models.index(strong),
    )


def _pair(matrix: Matrix, weak: str | None, strong: str | None) -> tuple[str, str]:
    """The named pair, else the models of lowest and highest mean score."""
    if len(matrix.models) < 2:
        raise DataError(f"routing needs two models, the data has only {', '.join(matrix.models)}")
    matrix.pick([name for name in (weak, strong) if name is not None])  # names the absent ones
    order = np.argsort(matrix.means, kind="stable")
    weak = weak or next(matrix.models[i] for i in order if matrix.models[i] != strong)
    strong = strong or next(matrix.models[i] for i in order[::-1] if matrix.models[i] != weak)
    if weak == strong:
        raise DataError(f"{weak} is both the weak and the strong model; name two")
    return weak, strong


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


def _known_abilities(asked: Asked, train: Matrix | None) -> Asked:
    """Abilities by the training results where the same models stand there, not by the test's own."""
    if train is None or not set(asked.models) <= set(train.models):
        return asked
    return replace(asked, abilities=train.pick(asked.models).means)


def _two(asked: Asked) -> Asked:
    """The same question about a matrix of just the pair, weak first."""
    return replace(asked, models=(asked.models[asked.weak], asked.models[asked.strong]), weak=0, strong=1)
