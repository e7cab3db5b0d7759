"""`rung bench routing` without its command line: every router through one contest, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from training.benchmarks import pool, routing, slices
from training.benchmarks.bootstrap import Interval, figure
from training.benchmarks.embedding import StaticEmbedder
from training.benchmarks.factorisation import MatrixFactorisation
from training.benchmarks.knn import Knn
from training.benchmarks.routers import (
    Category,
    Judgement,
    Router,
    length_router,
    oracle,
    plugged_routers,
    random_router,
)
from training.benchmarks.routing import Contest, Setting
from training.data import DataError

NOTHING_LEARNT = "had nothing to learn from: add --train FILE, or use --mode cv"
FIGURES = ("apgr", "cpt50", "cpt80", "cost80", "oracle_share", "auroc", "brier", "ece")
POOL_FIGURES = (
    "area",
    "accuracy_at_best_cost",
    "gain_at_best_cost",
    "cost_at_best_accuracy",
    "extra_cost_at_best_accuracy",
)
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One router's result: figures are empty and `note` says why where it could not take part."""

    router: str
    judgement: Judgement | None
    figures: Mapping[str, Interval]
    seconds: float
    learns: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everyone's result, ours first; `pool` and `curves` by router if there are more than two models.

    `slices` are ours by parts of the test (`training.benchmarks.slices`), None where nobody asked for them.
    """

    setting: Setting
    contest: Contest
    entries: tuple[Entry, ...]
    pool: Contest | None
    curves: Mapping[str, pool.Curve]
    slices: Sequence[Mapping[str, Any]] | None = None


def field(rung: Router) -> list[Router]:
    """Ours and every baseline."""
    embed = StaticEmbedder()
    baselines: list[Router] = [
        random_router(),
        length_router(),
        Category(),
        Knn(embed),
        MatrixFactorisation(embed),
    ]
    return [rung, *baselines, *plugged_routers()]


def compare(
    setting: Setting,
    pair: tuple[str, str],
    routers: Sequence[Router],
    *,
    resamples: int = 1000,
    seed: int = 0,
    sliced: bool = False,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Run everyone through the contest of two, and whoever gives probabilities through that of all models.

    Args:
        setting: training and test.
        pair: names of the weak and the strong model.
        routers: who takes part; the oracle is added.
        resamples: for the intervals.
        seed: of the resamples: the same for all, so that differences are paired.
        sliced: show the first router by slices, too.
        progress: told what is under way.

    Raises:
        DataError: the pair's scores are all the same.
    """
    held = routing.contest(setting, pair)
    _tell_apart(held)
    entries: list[Entry] = []
    for router in routers:
        progress(router.name)
        entries.append(_enter(router, held, resamples, seed, _under(progress, router.name)))
    entries.append(_scored("oracle", oracle(held.matrix.score), held, resamples, seed))
    parts = _slices(entries[0], held, resamples, seed) if sliced else None
    whole = pool.models(setting.matrix)
    if len(whole) == 2:
        return Comparison(setting=setting, contest=held, entries=tuple(entries), pool=None, curves={}, slices=parts)
    many, curves = routing.contest(setting, whole), dict[str, pool.Curve]()
    expected = pool.expected_costs(many.matrix, many.matrix.prompts)
    for router in routers:
        name = f"{router.name}, {len(whole)} models"
        progress(name)
        judgement = routing.run(router, many, _under(progress, name)) if router.names_success else None
        if judgement is not None and judgement.success is not None:
            curves[router.name] = pool.curve(judgement.success, expected, many.matrix, resamples=resamples, seed=seed)
    curves["oracle"] = pool.curve(many.matrix.score, expected, many.matrix, resamples=resamples, seed=seed)
    return Comparison(setting=setting, contest=held, entries=tuple(entries), pool=many, curves=curves, slices=parts)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The shape that `--json` prints; a figure that does not exist is null."""
    contest, setting = comparison.contest, comparison.setting
    return {
        "results": [_row(entry, comparison) for entry in comparison.entries],
        "mode": contest.mode,
        "weak": contest.weak,
        "strong": contest.strong,
        "weak_score": float(contest.matrix.score[:, 0].mean()),
        "strong_score": float(contest.matrix.score[:, -1].mean()),
        "queries": len(contest.matrix),
        "questions": len(np.unique(contest.matrix.questions)),
        "models": len(setting.matrix.models),
        "overlap_removed": setting.removed,
        "overlap_removed_from": setting.removed_from or None,
        "pool": _pool(comparison),
        "slices": comparison.slices,
        "notes": _notes(contest),
    }


def _tell_apart(held: Contest) -> None:
    """Nothing can be ranked where nothing differs."""
    if np.ptp(held.matrix.score) == 0.0:
        same = f"the score of {held.weak} and {held.strong} is {held.matrix.score[0, 0]:g} on all"
        raise DataError(f"{same} {len(held.matrix)} queries: nothing tells them apart; give other data or models")


def _notes(held: Contest) -> list[str]:
    """What the reader has to know of the pair."""
    if held.gain.sum() > 0.0:
        return []
    remedy = "there is no gap to recover, and so no APGR and no CPT; name others with --strong and --weak"
    return [f"{held.strong} is no better than {held.weak} on these queries: {remedy}"]


def _slices(ours: Entry, held: Contest, resamples: int, seed: int) -> list[dict[str, Any]]:
    return [] if ours.judgement is None else slices.measure(ours.judgement, held, resamples=resamples, seed=seed)


def _enter(router: Router, contest: Contest, resamples: int, seed: int, progress: Progress) -> Entry:
    start = perf_counter()
    judgement = routing.run(router, contest, progress)
    if judgement is None:
        return Entry(router=router.name, judgement=None, figures={}, seconds=0.0, learns=True, note=NOTHING_LEARNT)
    entry = _scored(router.name, judgement, contest, resamples, seed)
    return Entry(
        router=entry.router,
        judgement=entry.judgement,
        figures=entry.figures,
        seconds=perf_counter() - start,
        learns=router.learns,
    )


def _under(progress: Progress, name: str) -> Progress:
    """Tells the same, after a name."""
    return lambda what: progress(f"{name}, {what}")


def _scored(name: str, judgement: Judgement, contest: Contest, resamples: int, seed: int) -> Entry:
    found = routing.figures(judgement, contest, resamples=resamples, seed=seed)
    return Entry(router=name, judgement=judgement, figures=found, seconds=0.0, learns=False)


def _row(entry: Entry, comparison: Comparison) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in FIGURES:
        figures |= figure(name, entry.figures)
    over = {
        other.router: figure("apgr", {"apgr": entry.figures["apgr"].minus(other.figures["apgr"])})
        for other in comparison.entries
        if entry.figures and other.figures and other is not entry and entry is comparison.entries[0]
    }
    learnt = {"cv": "the other folds", "transfer": "--train", "shipped": "--train"}[comparison.contest.mode]
    return {
        "router": entry.router,
        **figures,
        **({"over": over} if over else {}),
        "learnt_from": learnt if entry.learns and entry.figures else None,
        "seconds": round(entry.seconds, 2),
        "note": entry.note,
    }


def _pool(comparison: Comparison) -> dict[str, Any] | None:
    if comparison.pool is None:
        return None
    whole = comparison.pool.matrix
    best = pool.best_single(whole)
    rows: list[dict[str, Any]] = []
    for router, curve in comparison.curves.items():
        found: dict[str, Any] = {}
        for name in POOL_FIGURES:
            found |= figure(name, curve.figures)
        points = [[float(usd), float(score)] for usd, score in zip(curve.usd, curve.accuracy, strict=True)]
        rows.append({"router": router, **found, "curve": points})
    return {
        "models": list(whole.models),
        "queries": len(whole),
        "best_single": {
            "model": whole.models[best],
            "accuracy": float(whole.score[:, best].mean()),
            "usd_per_query": float(whole.usd[:, best].mean()),
        },
        "results": rows,
    }
