"""Prompts of our own, for what public results leave out: the trivial, and tasks of every kind at rated difficulty.

They live in `training/own/`; the ratings are a judgement, not a measurement, so that they count little against results.
Of trivial questions and of sums there are infinitely many, so those are drawn from forms (`training/own/forms.toml`)
with a seed, and lines that test triviality are never among them; so are tasks whose size says how hard they are
(`training.drawn_tasks`).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.drawn_tasks import drawn
from training.overlap import normalise
from training.tasks import KINDS, LEVELS

FOLDER: Final = Path(__file__).with_name("own")
TESTS: Final = (FOLDER / "trivial_test.txt", Path(__file__).parent / "benchmarks" / "trivial_prompts.txt")
TRIVIAL_ENDS: Final = (0.95, 0.995)  # success of the least and of the most able level: even small models can say hello
TRIVIAL_TOKENS: Final = 15.0
SMALL_SUMS: Final = 200
FORMED: Final = 500
LARGE_SUMS: Final = 80
DRAWN: Final = 120  # tasks per form of `training.drawn_tasks`; 40 do nearly as well

# Success of the least and of the most able level, per difficulty class from 1 to 6; straight in the logit between them.
_ENDS: Final = ((0.93, 0.99), (0.80, 0.97), (0.60, 0.93), (0.35, 0.82), (0.15, 0.60), (0.04, 0.25))
_TOKENS: Final = {"s": 30.0, "m": 150.0, "l": 450.0, "x": 1_000.0}

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Prompts with targets.

    Attributes:
        prompts: n texts. levels: (n, L) success. kinds: (n,) indices into KINDS. tokens: (n,) log completion tokens.
        trivial: (n,) 1 where anyone can answer, else 0.
    """

    prompts: tuple[str, ...]
    levels: Floats
    kinds: NDArray[np.intp]
    tokens: Floats
    trivial: Floats


def trivial(name: str = "train") -> list[str]:
    """The trivial prompts for `train` or for `test`, one a line; the empty and the blank text among those to train."""
    lines = (FOLDER / f"trivial_{name}.txt").read_text(encoding="utf-8").splitlines()
    return ["", "   ", "\n\n", *lines] if name == "train" else lines


def trivial_success() -> Floats:
    """(L,) success where anyone can answer."""
    return _curve(*TRIVIAL_ENDS)


def taught_trivial(seed: int) -> Own:
    """The trivial prompts to train on, and small sums and simple questions drawn with a seed."""
    random = np.random.default_rng(seed)
    drawn = [*_sums(random, SMALL_SUMS, 13, "sums"), *_formed(random)]
    tested = {normalise(line) for path in TESTS for line in path.read_text(encoding="utf-8").splitlines()}
    prompts = (*trivial(), *(text for text in drawn if normalise(text) not in tested))
    count = len(prompts)
    return Own(
        prompts=prompts,
        levels=np.tile(trivial_success(), (count, 1)),
        kinds=np.full(count, KINDS.index("small talk")),
        tokens=np.full(count, np.log(TRIVIAL_TOKENS)),
        trivial=np.ones(count),
    )


def not_trivial(seed: int) -> list[str]:
    """Short questions that not anyone can answer: expert ones, and sums too large.

    They teach what is not trivial and nothing else: as rated prompts they lowered the AUROC of files left out by .01.
    """
    random = np.random.default_rng(seed)
    sums = [text for digits in (2, 3, 4) for text in _sums(random, LARGE_SUMS // 3, 10**digits, "products")]
    return [*(FOLDER / "not_trivial.txt").read_text(encoding="utf-8").splitlines(), *sums]


def rated() -> Own:
    """The rated prompts; a line break in one is written as a backslash and an n."""
    lines = (FOLDER / "rated.tsv").read_text(encoding="utf-8").splitlines()
    classes, lengths, kinds, prompts = zip(*(line.split("\t") for line in lines), strict=True)
    written = [prompt.replace("\\n", "\n") for prompt in prompts]
    return _rated(written, list(map(float, classes)), kinds, lengths)


def sized(seed: int) -> Own:
    """Tasks drawn with a seed, whose size says how hard they are."""
    tasks = drawn(seed, DRAWN)
    prompts, classes = [task.prompt for task in tasks], [task.difficulty for task in tasks]
    return _rated(prompts, classes, [task.kind for task in tasks], [task.length for task in tasks])


def _rated(prompts: Sequence[str], classes: Sequence[float], kinds: Sequence[str], lengths: Sequence[str]) -> Own:
    return Own(
        prompts=tuple(prompts),
        levels=np.stack([_curve(*_ends(c)) for c in classes]),
        kinds=np.array([KINDS.index(kind) for kind in kinds]),
        tokens=np.log([_TOKENS[length] for length in lengths]),
        trivial=np.zeros(len(prompts)),
    )


def _ends(difficulty: float) -> tuple[float, float]:
    """Success of the least and of the most able level at a class; between two classes interpolated in the logit."""
    ends = np.array(_ENDS)
    logits = np.log(ends / (1 - ends))
    low, high = (float(np.interp(difficulty, np.arange(1, len(ends) + 1), column)) for column in logits.T)
    return 1.0 / (1.0 + math.exp(-low)), 1.0 / (1.0 + math.exp(-high))


def _curve(low: float, high: float) -> Floats:
    ends = np.log([low / (1 - low), high / (1 - high)])
    return 1.0 / (1.0 + np.exp(-np.linspace(ends[0], ends[1], len(LEVELS))))


def _forms() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "forms.toml").read_text(encoding="utf-8"))


def _sums(random: np.random.Generator, count: int, below: int, name: str) -> list[str]:
    """Sums of numbers from a tenth of `below` (at least 1) up to it, in the forms of this name."""
    forms: list[str] = _forms()[name]
    pairs = random.integers(max(below // 10, 1), below, (count, 2))
    return [forms[i % len(forms)].format(*pair) for i, pair in enumerate(pairs.tolist())]


def _formed(random: np.random.Generator) -> list[str]:
    """Simple questions: a form, its word, and how people write them (capital or not, with a mark or without)."""
    pairs = [(form, word) for entry in _forms()["simple"] for form in entry["forms"] for word in entry["words"]]
    drawn = random.permutation(len(pairs))[:FORMED]
    return [_written(pairs[i][0].replace("{}", pairs[i][1]), random) for i in drawn]


def _written(text: str, random: np.random.Generator) -> str:
    text = text[0].lower() + text[1:] if random.random() < 0.5 else text
    return text.rstrip("?.") if random.random() < 0.25 else text
