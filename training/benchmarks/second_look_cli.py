"""`rung bench second-look`: its options and help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.benchmarks.options import AsJson, Data, Drop, Resamples, Seed, SeveralValues

if TYPE_CHECKING:
    from training.benchmarks.routers import Router

SPEED_SAMPLE = 200  # prompts that a look is timed on


def add_commands(app: typer.Typer) -> None:
    """Put the command of this module into `rung bench`."""
    app.command(name="second-look", cls=SeveralValues)(second_look)


def routers_of(encoder: str | None) -> Callable[[], list[Router]]:
    """Makes the recipe on a transformer, or nothing without one; its vectors are kept from one to the next."""
    if encoder is None:
        return list
    from classifier.artefact import DEFAULT
    from training.benchmarks.second_look import recipe
    from training.encoding import open_inputs
    from training.second_look_cli import bar

    inputs = open_inputs(encoder, DEFAULT, bar=bar)
    return lambda: [recipe(inputs, name="second look")]


def second_look(
    *,
    data: Data,
    encoder: Annotated[str, typer.Option(help="onnx:FOLDER (see `rung-train onnx`) or sentence-transformers:MODEL.")],
    train: Annotated[
        list[Path] | None,
        typer.Option("--train", help="Learn from these files only, without what they share with --data."),
    ] = None,
    weak: Annotated[str | None, typer.Option(help="Default: the model with the worst mean score.")] = None,
    strong: Annotated[str | None, typer.Option(help="Default: the model with the best.")] = None,
    drop: Drop = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What a transformer buys that looks again at the closest 10, 25, 50 and 100 % of the decisions, with intervals.

    Rung's recipe is fitted twice, on the static encoder and on the transformer: in five folds by question, or to
    --train. To send a share of the queries to the strong model, the first look ranks them all, and the second ranks
    those again that are nearest to the cut.

    \b
    rung bench second-look --data mmlu.parquet --encoder onnx:minilm
    rung bench second-look --data mmlu.parquet --train ulab.parquet zeroeval.parquet --encoder onnx:minilm --json
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from classifier.artefact import DEFAULT
    from classifier.encoder import STATIC
    from training.benchmarks import console
    from training.benchmarks.routing import arrange, contest, pair
    from training.benchmarks.second_look import compare, milliseconds, second_look_text
    from training.data import sample_prompts
    from training.encoding import open_inputs
    from training.second_look_cli import bar

    with console.user_errors(), console.progress() as step:
        step("opening the encoder")
        second, bare = (open_inputs(encoder, DEFAULT, bar=how) for how in (bar, None))
        step("reading")
        matrix = console.load(data, None, drop)
        learnt = console.load(train, None, drop) if train else None
        setting = arrange(matrix, "transfer" if train else "cv", train=learnt, seed=seed)
        held = contest(setting, pair(matrix, weak=weak, strong=strong))
        result = compare(held, open_inputs(STATIC, DEFAULT), second, resamples=resamples, seed=seed, progress=step)
        step("timing")
        result["milliseconds"] = milliseconds(bare, sample_prompts(matrix, SPEED_SAMPLE, seed=seed))
    console.show(result, as_json=as_json, text=second_look_text)
