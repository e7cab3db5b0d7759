"""`rung bench`: the commands, their options and their help; what they compute stands beside this module.

Nothing heavy is imported before a command runs: the `rung` command imports this module to list it, also
where the extra `train` is not installed.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.benchmarks import budget_cli, learning_cli, second_look_cli
from training.benchmarks.options import AsJson, Data, Drop, Prices, Resamples, Seed, SeveralValues, Train

if TYPE_CHECKING:
    from training.benchmarks.routers import Router

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Measure the classifier. What each figure means stands in docs/benchmarks.md.",
)
learning_cli.add_commands(app)
second_look_cli.add_commands(app)
budget_cli.add_commands(app)


class Mode(StrEnum):
    """What the classifier may have learnt from."""

    shipped = "shipped"
    transfer = "transfer"
    cv = "cv"


class LeftOut(StrEnum):
    """What a test of transfer leaves out."""

    file = "file"
    kind = "kind"


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
    sliced: Annotated[bool, typer.Option("--slices", help="Show Rung by language, length and kind of task.")] = False,
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
    from training.benchmarks.subject import taught
    from training.benchmarks.tables import routing_text

    with console.user_errors(), console.progress() as step:
        step("reading")
        pictures = console.folder(plot) if plot is not None else None
        matrix = console.load(data, prices, drop)
        if mode is Mode.shipped:
            for source in taught(matrix.sources):
                console.note(f"the shipped classifier was trained on {source}: its figures flatter it; use --mode cv")
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
            sliced=sliced,
            progress=step,
        )
        if pictures is not None:
            from training.benchmarks.plots import draw

            console.note("pictures: " + ", ".join(map(str, draw(comparison, pictures))))
    console.show(compare.as_json(comparison), as_json=as_json, text=routing_text)


@app.command(cls=SeveralValues)
def transfer(
    *,
    data: Data,
    train: Train = None,
    leave_out: Annotated[LeftOut, typer.Option(help="Each file in turn, or each kind of task.")] = LeftOut.file,
    encoder: Annotated[
        str | None,
        typer.Option(help="Put the recipe on a transformer beside: onnx:FOLDER or sentence-transformers:MODEL."),
    ] = None,
    drop: Drop = None,
    prices: Prices = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What is left on a benchmark never seen: each data file is judged by the recipe fitted to the others.

    Prints the AUROC of success, the mean over the models, beside length and kNN; and the same within categories.
    With --leave-out kind, each kind of task is left out of all files instead.

    \b
    rung bench transfer --data mmlu_pro.parquet reasoning_gym.parquet zeroeval.parquet --train ulab.parquet
    rung bench transfer --data mmlu_pro.parquet reasoning_gym.parquet zeroeval.parquet --leave-out kind
    rung bench transfer --data mmlu_pro.parquet zeroeval.parquet --encoder onnx:minilm
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.benchmarks import console
    from training.benchmarks.embedding import StaticEmbedder
    from training.benchmarks.kinds_out import kinds_text, leave_kinds_out
    from training.benchmarks.knn import Knn
    from training.benchmarks.routers import length_router
    from training.benchmarks.transfer import leave_one_out, transfer_text

    with console.user_errors(), console.progress() as step:
        embed, transformer = StaticEmbedder(), second_look_cli.routers_of(encoder)

        def routers() -> list[Router]:
            return [subject(Mode.transfer), *transformer(), length_router(), Knn(embed)]

        if leave_out is LeftOut.kind:
            matrix = console.load([*data, *(train or [])], prices, drop)
            result = leave_kinds_out(matrix, routers, resamples=resamples, seed=seed, progress=step)
        else:
            result = leave_one_out(
                data,
                train or [],
                lambda paths: console.load(paths, prices, drop),
                routers,
                resamples=resamples,
                seed=seed,
                progress=step,
            )
    text = kinds_text if leave_out is LeftOut.kind else transfer_text
    console.show(result, as_json=as_json, text=text)


@app.command(cls=SeveralValues)
def calibration(
    *,
    data: Data,
    labels: Annotated[int, typer.Option(min=10, help="Questions that are labelled.")] = 200,
    repeats: Annotated[int, typer.Option(min=1, help="Draws of the labelled questions.")] = 20,
    drop: Drop = None,
    prices: Prices = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """How far off the shipped classifier's probabilities are (ECE), before and after a few labels of one's own.

    \b
    rung bench calibration --data ulab.parquet mmlu.parquet --labels 200
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.benchmarks import console
    from training.benchmarks.calibration import calibration_text, over_files

    with console.user_errors(), console.progress() as step:
        matrices = {path.stem: console.load([path], prices, drop) for path in data}
        result = over_files(matrices, subject(Mode.shipped), labels=labels, repeats=repeats, seed=seed, progress=step)
    console.show(result, as_json=as_json, text=calibration_text)


