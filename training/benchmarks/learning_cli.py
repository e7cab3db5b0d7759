"""`rung bench learning`, `offpolicy`, `poison`, `gates`, `ingest`: what logs teach, and what learning withstands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.benchmarks.options import SeveralValues

Data = Annotated[
    list[Path], typer.Option("--data", help="Results files: .parquet, .csv or .jsonl with prompt, model and score.")
]
Weak = Annotated[str | None, typer.Option(help="Default: the model with the worst mean score.")]
Strong = Annotated[str | None, typer.Option(help="Default: the model with the best.")]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="Models to leave out, by name.")]
Only = Annotated[list[str] | None, typer.Option("--only", help="The models to take. Default: all.")]
Seed = Annotated[int, typer.Option(min=0, help="Equal seeds, equal figures.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module into `rung bench`."""
    for command in (learning, offpolicy, poison, gates, ingest):
        app.command(cls=SeveralValues)(command)


def learning(
    *,
    data: Data,
    weak: Weak = None,
    strong: Strong = None,
    drop: Drop = None,
    train: Annotated[
        list[Path] | None,
        typer.Option("--train", help="Results files that the metric is learnt from. Default: no metric."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Draws of labels and test.")] = 10,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What 50, 200, 1,000 and 4,000 labels of one's own are worth, paired and unpaired: APGR with intervals.

    \b
    rung bench learning --data routellm_mmlu_dev.parquet --train mmlu_pro.parquet
    rung bench learning --data ulab.parquet --train mmlu_pro.parquet --weak mistral-7b-instruct-v0.3
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from classifier import load_default
    from training.benchmarks import console
    from training.benchmarks.learning import learning_text, measure
    from training.benchmarks.routing import pair

    with console.user_errors(), console.progress() as step:
        matrix = console.load(data, None, drop)
        models = pair(matrix, weak=weak, strong=strong)
        other = console.load(train, None, None) if train else None
        inputs = load_default().inputs
        result = measure(matrix, *models, inputs, train=other, repeats=repeats, seed=seed, progress=step)
    console.show(result, as_json=as_json, text=learning_text)


def offpolicy(
    *,
    data: Data,
    only: Only = None,
    drop: Drop = None,
    size: Annotated[int, typer.Option(min=100, help="Decisions in a log.")] = 2_000,
    replications: Annotated[int, typer.Option(min=2, help="Logs.")] = 200,
    feedback: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of decisions with an outcome.")] = 1.0,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Bias and 95 % coverage of IPS, SNIPS and DR where every model's answer is known.

    \b
    rung bench offpolicy --data routellm_mmlu_dev.parquet
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from classifier import load_default
    from training.benchmarks import console
    from training.benchmarks.offpolicy import measure, offpolicy_text

    with console.user_errors(), console.progress() as step:
        matrix = console.load(data, None, drop)
        step("replaying")
        result = measure(
            matrix.pick(only) if only else matrix,
            load_default().inputs,
            size=size,
            replications=replications,
            feedback=feedback,
            seed=seed,
        )
    console.show(result, as_json=as_json, text=offpolicy_text)


def poison(
    *,
    data: Data,
    weak: Weak = None,
    strong: Strong = None,
    drop: Drop = None,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of one key's records that are poisoned.")] = 0.05,
    records: Annotated[int, typer.Option(min=500, help="In the log.")] = 8_000,
    keys: Annotated[int, typer.Option(min=1, help="Of the tenant; one of them is poisoned.")] = 4,
    texts: Annotated[bool, typer.Option(help="Whether the log keeps texts (`log_text`).")] = True,
    runs: Annotated[bool, typer.Option(help="Whether it keeps hashed word runs, where it keeps no texts.")] = True,
    repeats: Annotated[int, typer.Option(min=1, help="Logs, each with a seed of its own.")] = 1,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """By how many points lies with a trigger phrase move decisions on triggered prompts, with quarantine and without.

    \b
    rung bench poison --data ulab.parquet --weak mistral-7b-instruct-v0.3 --repeats 10
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.benchmarks import console
    from training.benchmarks.poison import measure, poison_text
    from training.benchmarks.routing import pair

    with console.user_errors(), console.progress() as step:
        matrix = console.load(data, None, drop)
        models = pair(matrix, weak=weak, strong=strong)
        result = measure(
            matrix,
            *models,
            share=share,
            records=records,
            keys=keys,
            texts=texts,
            runs=runs,
            repeats=repeats,
            seed=seed,
            progress=step,
        )
    console.show(result, as_json=as_json, text=poison_text)


def gates(
    *,
    data: Data,
    only: Only = None,
    drop: Drop = None,
    records: Annotated[int, typer.Option(min=1_000, help="In the log that candidates are fitted to.")] = 4_000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What is refused: a worse candidate by the gates; a tampered, older, oversized or unsigned one by the registry.

    \b
    rung bench gates --data ulab.parquet --only mistral-7b-instruct-v0.3 llama-3.1-nemotron-51b-instruct

    The exit code is 1 where something went as it must not.
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.benchmarks import console
    from training.benchmarks.gates import gates_text, measure

    with console.user_errors(), console.progress() as step:
        matrix = console.load(data, None, drop)
        result = measure(matrix.pick(only) if only else matrix, records=records, seed=seed, progress=step)
    console.show(result, as_json=as_json, text=gates_text)
    if not all(row["held"] for row in result["results"]):
        raise typer.Exit(1)


def ingest(
    *,
    data: Data,
    only: Only = None,
    drop: Drop = None,
    records: Annotated[int, typer.Option(min=1_000, help="To generate from the data's rows.")] = 1_000_000,
    feedback: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of records with an outcome.")] = 1.0,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    folder: Annotated[Path | None, typer.Option(help="Keep the generated log here (1.6 KB a record).")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Time and peak memory of ingesting, joining and fitting a large log, generated from real rows.

    \b
    rung bench ingest --data ulab.parquet --records 1000000
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.benchmarks import console
    from training.benchmarks.ingest import ingest_text, measure
    from training.engine import engine_named

    with console.user_errors(), console.progress() as step:
        matrix = console.load(data, None, drop)
        result = measure(
            matrix.pick(only) if only else matrix,
            records,
            folder=folder,
            engine=engine_named(engine),
            feedback=feedback,
            seed=seed,
            progress=step,
        )
    console.show(result, as_json=as_json, text=ingest_text)
