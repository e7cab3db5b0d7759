"""The figures of `rung bench budget` as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.benchmarks.tables import shown, table

DRIFTERS = ("rung", "strong_until_gone")


def budget_text(result: Mapping[str, Any]) -> str:
    """What `rung bench budget` prints."""
    rows = result["results"]
    cells = dict.fromkeys((row["budget"], row["traffic"]) for row in rows)
    parts = [_setting(result)]
    parts += [_cell([row for row in rows if (row["budget"], row["traffic"]) == cell]) for cell in cells]
    return "\n\n".join(parts)


def _setting(result: Mapping[str, Any]) -> str:
    return (
        f"{result['queries']} queries, {len(result['models'])} models; cheap: {result['cheap']} at "
        f"{result['cheap_share']:.2f} of the cost of strong: {result['strong']}; {result['seeds']} seeds, "
        f"{result['tenants']} tenants, {result['ledger']} ledger"
    )


def _cell(rows: list[dict[str, Any]]) -> str:
    first = rows[0]
    title = f"budget {first['budget']:g} of always strong, {first['traffic']} traffic"
    if not first["spread_allows"]:
        title += " (it does not pay the cheapest answer to every question: nothing to choose)"
    header = ["policy", "accuracy", "of optimum", "of clairvoyant", "spent", "of what was worth it", "refused"]
    body = [
        [
            row["policy"],
            shown(row, "accuracy", 3),
            *(shown(row, name, 3) for name in ("of_optimum_predicted", "of_clairvoyant", "spend_ratio")),
            shown(row, "spend_of_worth", 3),
            shown(row, "refused", 3),
        ]
        for row in rows
    ]
    leads = "; ".join(f"{other} {shown(by, 'accuracy', 3)}" for other, by in first["over"].items())
    return "\n".join([title, table(header, body), f"rung's accuracy over: {leads}", *_tenths(rows)])


def _tenths(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['policy']}, on the same kinds of question: {row['first_tenth']:.3f} in the first tenth of the window, "
        f"{row['last_tenth']:.3f} in the last: {100 * (row['first_tenth'] - row['last_tenth']):.1f} points less "
        f"(± {100 * row['tenths_error']:.1f}); by fifths of difficulty, which mix the halves that drift apart, "
        f"{100 * (row['first_tenth_by_fifths'] - row['last_tenth_by_fifths']):.1f}"
        for row in rows
        if row["traffic"] == "drift" and row["policy"] in DRIFTERS and row["first_tenth"] is not None
    ]
