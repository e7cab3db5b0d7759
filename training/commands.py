"""What the commands of `rung-train` share: how they fail politely, and how they tell what an artefact is worth."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer


@contextmanager
def user_errors() -> Generator[None]:
    """What the user can mend becomes one line and exit code 2."""
    try:
        yield
    except (ValueError, OSError, ModuleNotFoundError) as error:
        typer.echo(f"rung-train: {error}", err=True)  # DataError and ArtefactError among them, and missing extras
        raise typer.Exit(2) from error


def show_figures(version: str, out: Path, figures: Mapping[str, Any], *, as_json: bool) -> None:
    """What an artefact that was just written is worth on questions that it had not seen."""
    if as_json:
        typer.echo(json.dumps({"version": version, **figures}))
        return
    typer.echo(f"{version} written to {out}; on questions that it had not seen:")
    for name, value in figures.items():
        typer.echo(f"  {name.replace('_', ' '):32} {value}")
