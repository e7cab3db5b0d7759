"""How `rung bench` reads `--data FILE...`: one flag, several files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

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
