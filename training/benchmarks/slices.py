"""`rung bench routing --slices`: our figures on parts of the test, by language, length and kind of task.

One figure over all queries hides whom it fails. A slice is ranked by itself: what the router knows of the differences
between slices (code is harder than trivia) earns it nothing here. Alone this module says how queries are parted.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import numpy as np

from training.benchmarks import routing
from training.benchmarks.bootstrap import Interval, figure
from training.benchmarks.routers import Judgement
from training.benchmarks.routing import Contest
from training.data import Integers
from training.tasks import KINDS, kind_of

FEW: Final = 50  # queries; an AUROC of fewer is noise
SHOWN: Final = ("apgr", "auroc")
BANDS: Final = (100, 400, 1600)  # characters: a sentence, a paragraph, a page
LOOKED_AT: Final = 400  # characters; whoever begins in one language hardly goes on in another
# Frequent English words that other large languages in Latin script do not have (so neither "is" nor "in" nor "was").
ENGLISH: Final = (
    "the and are what which how why when where who that this these with from you your its write find following "
    "would should does did have there each many much give answer"
)
_ENGLISH: Final = frozenset(ENGLISH.split())
_WORD = re.compile(r"[^\W\d_]+")


def language_of(prompt: str) -> str:
    """English by its common words, else the writing system of most letters.

    >>> language_of("How many wheels has a car?"), language_of("Сколько будет 2+2?"), language_of("2+2=")
    ('English', 'Cyrillic', 'no letters')
    """
    words = _WORD.findall(prompt[:LOOKED_AT].lower())
    if _ENGLISH & set(words):
        return "English"
    systems = Counter(_system(char) for word in words for char in word)
    return systems.most_common(1)[0][0] if systems else "no letters"


def length_of(prompt: str) -> str:
    """The band of characters that the prompt falls into.

    >>> length_of("Hi"), length_of("x" * 400)
    ('under 100', '400 to 1599')
    """
    at = int(np.searchsorted(BANDS, len(prompt), side="right"))
    if at == 0:
        return f"under {BANDS[0]}"
    return f"{BANDS[at - 1]} and more" if at == len(BANDS) else f"{BANDS[at - 1]} to {BANDS[at] - 1}"


def kind_name(category: str) -> str:
    """The kind of task of a category by `training/kinds.csv`, `other` where it has no word on it."""
    kind = kind_of(category)
    return "other" if kind is None else KINDS[kind]


def measure(judgement: Judgement, held: Contest, *, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """One row per slice of `FEW` queries and more: its size, the models' gap there, APGR and AUROC with intervals.

    Args:
        judgement: of all n queries of the contest.
        held: the contest.
        resamples: for the intervals; whole questions are drawn within the slice.
        seed: of the resamples.
    """
    rows: list[dict[str, Any]] = []
    for by, name, at in _slices(held):
        found = _figures(judgement, held, at, resamples=resamples, seed=seed)
        row: dict[str, Any] = {"by": by, "slice": name, "queries": len(at), "gap": float(held.gain[at].mean())}
        for shown_name in SHOWN:
            row |= figure(shown_name, found)
        rows.append(row)
    return rows


def _slices(held: Contest) -> Iterator[tuple[str, str, Integers]]:
    """(by what, name, rows) of every slice that is large enough, the largest first; what parts nothing is left out."""
    parted: tuple[tuple[str, Callable[[str], str], Any], ...] = (
        ("language", language_of, held.asked.prompts),
        ("length", length_of, held.asked.prompts),
        ("kind", kind_name, held.asked.categories),
    )
    for by, name_of, texts in parted:
        names, member = np.unique([name_of(str(text)) for text in texts], return_inverse=True)
        sizes = np.bincount(member)
        for i in np.argsort(-sizes, kind="stable"):
            if len(names) > 1 and sizes[i] >= FEW:
                yield by, str(names[i]), np.flatnonzero(member == i)


def _figures(judgement: Judgement, held: Contest, at: Integers, *, resamples: int, seed: int) -> Mapping[str, Interval]:
    part = replace(held, matrix=held.matrix.take(at), asked=held.asked.take(at), splits=())
    success = None if judgement.success is None else judgement.success[at]
    return routing.figures(Judgement(gain=judgement.gain[at], success=success), part, resamples=resamples, seed=seed)


@cache
def _system(char: str) -> str:
    """The writing system of a letter: the first word of its Unicode name, which for Chinese is `CJK`."""
    first = unicodedata.name(char, "other").split()[0]
    return first if first == "CJK" else first.capitalize()
