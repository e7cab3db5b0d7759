"""Numbers that people type: alone refuses those that are none, which a range lets pass."""

from __future__ import annotations

import math

import typer


def finite(value: float | None) -> float | None:
    """An option's callback. Raises typer.BadParameter for nan and inf: nothing is above or below the one."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number that can be reckoned with")
    return value