@app.command(cls=SeveralValues)
def robustness(
    *,
    data: Data,
    sample: Annotated[int, typer.Option(min=50, help="Prompts drawn from the data.")] = 2000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What typos, gibberish, insistence and a harness do to decisions, and how hard trivial prompts seem.

    \b
    rung bench robustness --data ulab.parquet mmlu.parquet
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from classifier import load_default
    from training.benchmarks import console
    from training.benchmarks.robustness import measure, robustness_text
    from training.data import sample_prompts

    with console.user_errors(), console.progress() as step:
        prompts = sample_prompts(console.load(data, None), sample, seed=seed)
        step(f"{len(prompts)} prompts")
        result = measure(load_default(), prompts, seed=seed)
    console.show(result, as_json=as_json, text=robustness_text)


@app.command(cls=SeveralValues)
def cache(
    *,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Results files whose prompts are changed and compared.")
    ] = None,
    sample: Annotated[int, typer.Option(min=50, help="Prompts that pairs are made of.")] = 2000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """How often the semantic cache takes a question for another one, and how often it knows it again, with intervals.

    Pairs of our own calibrate (one half) and measure (the other); with --data, pairs are made of its prompts too.

    \b
    rung bench cache
    rung bench cache --data ulab.parquet mmlu.parquet reasoning_gym.parquet
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.benchmarks import console
    from training.benchmarks.sameness import cache_text, measure

    with console.user_errors(), console.progress() as step:
        prompts = [str(prompt) for path in data or [] for prompt in console.load([path], None).prompts]
        step(f"{len(prompts)} prompts")
        result = measure(prompts, sample=sample, seed=seed)
    console.show(result, as_json=as_json, text=cache_text)


@app.command(cls=SeveralValues)
def tokens(
    *,
    data: Data,
    drop: Drop = None,
    prices: Prices = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Whether the 90 % quantile of completion tokens holds (coverage), and what reserving it costs.

    The reserve is over the mean of the tokens used; each model's own constant quantile stands beside.

    \b
    rung bench tokens --data mmlu_pro.parquet zeroeval.parquet
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from classifier import load_default
    from training.benchmarks import console
    from training.benchmarks.tokens import over_files, tokens_text

    with console.user_errors(), console.progress() as step:
        matrices = {path.stem: console.load([path], prices, drop) for path in data}
        result = over_files(matrices, load_default(), resamples=resamples, seed=seed, progress=step)
    console.show(result, as_json=as_json, text=tokens_text)


@app.command()
def latency(*, as_json: AsJson = False) -> None:
    """Milliseconds of the classifier and of a policy decision, load time and memory, in a fresh interpreter.

    One thread. The p99 by the clock holds whatever else the machine does; that of CPU time does not.
    """
    from training.benchmarks import console
    from training.benchmarks.latency import latency_text, measure

    with console.user_errors(), console.progress() as step:
        step("measuring")
        result = measure()
    console.show(result, as_json=as_json, text=latency_text)


def subject(mode: Mode) -> Router:
    """The classifier under test: as it ships, or its recipe."""
    from training.benchmarks.subject import as_shipped, refitted

    return as_shipped() if mode is Mode.shipped else refitted()


if __name__ == "__main__":
    app()
