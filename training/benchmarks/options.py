"""The options that commands of `rung bench` share, and how they read `--data FILE...`: one flag, several files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

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
Seed = Annotated[int, typer.Option(min=0, help="Of folds, draws and resamples: equal seeds, equal figures.")]

SEVERAL = ("--data", "--train", "--drop", "--budget", "--traffic", "--only")


class SeveralValues(TyperCommand):
    """A command whose options in `SEVERAL` take all words up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer vendors its context class
        """Repeat the flag before each of its values, which is what click understands."""
        return super().parse_args(ctx, repeat_flags(args, SEVERAL))


def repeat_flags(args: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Spell several values out.

    >>> repeat_flags(["--data", "a", "b", "--json"], ["--data"])
    ['--data', 'a', '--data', 'b', '--json']
    """
    spelled: list[str] = []
    flag: str | None = None
    for word in args:
        if word.startswith("-"):
            flag = word if word in flags else None
        elif flag is not None and spelled[-1] != flag:
            spelled.append(flag)
        spelled.append(word)
    return spelled
