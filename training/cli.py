"""The command `rung-train`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from classifier.artefact import DEFAULT
from classifier.encoder import PREFIX, STATIC
from training import second_look_cli
from training.commands import show_figures, user_errors
from training.learning.cli import add_commands
from training.learning.label_command import label

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
add_commands(app)
app.command(name="label")(label)
second_look_cli.add_commands(app)


@app.callback()
def root() -> None:
    """Train difficulty classifiers."""


@app.command()
def default(
    data: Annotated[Path, typer.Option(help="directory with the results files")],
    out: Annotated[Path, typer.Option(help="folder of the artefact")] = DEFAULT,
    encoder: Annotated[str, typer.Option(help=f"{STATIC}, or {PREFIX}MODEL")] = STATIC,
    seed: Annotated[int, typer.Option(min=0, help="of everything random")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON only")] = False,
) -> None:
    """Rebuild the classifier that ships from the data directory, and print what it is worth."""
    from training.default import build

    with user_errors():
        model, metrics = build(data, out, encoder=encoder, seed=seed, progress=_bar, say=_say)
    show_figures(model.version, out, metrics, as_json=as_json)


@app.command()
def metric(
    data: Annotated[Path, typer.Option(help="directory with the results files")],
    out: Annotated[Path, typer.Option(help="folder of the artefact whose inputs it reads")] = DEFAULT,
) -> None:
    """Learn from public results what tells questions apart, for `rung-train fit` (`default` does so, too)."""
    from classifier.artefact import load
    from training.default import write_metric

    with user_errors():
        write_metric(data, out, load(out).inputs)


@app.command()
def abilities(data: Annotated[Path, typer.Option(help="directory with the results files")]) -> None:
    """Hold the listed abilities of models against their results in the data directory."""
    from training.abilities_check import hold, table
    from training.default import read_all

    with user_errors():
        held = hold(read_all(data))
    for row in table(held):
        typer.echo(json.dumps(row))
    far = sum(one.far for one in held)
    typer.echo(f"{len(held)} listed models have results; {far} of them stand elsewhere by these", err=True)


@app.command()
def curves(
    data: Annotated[Path, typer.Option(help="directory with the results files")],
    out: Annotated[Path | None, typer.Option(help="write the learnt table here, as policies/learnt.py")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON only")] = False,
) -> None:
    """Learn what thinking buys per kind of task, and hold it against the published priors on models left out."""
    from dataclasses import asdict

    from classifier.artefact import load
    from classifier.types import Query
    from training.curve_table import module_text, report_text
    from training.curves import held_out, learn

    classifier = load()
    with user_errors():
        learnt, found = learn(data, lambda texts: [classifier.estimate(Query(text=t)).difficulty for t in texts])
    proof = held_out(found, learnt.tokens)
    if out is not None:
        out.write_text(module_text(learnt), encoding="utf-8")
    typer.echo(json.dumps({**asdict(learnt), "held_out": proof}) if as_json else report_text(learnt, proof))


def _say(phase: str) -> None:
    typer.echo(phase, err=True)


def _bar(steps: Iterator[int], total: int) -> Iterator[Any]:
    return iter(tqdm(steps, total=total, desc="networks", leave=False))


def main() -> None:
    """Entry point."""
    app()
