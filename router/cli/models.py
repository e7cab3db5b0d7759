"""`rung models`: the ladder as it would be served here."""

from __future__ import annotations

import os

import typer

from policies.types import Model
from router import settings as configuration
from router.ladder import build_ladder

app = typer.Typer(help="The models of the ladder, with prices and whether they can be called.", no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """List the models of the ladder, from the lowest tier upwards."""
    ladder = build_ladder(configuration.load(), os.environ)
    for model in ladder.catalog.models:
        print(_line(model))


def _line(model: Model) -> str:
    prices = f"${model.prices.input / 1e9:g} in, ${model.prices.output / 1e9:g} out per million tokens"
    state = "ready" if model.available else f"waits: {model.unavailable_because}"
    return f"{model.tier:<10} {model.id:<28} {prices:<48} {state}"
