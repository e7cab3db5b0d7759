"""Prompts of our own, for what public results leave out: the trivial, and tasks of every kind at rated difficulty.

They live in `training/own/`; the ratings are a judgement, not a measurement, so that they count little against results.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.tasks import KINDS, LEVELS

FOLDER: Final = Path(__file__).with_name("own")
TRIVIAL_SUCCESS: Final = 0.985  # models in use fail a greeting about as often as they fail to answer at all
TRIVIAL_TOKENS: Final = 15.0
SUMS: Final = 60  # generated ones, so that no single sum is learnt by heart

# Success of the least and of the most able level, per difficulty class; straight in the logit between them.
_ENDS: Final = {
    "1": (0.93, 0.99),
    "2": (0.80, 0.97),
    "3": (0.60, 0.93),
    "4": (0.35, 0.82),
    "5": (0.15, 0.60),
    "6": (0.04, 0.25),
}
_TOKENS: Final = {"s": 30.0, "m": 150.0, "l": 450.0, "x": 1_000.0}

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Prompts with targets: success per level (n, L), kind (n,) as an index into KINDS, log tokens (n,)."""

    prompts: tuple[str, ...]
    levels: Floats
    kinds: NDArray[np.intp]
    tokens: Floats


def trivial(name: str = "train") -> list[str]:
    """The trivial prompts for `train` or for `test`, one a line; the empty and the blank text among those to train."""
    lines = (FOLDER / f"trivial_{name}.txt").read_text(encoding="utf-8").splitlines()
    return ["", "   ", "\n\n", *lines] if name == "train" else lines


def taught_trivial(seed: int) -> Own:
    """The trivial prompts to train on, and small sums drawn with a seed."""
    prompts = (*trivial(), *_sums(np.random.default_rng(seed)))
    count = len(prompts)
    return Own(
        prompts=prompts,
        levels=np.full((count, len(LEVELS)), TRIVIAL_SUCCESS),
        kinds=np.full(count, KINDS.index("small talk")),
        tokens=np.full(count, np.log(TRIVIAL_TOKENS)),
    )


def rated() -> Own:
    """The rated prompts."""
    lines = (FOLDER / "rated.tsv").read_text(encoding="utf-8").splitlines()
    classes, lengths, kinds, prompts = zip(*(line.split("\t") for line in lines), strict=True)
    return Own(
        prompts=prompts,
        levels=np.stack([_curve(*_ENDS[c]) for c in classes]),
        kinds=np.array([KINDS.index(kind) for kind in kinds]),
        tokens=np.log([_TOKENS[length] for length in lengths]),
    )


def _curve(low: float, high: float) -> Floats:
    ends = np.log([low / (1 - low), high / (1 - high)])
    return 1.0 / (1.0 + np.exp(-np.linspace(ends[0], ends[1], len(LEVELS))))


def _sums(random: np.random.Generator) -> list[str]:
    forms = ("What is {} + {}?", "{} plus {}", "{}+{}", "What is {} times {}?", "calculate {} - {}", "{} * {} = ?")
    return [forms[i % len(forms)].format(*random.integers(1, 13, 2)) for i in range(SUMS)]
