"""Noise that real prompts carry, made on purpose: to train against it, and to measure how far it moves a decision."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Final

import numpy as np

EFFORT: Final = (
    "This is very hard, think step by step. ",
    "Think carefully. ",
    "Let's think step by step. ",
    "This is an extremely difficult question. ",
    "Take a deep breath and reason in detail. ",
)


def typos(text: str, rate: float, random: np.random.Generator) -> str:
    """The text with this share of its letters substituted, dropped, doubled or swapped with the next."""
    letters = list(text)
    hits = np.flatnonzero(random.random(len(letters)) < rate)
    for i in hits:
        if letters[i].isalpha():
            letters[i] = _slip(letters, int(i), random)
    return "".join(letters)


def gibberish(length: int, random: np.random.Generator) -> str:
    """So many random lower-case letters in words of 3 to 9."""
    letters = random.choice(list(string.ascii_lowercase), length)
    breaks = np.cumsum(random.integers(4, 10, length // 4 + 1))
    letters[breaks[breaks < length]] = " "
    return "".join(letters)


def noisy(text: str, random: np.random.Generator) -> str:
    """One of: typing slips, gibberish before it, a plea for effort before or after it."""
    match int(random.integers(3)):
        case 0:
            return typos(text, float(random.uniform(0.02, 0.08)), random)
        case 1:
            return f"{gibberish(int(random.integers(30, 90)), random)} {text}"
        case _:
            plea = str(random.choice(EFFORT))
            return f"{plea}{text}" if random.random() < 0.5 else f"{text}\n{plea}"


def noisy_copies(texts: Sequence[str], random: np.random.Generator) -> list[str]:
    """One noisy copy of each."""
    return [noisy(text, random) for text in texts]


def _slip(letters: list[str], i: int, random: np.random.Generator) -> str:
    other = str(random.choice(list(string.ascii_lowercase)))
    following = letters[i + 1] if i + 1 < len(letters) else ""
    match int(random.integers(4)):
        case 0:
            return other
        case 1:
            return ""
        case 2:
            return letters[i] * 2
        case _:
            if following:
                letters[i + 1] = letters[i]
            return following or other
