"""`rung bench second-look`: what a transformer buys where only the closest decisions are given to it.

Two models, one judgement of every query by the first look and one by the second. To send a share s of the queries to
the strong model, the first look ranks them; those within a window around rank s, which holds the share that may be
looked at twice, are ranked again by the second look, and the window's places go to its best. So the share of strong
calls and the share of second looks are exact, whatever the two scores' units, and 0 % and 100 % are the first and the
second look alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.inputs import Inputs
from training.benchmarks import metrics
from training.benchmarks.bootstrap import Figures, bootstrap, figure
from training.benchmarks.routers import Judgement
from training.benchmarks.routing import Contest, run, success_figures
from training.benchmarks.subject import Rung
from training.benchmarks.tables import shown, table
from training.fit import RoutingModel

Floats = NDArray[np.float64]
SHARES: Final = (0.0, 0.1, 0.25, 0.5, 1.0)  # of the queries, looked at twice
GRID: Final = 101  # shares of strong calls at which the curve is read
FIGURES: Final = {"apgr": 3, "cpt50": 1, "cpt80": 1}  # and the digits that they are shown with


def recipe(inputs: Inputs, *, name: str, seed: int = 0) -> Rung:
    """Rung's recipe on these inputs, by this name in tables."""
    made = Rung(fit=lambda train: RoutingModel(inputs, seed=seed).fit(train))
    made.name = name
    return made


def both(first: Judgement, second: Judgement) -> Judgement:
    """The mean of two judgements, their routing scores brought to one scale."""
    gain = _standard(first.gain) + _standard(second.gain)
    if first.success is None or second.success is None:
        return Judgement(gain=gain)
    return Judgement(gain=gain, success=(first.success + second.success) / 2.0)


def compare(
    held: Contest,
    first: Inputs,
    second: Inputs,
    *,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Judge a contest by the first look, and by the second beside it for growing shares of the queries.

    Args:
        held: the contest. first, second: what the two looks see of a text.
        resamples: for the intervals. seed: of everything random.
        progress: told what is under way.
    """
    judged: list[Judgement] = []
    for name, inputs in (("first look", first), ("second look", second)):
        progress(name)
        judgement = run(recipe(inputs, name=name, seed=seed), held)
        assert judgement is not None  # noqa: S101 - `arrange` gave it something to learn from
        judged.append(judgement)
    one, mean = judged[0], both(*judged)
    rows: list[dict[str, Any]] = []
    for name, two in (("second alone", judged[1]), ("mean of both", mean)):
        for share in SHARES:
            progress(f"{name}, {share:.0%}")
            masks = sent(one.gain, two.gain, share)
            found = bootstrap(_curve(masks, held.gain), held.matrix.questions, count=resamples, seed=seed)
            rows.append({"looked": share, "by": name} | _told(FIGURES, found))
    gains = [_lead(held, one, two, resamples, seed) for two in (judged[1], mean)]
    names = ("first alone", "second alone", "mean of both")
    success = [
        {"by": name} | _told(("auroc", "brier", "ece"), _success(held, judgement, resamples, seed))
        for name, judgement in zip(names, (one, *judged[1:], mean), strict=True)
    ]
    return {
        "results": rows,
        "success": success,
        "lead_at_all": dict(zip(names[1:], gains, strict=True)),
        "queries": len(held.matrix),
        "mode": held.mode,
        "weak": held.weak,
        "strong": held.strong,
    }


def sent(first: Floats, second: Floats, share: float) -> NDArray[np.bool_]:
    """(n, GRID) who goes to the strong model at each share of strong calls, `share` of all being looked at twice."""
    n = len(first)
    order = _falling(first)
    width = round(share * n)
    masks = np.zeros((n, GRID), np.bool_)
    for column, wanted in enumerate(np.linspace(0.0, 1.0, GRID)):
        count = round(wanted * n)
        low = min(max(count - width // 2, 0), n - width)  # the window keeps its width at both ends
        window = order[low : low + width]
        masks[order[:low], column] = True
        masks[window[_falling(second[window])[: count - low]], column] = True
    return masks


def milliseconds(inputs: Inputs, texts: Sequence[str]) -> dict[str, float]:
    """p50 and p95 of one look at one text, in milliseconds."""
    inputs.compute_many(texts[:1])
    spent: list[float] = []
    for text in texts:
        start = perf_counter()
        inputs.compute_many([text])
        spent.append(1000.0 * (perf_counter() - start))
    return {"p50_ms": float(np.quantile(spent, 0.5)), "p95_ms": float(np.quantile(spent, 0.95))}


def second_look_text(result: Mapping[str, Any]) -> str:
    """What `rung bench second-look` prints."""
    title = f"{result['mode']}: {result['weak']} against {result['strong']}, {result['queries']} queries"
    rows = [
        [f"{row['looked']:.0%}", row["by"], *(shown(row, name, digits) for name, digits in FIGURES.items())]
        for row in result["results"]
    ]
    success = [[row["by"], *(shown(row, name, 3) for name in ("auroc", "brier", "ece"))] for row in result["success"]]
    leads = "; ".join(f"{name} {shown(row, 'apgr', 3)}" for name, row in result["lead_at_all"].items())
    times = result["milliseconds"]
    return "\n\n".join(
        [
            title,
            table(["looked twice", "the second look", "APGR", "CPT50 %", "CPT80 %"], rows),
            f"APGR over the first look alone, all looked at twice: {leads}",
            table(["success of both models", "AUROC", "Brier", "ECE"], success),
            f"one look, one thread: p50 {times['p50_ms']:.1f} ms, p95 {times['p95_ms']:.1f} ms on these prompts",
        ]
    )


def _falling(score: Floats) -> NDArray[np.intp]:
    """Indices by falling score."""
    return np.argsort(-score, kind="stable")


def _curve(masks: NDArray[np.bool_], gain: Floats) -> Callable[[Floats], Figures]:
    chosen = masks.astype(np.float64)

    def compute(weights: Floats) -> Figures:
        total = weights.sum(axis=1, keepdims=True)
        share = weights @ chosen / total
        gained = (weights * gain) @ chosen
        gap = metrics.Gap(share, gained / gained[:, -1:])
        return {
            "apgr": metrics.apgr(gap),
            "cpt50": 100.0 * metrics.cpt(gap, 0.5),
            "cpt80": 100.0 * metrics.cpt(gap, 0.8),
        }

    return compute


def _lead(held: Contest, one: Judgement, two: Judgement, resamples: int, seed: int) -> dict[str, Any]:
    """The paired difference of the areas, all looked at twice."""

    def area(judgement: Judgement) -> Any:  # noqa: ANN401 - an Interval, used at once
        masks = sent(judgement.gain, judgement.gain, 0.0)
        return bootstrap(_curve(masks, held.gain), held.matrix.questions, count=resamples, seed=seed)["apgr"]

    return figure("apgr", {"apgr": area(two).minus(area(one))})


def _success(held: Contest, judgement: Judgement, resamples: int, seed: int) -> Mapping[str, Any]:
    def compute(weights: Floats) -> Figures:
        return success_figures(judgement.success, -judgement.gain, held.matrix.score, weights)

    return bootstrap(compute, held.matrix.questions, count=resamples, seed=seed)


def _told(names: Iterable[str], found: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in names:
        told |= figure(name, found)
    return told


def _standard(values: Floats) -> Floats:
    return (values - values.mean()) / max(float(values.std()), 1e-9)
