"""`rung-train second-look` and `rung-train onnx`: the commands of the optional second stage."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from training.benchmarks.options import SeveralValues
from training.commands import show_figures, user_errors


def add_commands(app: typer.Typer) -> None:
    """Put both into the command."""
    app.command(name="second-look", cls=SeveralValues)(second_look)
    app.command(name="onnx")(onnx)


def second_look(
    *,
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Results files: .parquet, .csv or .jsonl with prompt, model and score."),
    ],
    encoder: Annotated[str, typer.Option(help="onnx:FOLDER (see `rung-train onnx`) or sentence-transformers:MODEL.")],
    out: Annotated[Path, typer.Option(help="Folder of the artefact; the settings name it.")],
    limit: Annotated[
        int | None, typer.Option(min=100, help="Learn from so many questions, drawn at random (all of them).")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of ONNX Runtime.")] = 1,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")] = False,
) -> None:
    """Train a classifier for second looks: heads on a transformer, asked only where a decision is close.

    It encodes some one and a half times as many texts as the files have questions, which takes a few milliseconds
    each; a bar shows how far it is. At the end it prints what the first look, the second and both together are worth
    on a tenth of the questions that none had seen: where `both` is no better than `first`, do not switch it on.

    \b
    rung-train onnx --model sentence-transformers/all-MiniLM-L6-v2 --out minilm
    rung-train second-look --encoder onnx:minilm --data mmlu.parquet ulab.parquet --out my-second-look
    then, in rung.yaml:
      classifier: {second_look: {artefact: my-second-look}}
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.second_look import build

    with user_errors():
        model, figures = build(data, out, encoder=encoder, limit=limit, seed=seed, threads=threads, bar=bar, say=_say)
    show_figures(model.version, out, figures, as_json=as_json)


def onnx(
    model: Annotated[str, typer.Option(help="A SentenceTransformer: a name on the hub, or a folder.")],
    out: Annotated[Path, typer.Option(help="Folder for model.onnx and tokenizer.json.")],
    whole: Annotated[
        bool, typer.Option("--whole", help="Keep 32-bit weights: four times the size, half as fast.")
    ] = False,
) -> None:
    """Export a SentenceTransformer for serving without torch, and hold its vectors against torch's.

    Needs torch, sentence-transformers, onnx and onnxruntime, here only: an environment of its own will do.

    \b
    rung-train onnx --model sentence-transformers/all-MiniLM-L6-v2 --out minilm
    """  # noqa: D301 - click reads \b as "do not rewrap"
    from training.onnx_export import export

    with user_errors():
        cosine = export(model, out, quantised=not whole)
    typer.echo(f"{out} written; cosine with torch's vectors: {cosine:.3f} at the least")


def bar(steps: Iterable[int], total: int) -> Iterable[int]:
    """A bar over batches of texts."""
    from tqdm import tqdm

    return tqdm(steps, total=total, desc="batches of texts", leave=False, disable=None)


def _say(phase: str) -> None:
    typer.echo(phase, err=True)
