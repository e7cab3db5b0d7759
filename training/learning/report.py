"""The proof as a page for people: one self-contained HTML file with plots, beside the same figures as JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from training.learning.evaluate import Evaluation
from training.learning.gates import Verdict
from training.learning.replay import Value

STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.25rem .75rem;border-bottom:1px solid #ddd;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}.no{color:#b00020}.yes{color:#00695c}img{max-width:100%}"
)


def as_json(version: str, found: Evaluation, verdicts: Sequence[Verdict], about: dict[str, Any]) -> dict[str, Any]:
    """Everything that the page shows."""
    return {
        "version": version,
        "passed": all(v.passed for v in verdicts),
        "gates": [{"gate": v.gate, "passed": v.passed, "why": v.why} for v in verdicts],
        "evaluation": found.as_json(),
        "about": about,
    }


def write_report(
    folder: Path, version: str, found: Evaluation, verdicts: Sequence[Verdict], about: dict[str, Any]
) -> Path:
    """Write `<version>.json` and `<version>.html`, and return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = as_json(version, found, verdicts, about)
    (folder / f"{version}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    page = folder / f"{version}.html"
    page.write_text(html(version, found, verdicts, about), encoding="utf-8")
    return page


def html(version: str, found: Evaluation, verdicts: Sequence[Verdict], about: dict[str, Any]) -> str:
    """The page."""
    passed = all(v.passed for v in verdicts)
    verdict = "passes every gate" if passed else "is refused"
    parts = [
        f"<h1>{escape(version)} {verdict}</h1>",
        _table(("gate", "", "why"), [(v.gate, _mark(v.passed), escape(v.why)) for v in verdicts]),
        "<h2>Gain over the policy in force, a query</h2>",
        _table(_VALUES, [(name, *_cells(value)) for name, value in found.gains.items()]),
        "<h2>Reward by estimator</h2>",
        _table(_VALUES, [(name, *_cells(value)) for name, value in found.estimates.items()]),
        _image(_curve_picture(found)),
        "<h2>Utility gain by slice</h2>",
        _image(_slice_picture(found)) if found.slices else "<p>No slice has outcomes enough.</p>",
        "<h2>Choices that noise turns over</h2>",
        _flips(found),
        "<h2>How well success is foretold</h2>",
        _scores(found),
        "<h2>What was learnt from</h2>",
        f"<pre>{escape(json.dumps(about, indent=1))}</pre>",
    ]
    head = f"<meta charset=utf-8><title>{escape(version)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


_VALUES: Final = ("", "estimate", "95 % interval", "outcomes", "effective", "tried")


def _cells(value: Value) -> tuple[str, ...]:
    interval = f"{value.low:+.5f} to {value.high:+.5f}"
    return f"{value.value:+.5f}", interval, str(value.rows), f"{value.effective:.0f}", f"{value.support:.0%}"


def _mark(passed: bool) -> str:
    return '<span class="yes">passed</span>' if passed else '<span class="no">refused</span>'


def _flips(found: Evaluation) -> str:
    if not found.flips:
        return "<p>Not measured: the log keeps no texts (<code>log_text</code>).</p>"
    rows = [(escape(name), f"{share:.1%}") for name, share in found.flips.items() if name != "queries"]
    return _table((f"{found.flips['queries']:.0f} queries", "other rung"), rows)


def _scores(found: Evaluation) -> str:
    names = ("labels", "auroc", "before_auroc", "brier", "before_brier", "ece", "before_ece")
    rows = [(escape(model), *(str(row.get(name, "-")) for name in names)) for model, row in found.scores.items()]
    return _table(("model", *names), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join(f"<tr><td>{row[0]}</td>{''.join(f'<td>{c}</td>' for c in row[1:])}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _image(png: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _curve_picture(found: Evaluation) -> bytes:
    figure, axes = _axes("cost a query, dollars", "reward a query (doubly robust)")
    points = sorted(found.curve)
    axes.plot([cost for cost, _ in points], [reward for _, reward in points], marker=".", label="candidate")
    axes.plot(*found.base_point, "k*", markersize=12, label="policy in force")
    axes.legend()
    return _png(figure)


def _slice_picture(found: Evaluation) -> bytes:
    figure, axes = _axes("utility gain, right answers a query", "", height=1.0 + 0.3 * len(found.slices))
    for place, value in enumerate(found.slices.values()):
        axes.plot([value.low, value.high], [place, place], color="#00695c")
        axes.plot(value.value, place, "o", color="#00695c")
    axes.axvline(0.0, color="#999", linewidth=1)
    axes.set_yticks(range(len(found.slices)), list(found.slices))
    return _png(figure)


def _axes(x: str, y: str, height: float = 4.0) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # no pyplot: it keeps global state

    figure = Figure(figsize=(8.0, height), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _png(figure: Any) -> bytes:  # noqa: ANN401 - matplotlib's figures are untyped
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
