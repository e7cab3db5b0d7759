"""What a candidate must show before it decides anything: each gate a verdict with its figures, all in configuration.

gates.yaml          meaning                                                                       default
least_outcomes      rewarded held-out decisions                                                   100
least_effective     effective sample size of the estimate                                         30
least_support       share of the candidate's choices that the log ever tried                      0.8
least_gain          the utility gain's interval lies above it, in right answers a query           0.0
most_slice_fall     no slice falls by more, as far as its interval tells                          0.02
most_brier_rise     no head's squared error rises by more                                          0.02
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from training.learning.dataset import EXPLORE
from training.learning.evaluate import Evaluation
from training.rows import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The bounds; see the module."""

    least_outcomes: float = 100.0
    least_effective: float = 30.0
    least_support: float = 0.8
    least_gain: float = 0.0
    most_slice_fall: float = 0.02
    most_brier_rise: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One gate: its name, whether it was passed, and why in words."""

    gate: str
    passed: bool
    why: str


def read_gates(path: Path | None) -> Gates:
    """From a YAML file; what it does not name keeps its default.

    Raises:
        DataError: it cannot be read, or names a gate that there is not.
    """
    if path is None:
        return Gates()
    try:
        given: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        unknown = set(given) - {f.name for f in fields(Gates)}
        if unknown:
            raise DataError(f"{path}: there is no gate {', '.join(sorted(unknown))}")
        return Gates(**{name: float(bound) for name, bound in given.items()})
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no list of gates with their bounds: {error}") from error


def check_gates(found: Evaluation, gates: Gates) -> tuple[Verdict, ...]:
    """Every gate's verdict; promotion needs all of them passed."""
    gain = found.gains["utility"]
    worst = _worst_slice(found)
    fall = gates.most_slice_fall
    head, rise = max(((m, _rise(row)) for m, row in found.scores.items()), key=lambda r: r[1], default=("none", 0.0))
    supported = gain.support >= gates.least_support
    advice = "" if supported else f": {EXPLORE}"
    return (
        Verdict(
            gate="least_outcomes",
            passed=gain.rows >= gates.least_outcomes,
            why=f"{gain.rows} held-out outcomes, {gates.least_outcomes:.0f} are needed",
        ),
        Verdict(
            gate="least_effective",
            passed=gain.effective >= gates.least_effective,
            why=f"they are worth {gain.effective:.0f} independent ones, {gates.least_effective:.0f} are needed",
        ),
        Verdict(
            gate="least_support",
            passed=supported,
            why=f"the log tried {gain.support:.0%} of what the candidate would choose, {gates.least_support:.0%} are "
            f"needed{advice}",
        ),
        Verdict(
            gate="least_gain",
            passed=gain.low > gates.least_gain,
            why=f"gain of {gain.value:+.4f} right answers a query [{gain.low:+.4f}, {gain.high:+.4f}], which must lie "
            f"above {gates.least_gain:g}",
        ),
        Verdict(
            gate="most_slice_fall",
            passed=worst is None or worst[1] >= -fall or worst[2] >= 0.0,
            why="no slice falls"
            if worst is None
            else f"the worst slice, {worst[0]}, moves by {worst[1]:+.4f} (at best {worst[2]:+.4f}); a fall of {fall:g} "
            "is allowed",
        ),
        Verdict(
            gate="most_brier_rise",
            passed=rise <= gates.most_brier_rise,
            why=f"the squared error of {head} moves by {rise:+.4f}, a rise of {gates.most_brier_rise:g} is allowed",
        ),
    )


def _rise(row: dict[str, float | int]) -> float:
    return float(row["brier"]) - float(row["before_brier"])


def _worst_slice(found: Evaluation) -> tuple[str, float, float] | None:
    """The slice that surely falls most, else the one that falls most: its name, its gain, the gain's upper bound."""
    falls = sorted(found.slices.items(), key=lambda item: (item[1].high >= 0.0, item[1].value))
    return (falls[0][0], falls[0][1].value, falls[0][1].high) if falls else None
