"""Pictures of `rung bench budget`: spend against time per budget and traffic, and quality against budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

FORMATS = ("png", "svg")
DAYS = 30.0
BOUNDS = ("optimum_predicted", "clairvoyant")


def draw(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the pictures into a folder, which is made if need be; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = result["results"]
    with mpl.rc_context({"svg.hashsalt": "rung", "font.size": 9}):
        return [
            *_save("spend-by-time", _grid(rows, _spend), folder),
            *_save("quality-by-budget", _quality(rows), folder),
        ]


def _save(name: str, figure: Figure, folder: Path) -> list[Path]:
    paths = [folder / f"{name}.{kind}" for kind in FORMATS]
    for path in paths:
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def _grid(rows: list[dict[str, Any]], paint: Any) -> Figure:  # noqa: ANN401 - a function over matplotlib's untyped axes
    """One panel per budget (down) and shape of traffic (across)."""
    budgets, shapes = (list(dict.fromkeys(row[name] for row in rows)) for name in ("budget", "traffic"))
    figure = Figure(figsize=(3.2 * len(shapes) + 0.6, 2.5 * len(budgets) + 0.6), layout="constrained")
    panels: Any = figure.subplots(len(budgets), len(shapes), squeeze=False, sharex=True, sharey=True)
    for i, budget in enumerate(budgets):
        for j, shape in enumerate(shapes):
            axes = panels[i, j]
            paint(axes, [row for row in rows if (row["budget"], row["traffic"]) == (budget, shape)])
            axes.set_title(f"budget {budget:g}, {shape}")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _spend(axes: Any, rows: list[dict[str, Any]]) -> None:  # noqa: ANN401 - matplotlib's axes are untyped
    axes.axhline(100.0, color="0.7", linewidth=1)
    for row in rows:
        if "spend_by_time" in row:
            spent = 100.0 * np.array(row["spend_by_time"])
            axes.plot(np.linspace(0.0, DAYS, len(spent)), spent, label=row["policy"], **_style(row["policy"]))
    axes.set_xlabel("day of the window")
    axes.set_ylabel("spent, % of the budget")


def _quality(rows: list[dict[str, Any]]) -> Figure:
    """One panel per shape of traffic."""
    shapes = list(dict.fromkeys(row["traffic"] for row in rows))
    figure = Figure(figsize=(3.2 * len(shapes) + 0.6, 3.4), layout="constrained")
    panels: Any = figure.subplots(1, len(shapes), squeeze=False, sharey=True)
    for axes, shape in zip(panels[0], shapes, strict=True):
        for policy in dict.fromkeys(row["policy"] for row in rows):
            points = sorted(
                (row["budget"], row["accuracy"]) for row in rows if (row["traffic"], row["policy"]) == (shape, policy)
            )
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=policy, **_style(policy))
        axes.set_title(shape)
        axes.set_xlabel("budget, share of always strong")
    panels[0, 0].set_ylabel("mean score")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _style(policy: str) -> dict[str, Any]:
    """Ours stands out, the bounds recede."""
    if policy == "rung":
        return {"linewidth": 2.2, "zorder": 5, "color": "black"}
    if policy in BOUNDS:
        return {"linewidth": 1, "linestyle": "--" if policy == BOUNDS[0] else ":", "color": "0.5"}
    return {"linewidth": 1.2}
