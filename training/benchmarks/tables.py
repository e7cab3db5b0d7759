"""Figures as text for people: aligned columns, intervals beside their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Row = Sequence[str]


def table(header: Row, rows: Sequence[Row]) -> str:
    """Columns as wide as their longest cell, two spaces between; figures to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return "\n".join(_line(row, widths) for row in (header, ["-" * width for width in widths], *rows))


def shown(row: Mapping[str, Any], name: str, digits: int) -> str:
    """`value [low, high]` of a JSON row, `-` where it is null."""
    value, interval = row.get(name), row.get(f"{name}_ci")
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    return text if interval is None else f"{text} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def mean_interval(values: Sequence[float]) -> dict[str, float | None]:
    """Mean over draws with the 95 % interval of that mean (normal); of a single draw there is none."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    half = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return {"mean": mean, "low": float(mean - half), "high": float(mean + half)}


def mean_shown(row: Mapping[str, Any], form: str) -> str:
    """`mean [low, high]` of what `mean_interval` gave, each in this format."""
    mean = format(row["mean"], form)
    return mean if row["low"] is None else f"{mean} [{row['low']:{form}}, {row['high']:{form}}]"


def routing_text(result: Mapping[str, Any]) -> str:
    """What `rung bench routing` prints."""
    parts = [_setting(result), _routers(result)]
    if result["results"] and result["results"][0].get("over"):
        parts.append(_leads(result["results"][0]))
    if result["pool"] is not None:
        parts.append(_pool(result["pool"]))
    if result["slices"] is not None:
        parts.append(_slices(result["slices"]))
    notes = [*result["notes"], *(f"{row['router']}: {row['note']}" for row in result["results"] if row["note"])]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def _setting(result: Mapping[str, Any]) -> str:
    removed = result["overlap_removed"]
    overlap = f"; {removed} overlapping {result['overlap_removed_from']} queries removed" if removed else ""
    pair = f"{result['weak']} ({result['weak_score']:.3f}) against {result['strong']} ({result['strong_score']:.3f})"
    return f"{result['mode']}: {pair}, {result['queries']} queries of {result['questions']} questions{overlap}"


def _routers(result: Mapping[str, Any]) -> str:
    columns = (
        ("apgr", 3),
        ("cpt50", 1),
        ("cpt80", 1),
        ("cost80", 1),
        ("oracle_share", 3),
        ("auroc", 3),
        ("brier", 3),
    )
    header = ["router", "APGR", "CPT50 %", "CPT80 %", "cost80 %", "of oracle", "AUROC", "Brier", "ECE"]
    rows = [
        [row["router"], *(shown(row, name, digits) for name, digits in (*columns, ("ece", 3)))]
        for row in result["results"]
    ]
    return table(header, rows)


def _slices(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "by slices: each is too small, or the whole"
    cells = [
        [
            row["by"],
            row["slice"],
            str(row["queries"]),
            f"{row['gap']:.3f}",
            shown(row, "apgr", 3),
            shown(row, "auroc", 3),
        ]
        for row in rows
    ]
    return table(["by", "slice", "queries", "gap", "APGR", "AUROC"], cells)


def _leads(row: Mapping[str, Any]) -> str:
    leads = [f"{other} {shown(by, 'apgr', 3)}" for other, by in row["over"].items() if other != "oracle"]
    return f"{row['router']}'s APGR over: " + "; ".join(leads)


def _pool(found: Mapping[str, Any]) -> str:
    best = found["best_single"]
    title = (
        f"{len(found['models'])} models, {found['queries']} queries; best single: {best['model']}, "
        f"accuracy {best['accuracy']:.3f} at ${1000 * best['usd_per_query']:.4f} per 1,000 queries"
    )
    header = ["router", "area", "accuracy at its cost", "gain, points", "cost at its accuracy", "extra cost"]
    columns = (
        ("area", 3),
        ("accuracy_at_best_cost", 3),
        ("gain_at_best_cost", 1),
        ("cost_at_best_accuracy", 2),
        ("extra_cost_at_best_accuracy", 2),
    )
    rows = [[row["router"], *(shown(row, name, digits) for name, digits in columns)] for row in found["results"]]
    return f"{title}\n{table(header, rows)}"


def _line(row: Row, widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()
