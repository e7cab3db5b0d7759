"""`rung bench`: the commands, their options and their help; what they compute stands beside this module.

Nothing heavy is imported before a command runs: the `rung` command imports this module to list it, also
where the extra `train` is not installed.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.benchmarks.options import SeveralValues

if TYPE_CHECKING:
    from training.benchmarks.routers import Router

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Measure the classifier. What each figure means stands in docs/benchmarks.md.",
)


class Mode(StrEnum):
    """What the classifier may have learnt from."""

    shipped = "shipped"
    transfer = "transfer"
    cv = "cv"


Data = Annotated[
    list[Path],
    typer.Option("--data", help="Results files: .parquet, .csv or .jsonl with prompt, model and score."),
]
Train = Annotated[
    list[Path] | None,
    typer.Option("--train", help="Results files to learn from; what they share with --data is removed."),
]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="Models to leave out, by name.")]
Prices = Annotated[Path | None, typer.Option(help="Price list; by default the prices.csv beside each data file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Resamples = Annotated[int, typer.Option(min=0, help="Bootstrap resamples; 0 for no intervals.")]
Seed = Annotated[int, typer.Option(help="Of folds, draws and resamples: equal seeds, equal figures.")]


@app.command(cls=SeveralValues)
def routing(
    *,
    data: Data,
    strong: Annotated[str | None, typer.Option(help="Default: the model with the best mean score.")] = None,
    weak: Annotated[str | None, typer.Option(help="Default: the model with the worst.")] = None,
    mode: Annotated[Mode, typer.Option(help="What may be learnt from; see above.")] = Mode.shipped,
    train: Train = None,
    labels: Annotated[int | None, typer.Option(min=10, help="cv: learn from so many questions only.")] = None,
    drop: Drop = None,
    prices: Prices = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Folder for pictures of the curves (PNG, SVG).")] = None,
) -> None:
    """Who sends the right queries to the strong model, with bootstrap intervals.

    Rung stands beside random, length, category, kNN, matrix factorisation, LiteLLM's heuristic and the oracle;
    with more than two models in the data, their cost-quality curves follow.

    \b
    --mode shipped   the classifier as it ships; nothing is learnt from the data
    --mode transfer  the recipe fitted to --train, without what it shares with the data
    --mode cv        the recipe fitted afresh in five folds by question

    \b
    rung bench routing --data mmlu.parquet --mode cv
    rung bench routing --data mmlu.parquet --mode cv --labels 1500 --json
    rung bench routing --data mmlu.parquet --mode transfer --train ulab.parquet zeroeval.parquet
    rung bench routing --data ulab.parquet --mode cv --drop llama3-chatqa-1.5-8b --plot pictures
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.benchmarks import compare, console
    from training.benchmarks.routing import arrange, pair
    from training.benchmarks.tables import routing_text

    with console.user_errors(), console.progress() as step:
        step("reading")
        matrix = console.load(data, prices, drop)
        setting = arrange(
            matrix,
            mode.value,
            train=console.load(train, prices, drop) if train else None,
            labels=labels,
            seed=seed,
        )
        comparison = compare.compare(
            setting,
            pair(matrix, weak=weak, strong=strong),
            compare.field(subject(mode)),
            resamples=resamples,
            seed=seed,
            progress=step,
        )
        if plot is not None:
            from training.benchmarks.plots import draw

            console.note("pictures: " + ", ".join(map(str, draw(comparison, plot))))
    console.show(compare.as_json(comparison), as_json=as_json, text=routing_text)


def subject(mode: Mode) -> Router:
    """The classifier under test: as it ships, or its recipe."""
    from training.benchmarks.subject import as_shipped, refitted

    return as_shipped() if mode is Mode.shipped else refitted()


if __name__ == "__main__":
    app()
