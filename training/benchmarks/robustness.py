"""`rung bench robustness`: what noise and harnesses do to decisions, and how hard trivial prompts seem.

A decision is "difficulty at or above the median of the data's prompts". A flip is a decision that a change of the
text turns over, though the question is the same. The trivial prompts (`trivial_prompts.txt`, several languages) are
no part of any training data; each is placed among the data's prompts by its difficulty.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.types import Classifier, Query
from training.benchmarks.tables import table

Floats = NDArray[np.float64]

TRIVIAL = Path(__file__).with_name("trivial_prompts.txt")
TYPO_RATE = 0.05
GIBBERISH_CHARS = 60
INSISTENCE = "This is very hard, think step by step."
HARNESS = partial(Query, turns=9, system_chars=12_000, context_chars=6_000, tools=12)  # 3,000 tokens of system prompt


def typos(text: str, draw: Random) -> str:
    """Each letter, with probability `TYPO_RATE`, is dropped, doubled, swapped with the next or replaced."""
    letters = list(text)
    for i, letter in enumerate(text):
        if letter.isalpha() and draw.random() < TYPO_RATE:
            match draw.randrange(4):
                case 0:
                    letters[i] = ""
                case 1:
                    letters[i] = letter * 2
                case 2 if i + 1 < len(letters):
                    letters[i], letters[i + 1] = letters[i + 1], letters[i]
                case _:
                    letters[i] = draw.choice(string.ascii_lowercase)
    return "".join(letters)


def gibberish(text: str, draw: Random) -> str:
    """Random letters, digits and spaces before the text."""
    noise = draw.choices(string.ascii_letters + string.digits + "    ", k=GIBBERISH_CHARS)
    return f"{''.join(noise)}\n{text}"


def measure(classifier: Classifier, prompts: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Share of flips per change, and percentiles of the trivial prompts.

    Args:
        classifier: what is tested.
        prompts: a sample of the data's prompts.
        seed: of the noise.
    """
    draw = Random(seed)  # noqa: S311 - noise, not a secret
    clean = _difficulties(classifier, [Query(text=prompt) for prompt in prompts])
    changes: Mapping[str, Callable[[str], Query]] = {
        "typos": lambda text: Query(text=typos(text, draw)),
        "gibberish_prefix": lambda text: Query(text=gibberish(text, draw)),
        "insistence": lambda text: Query(text=f"{text}\n{INSISTENCE}"),
        "harness": lambda text: HARNESS(text=text),
    }
    flips = {
        name: flipped(clean, _difficulties(classifier, [change(prompt) for prompt in prompts]))
        for name, change in changes.items()
    }
    trivial = TRIVIAL.read_text(encoding="utf-8").splitlines()
    ranks = percentiles(_difficulties(classifier, [Query(text=text) for text in trivial]), clean)
    return {
        "results": [{"name": name, "flips": share} for name, share in flips.items()],
        "prompts": len(prompts),
        "trivial": {
            "prompts": len(trivial),
            "median_percentile": float(np.median(ranks)),
            "worst_percentile": float(ranks.max()),
            "worst_prompt": trivial[int(ranks.argmax())],
        },
    }


def flipped(clean: Floats, changed: Floats) -> float:
    """Share of decisions at the median of `clean` that differ."""
    threshold = np.median(clean)
    return float(np.mean((clean >= threshold) != (changed >= threshold)))


def percentiles(values: Floats, reference: Floats) -> Floats:
    """(n,) percent of the reference that lies below each value."""
    return 100.0 * np.searchsorted(np.sort(reference), values, side="left") / len(reference)


def robustness_text(result: Mapping[str, Any]) -> str:
    """What `rung bench robustness` prints."""
    rows = [[row["name"], f"{row['flips']:.3f}"] for row in result["results"]]
    trivial, prompts = result["trivial"], f"{result['prompts']} prompts"
    return (
        f"{table([prompts, 'flips'], rows)}\n\n"
        f"{trivial['prompts']} trivial prompts: percentile of difficulty {trivial['median_percentile']:.1f} in the "
        f"median, {trivial['worst_percentile']:.1f} at worst ({trivial['worst_prompt']!r})"
    )


def _difficulties(classifier: Classifier, queries: Sequence[Query]) -> Floats:
    return np.array([classifier.estimate(query).difficulty for query in queries])
