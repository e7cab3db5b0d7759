"""`rung bench budget`: its options and help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from training.benchmarks.options import AsJson, Data, Drop, Prices, Resamples, Seed, SeveralValues


class Shape(StrEnum):
    """When requests arrive in a window (as `budget_traffic.Traffic`, which is heavy to import)."""

    even = "even"
    diurnal = "diurnal"
    bursty = "bursty"
    drift = "drift"


def add_commands(app: typer.Typer) -> None:
    """Put the command of this module into `rung bench`."""
    app.command(name="budget", cls=SeveralValues)(budget)


def budget(
    *,
    data: Data,
    budgets: Annotated[
        list[float] | None,
        typer.Option("--budget", min=0.0, help="Shares of the always-strong cost. Default: 0.1 0.25 0.5 0.75."),
    ] = None,
    traffic: Annotated[list[Shape] | None, typer.Option(help="Default: all four.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of past and window, of tenants and traffic.")] = 5,
    tenants: Annotated[int, typer.Option(min=1, help="Each with a budget of its own.")] = 3,
    value: Annotated[
        float | None,
        typer.Option(min=0.0, help="Dollars that a right answer is worth. Default: 100 calls of the strong model."),
    ] = None,
    even_profile: Annotated[
        bool, typer.Option("--even-profile", help="Spread the money evenly, not by the past month's hours.")
    ] = False,
    ledger: Annotated[
        str, typer.Option(help="Who keeps the money: simulated, or real, the gateway's own.")
    ] = "simulated",
    only: Annotated[list[str] | None, typer.Option("--only", help="The models to choose from. Default: all.")] = None,
    drop: Drop = None,
    prices: Prices = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Folder for pictures: spend by time, quality by budget.")] = None,
) -> None:
    """What a month's money buys: real outcomes replayed through the real policy, pacing and budgets.

    Rung stands beside always cheap, strong until the money is gone, a threshold and kNN, both tuned on the past,
    and under two bounds: the optimum over predicted and over true outcomes. Predictions come from five folds by
    question. The clock is simulated. So is the ledger, an in-memory double of the rule spent + held <= limit; with
    --ledger real it is the gateway's own, on a private server: slower, and the figures are the same.

    \b
    rung bench budget --data ulab.parquet --budget 0.5 0.75 --traffic even drift
    rung bench budget --data mmlu.parquet --only Llama-2-7b-hf gemini-1.5-pro-002 --json
    rung bench budget --data mmlu.parquet --seeds 2 --plot pictures
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.benchmarks import budget as bench
    from training.benchmarks import console
    from training.benchmarks.budget_tables import budget_text
    from training.benchmarks.budget_traffic import Traffic
    from training.benchmarks.budget_world import Recipe, records
    from training.benchmarks.embedding import StaticEmbedder
    from training.benchmarks.knn import Knn

    with console.user_errors(), console.progress() as step:
        pictures = console.folder(plot) if plot is not None else None
        matrix = console.load(data, prices, drop)
        matrix = matrix.pick(only) if only else matrix
        found = records(matrix, Recipe(), Knn(StaticEmbedder()), seed=seed, progress=step)
        result = bench.measure(
            found,
            budgets=budgets or bench.BUDGETS,
            shapes=[Traffic(shape) for shape in traffic or Shape],
            seeds=seeds,
            tenants=tenants,
            value_usd=value,
            profiled=not even_profile,
            ledger=ledger,
            resamples=resamples,
            seed=seed,
            progress=step,
        )
        if pictures is not None:
            from training.benchmarks.budget_plots import draw

            console.note("pictures: " + ", ".join(map(str, draw(result, pictures))))
    console.show(result, as_json=as_json, text=budget_text)
