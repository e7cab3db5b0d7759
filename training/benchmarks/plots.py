"""Pictures of a comparison: performance-gap curves, cost-quality curves and reliability, each as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from training.benchmarks import metrics, pool
from training.benchmarks.compare import Comparison

FORMATS = ("png", "svg")
BINS = 10  # of the reliability diagram: fewer than the ECE's, so that a point is not one query


def draw(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the pictures into a folder, which is made if need be; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[Any, Comparison], None]] = {"gap": _gap, "reliability": _reliability}
    if comparison.pool is not None:
        pictures["cost-quality"] = _cost_quality
    with mpl.rc_context({"svg.hashsalt": "rung", "font.size": 9}):
        return [path for name, paint in pictures.items() for path in _save(name, paint, comparison, folder)]


def _save(name: str, paint: Callable[[Any, Comparison], None], comparison: Comparison, folder: Path) -> list[Path]:
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    paint(figure.add_subplot(), comparison)
    paths = [folder / f"{name}.{kind}" for kind in FORMATS]
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def _gap(axes: Any, comparison: Comparison) -> None:  # noqa: ANN401 - matplotlib's axes are untyped
    gain = comparison.contest.gain
    for entry in comparison.entries:
        if entry.judgement is not None:
            curve = metrics.gap_curve(metrics.ranking(entry.judgement.gain), gain, np.ones((1, len(gain))))
            label = f"{entry.router} {entry.figures['apgr'].value:.3f}"
            axes.plot(100.0 * curve.share[0], 100.0 * curve.pgr[0], label=label, **_style(entry.router))
    axes.set_xlabel(f"queries sent to {comparison.contest.strong}, %")
    axes.set_ylabel("performance gap recovered, %")
    axes.set_title(f"against {comparison.contest.weak} ({comparison.contest.mode}); APGR in the legend")
    axes.legend(frameon=False)


def _reliability(axes: Any, comparison: Comparison) -> None:  # noqa: ANN401 - matplotlib's axes are untyped
    truth = comparison.contest.matrix.score.ravel()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for entry in comparison.entries:
        if entry.judgement is not None and entry.judgement.success is not None and entry.router != "oracle":
            success = entry.judgement.success.ravel()
            member = np.clip((success * BINS).astype(int), 0, BINS - 1)
            there = np.bincount(member, minlength=BINS) > 0
            means = [np.bincount(member, weights=w, minlength=BINS)[there] for w in (success, truth)]
            count = np.bincount(member, minlength=BINS)[there]
            axes.plot(means[0] / count, means[1] / count, marker="o", label=entry.router, **_style(entry.router))
    axes.set_xlabel("predicted success")
    axes.set_ylabel("success")
    axes.set_title("both models of the pair")
    axes.legend(frameon=False)


def _cost_quality(axes: Any, comparison: Comparison) -> None:  # noqa: ANN401 - matplotlib's axes are untyped
    if comparison.pool is None:
        return
    whole = comparison.pool.matrix
    for router, curve in comparison.curves.items():
        order = np.argsort(curve.usd)
        axes.plot(1000.0 * curve.usd[order], curve.accuracy[order], label=router, **_style(router))
    axes.scatter(1000.0 * whole.usd.mean(axis=0), whole.means, color="0.5", s=12, label="single models", zorder=3)
    best = pool.best_single(whole)
    axes.annotate(whole.models[best], (1000.0 * whole.usd[:, best].mean(), whole.means[best]), fontsize=7)
    axes.set_xscale("log")
    axes.set_xlabel("dollars per 1,000 queries")
    axes.set_ylabel("mean score")
    axes.legend(frameon=False)


def _style(router: str) -> dict[str, Any]:
    """Ours stands out, the bounds recede."""
    if router == "rung":
        return {"linewidth": 2.4, "zorder": 5, "color": "black"}
    if router in {"random", "oracle"}:
        return {"linewidth": 1, "linestyle": "--", "color": "0.5"}
    return {"linewidth": 1.2}
