"""What every command of `rung bench` does with the console: load, tell, show, and fail politely.

Results go to stdout, notes and progress to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from training.data import DataError, Matrix, read_results, to_matrix


def load(paths: Iterable[Path], prices: Path | None, drop: Iterable[str] | None = None) -> Matrix:
    """Results files as one matrix without the dropped models; notes go to stderr.

    Raises:
        DataError: see `training.data`.
    """
    results = read_results(paths, prices=prices)
    for line in results.notes:
        note(line)
    matrix = to_matrix(results)
    dropped = set(drop or ())
    if dropped >= set(matrix.models):
        raise DataError(f"--drop leaves no model of {', '.join(matrix.models)}; drop fewer")
    for model in sorted(dropped - set(matrix.models)):
        note(f"--drop {model}: there is no such model")
    return matrix.pick([model for model in matrix.models if model not in dropped])


def folder(path: Path) -> Path:
    """A folder for what is written at the end, made before the work: whoever cannot have it shall not wait for it.

    Raises:
        DataError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path} cannot be made a folder ({error.strerror}); name another") from error
    return path


def note(line: str) -> None:
    """A line for the user that is no result."""
    print(line, file=sys.stderr)


def show(result: Mapping[str, Any], *, as_json: bool, text: Callable[[Mapping[str, Any]], str]) -> None:
    """The one thing that goes to stdout."""
    print(json.dumps(result, allow_nan=False) if as_json else text(result))


@contextmanager
def user_errors() -> Generator[None]:
    """What the user can mend becomes one line and exit code 2."""
    try:
        yield
    except (ValueError, OSError, ModuleNotFoundError) as error:  # DataError and ArtefactError, and missing extras
        note(f"error: {error}")
        raise typer.Exit(2) from error


@contextmanager
def progress() -> Generator[Callable[[str], None]]:
    """A line on stderr that names the step under way, with the time; silent where stderr is no terminal."""
    from tqdm import tqdm

    with tqdm(bar_format="{desc} (step {n}, {elapsed})", disable=None, leave=False) as bar:

        def step(name: str) -> None:
            bar.update()
            bar.set_description_str(name)

        yield step
