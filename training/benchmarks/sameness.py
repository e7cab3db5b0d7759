"""`rung bench cache`: how often the semantic cache takes a question for another one, and how often it knows it again.

Pairs come from three places:

- `training/own/same.tsv`: questions of our own, each with one that asks the same and one that nearly does. Half of them
  (by a hash of the question) calibrate the reach, the other half measure it.
- generated from the questions of the data: changes that keep what is asked, and changes that do not.
- the data's own questions: whatever two different ones are taken for the same, exhaustively.

Intervals are Wilson's (1927) at 95 %.
"""

from __future__ import annotations

import csv
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from classifier.sameness import MAX_CHARS, REACH, Asked, Reader, distance, same, shipped_reader
from training.benchmarks.tables import table

OWN = Path(__file__).parent.parent / "own" / "same.tsv"
REACHES = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
_SECRET = b"hashes of a measurement, not kept"
_Z = 1.96
_NEGATED = re.compile(r"\b(is|are|was|were|does|do|can|will|should)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b")
_LONG = re.compile(r"\b[a-z]{8,}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions, and how the second came about."""

    kind: str
    one: str
    other: str


def own_pairs() -> tuple[list[Pair], list[Pair]]:
    """Those that ask the same, and the near misses."""
    with OWN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    alike = [Pair(kind="our own, the same", one=row["question"], other=row["same"]) for row in rows]
    unlike = [Pair(kind="our own, near misses", one=row["question"], other=row["near_miss"]) for row in rows]
    return alike, unlike


def generated(prompts: Sequence[str], draw: Random) -> tuple[list[Pair], list[Pair]]:
    """Pairs of prompts with changes of them: what asks the same, and what does not."""
    names = sorted({name for prompt in prompts for name in _NAME.findall(prompt)}) or ["Nobody"]
    keeping: Mapping[str, Callable[[str], str]] = {
        "small letters": str.lower,
        "courtesy before": lambda text: f"Could you please tell me: {text}",
        "thanks after": lambda text: f"{text.rstrip()} Thanks!",
        "other spaces": lambda text: re.sub(" ", "  ", text, count=3).rstrip() + " ",
        "letters swapped": lambda text: _once(_LONG, text, lambda word: _swapped(word, draw)),
    }
    changing: Mapping[str, Callable[[str], str]] = {
        "another number": lambda text: _once(_NUMBER, text, lambda number: str(int(number[:15]) + 1)),
        "negated": lambda text: _once(_NEGATED, text, lambda verb: f"{verb} not"),
        "another name": lambda text: _once(_NAME, text, lambda name: draw.choice([n for n in names if n != name])),
        "a word left out": lambda text: _once(_LONG, text, lambda _: ""),
        "two words exchanged": lambda text: _exchanged(text, draw),
    }
    return list(_changed(prompts, keeping)), list(_changed(prompts, changing))


def _changed(prompts: Sequence[str], changes: Mapping[str, Callable[[str], str]]) -> Iterator[Pair]:
    for kind, change in changes.items():
        for prompt in prompts:
            other = change(prompt)
            if other.split() != prompt.split() or kind == "other spaces":
                yield Pair(kind=kind, one=prompt, other=other)


def _once(what: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    return what.sub(lambda match: change(match[0]), text, count=1)


def _swapped(word: str, draw: Random) -> str:
    at = draw.randrange(1, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _exchanged(text: str, draw: Random) -> str:
    """Two long words of the text in each other's place."""
    found = list(_LONG.finditer(text))
    if len({match[0] for match in found}) < 2:
        return text
    first, second = sorted(draw.sample(found, 2), key=lambda match: match.start())
    parts = (text[: first.start()], second[0], text[first.end() : second.start()], first[0], text[second.end() :])
    return "".join(parts)


def measure(prompts: Sequence[str], *, sample: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Rates with intervals per kind of pair, the calibration, and the data's own questions.

    Args:
        prompts: questions of data, or none. sample: of how many pairs are made. seed: of the draws.
    """
    draw = Random(seed)  # noqa: S311 - a measurement, not a secret
    reader = shipped_reader(_SECRET)
    alike, unlike = own_pairs()
    fit, held = [_calibrates(pair.one) for pair in alike], [not _calibrates(pair.one) for pair in alike]
    pool = sorted({prompt for prompt in prompts if len(prompt) <= MAX_CHARS})
    kept, changed = generated(draw.sample(pool, min(sample, len(pool))), draw)
    calibration = _calibration(reader, _chosen(alike, fit), _chosen(unlike, fit))
    known = [_rate(reader, pairs) for pairs in _by_kind([*_chosen(alike, held), *kept])]
    wrong = [_rate(reader, pairs) for pairs in _by_kind([*_chosen(unlike, held), *changed])]
    return {
        "reach": REACH,
        "calibration": calibration,
        "results": [*({"is": "the same", **one} for one in known), *({"is": "another", **one} for one in wrong)],
        "false_hits": _sum(wrong),
        "hits": _sum(known),
        "natural": natural(reader, pool),
    }


def natural(reader: Reader, prompts: Sequence[str]) -> dict[str, Any]:
    """All pairs of different questions that are taken for the same; where letters and figures agree, they are."""
    read = [(prompt, asked) for prompt in prompts if (asked := reader.read(prompt)) is not None]
    places: dict[object, list[int]] = defaultdict(list)
    for number, (_, asked) in enumerate(read):
        places[asked.marks].append(number)
        for at, stem in enumerate(asked.stems):
            if stem:
                places[asked.marks[:at], stem, asked.marks[at + 1 :]].append(number)
    taken = {
        (a, b) for found in places.values() for a in found for b in found if a < b and same(read[a][1], read[b][1])
    }
    doubtful = [(read[a][0], read[b][0]) for a, b in sorted(taken) if _letters(read[a][0]) != _letters(read[b][0])]
    low, high = wilson(len(doubtful), len(read))
    return {
        "questions": len(read),
        "pairs": len(read) * (len(read) - 1) // 2,
        "taken": len(taken),
        "of_other_letters": len(doubtful),
        "of_other_letters_per_question": [low, high],
        "examples": [[one[-160:], other[-160:]] for one, other in doubtful[:5]],
    }


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's score interval of a share at 95 %; (0, 1) where nothing was counted."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, _Z * _Z
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = _Z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def cache_text(result: Mapping[str, Any]) -> str:
    """What `rung bench cache` prints."""
    steps = [
        [f"{row['reach']:g}", f"{row['hit']:.3f}", f"{row['false_hit']:.3f}", f"{row['false_hit_interval'][1]:.3f}"]
        for row in result["calibration"]["steps"]
    ]
    everything: list[Mapping[str, Any]] = [
        *result["results"],
        {"kind": "all", "is": "the same", **result["hits"]},
        {"kind": "all", "is": "another", **result["false_hits"]},
    ]
    rows = [
        [row["kind"], row["is"], str(row["pairs"]), f"{row['rate']:.4f}", _interval(row["interval"])]
        for row in everything
    ]
    natural_, chosen = result["natural"], result["calibration"]["widest_without_false_hit"]
    return (
        f"calibration on half of our own pairs\n{table(['reach', 'hits', 'false hits', 'at most'], steps)}\n"
        f"widest reach without a false hit: {chosen:g}; in force: {result['reach']:g}\n\n"
        f"{table(['pairs', 'ask', 'number', 'taken for the same', '95 %'], rows)}\n\n"
        f"{natural_['questions']:,} different questions of the data ({natural_['pairs']:,} pairs): {natural_['taken']}"
        f" taken for the same, {natural_['of_other_letters']} of them differ in more than spaces and signs"
    )


def _interval(pair: Sequence[float]) -> str:
    return f"{pair[0]:.4f} to {pair[1]:.4f}"


def _calibration(reader: Reader, alike: Sequence[Pair], unlike: Sequence[Pair]) -> dict[str, Any]:
    apart = {True: _distances(reader, alike), False: _distances(reader, unlike)}
    steps: list[dict[str, Any]] = []
    for reach in REACHES:
        hits, wrong = (sum(1 for far in apart[what] if far <= reach) for what in (True, False))
        steps.append(
            {
                "reach": reach,
                "hit": hits / len(alike),
                "false_hit": wrong / len(unlike),
                "false_hit_interval": wilson(wrong, len(unlike)),
            }
        )
    clean = [step["reach"] for step in steps if not step["false_hit"]]
    return {"pairs": len(alike), "steps": steps, "widest_without_false_hit": max(clean, default=0.0)}


def _distances(reader: Reader, pairs: Sequence[Pair]) -> list[float]:
    """How far apart the pairs lie that the guards let through; infinity for the others."""
    read = [_read(reader, pair) for pair in pairs]
    return [distance(*both) if both is not None and same(*both, reach=math.inf) else math.inf for both in read]


def _read(reader: Reader, pair: Pair) -> tuple[Asked, Asked] | None:
    one, other = reader.read(pair.one), reader.read(pair.other)
    return None if one is None or other is None else (one, other)


def _rate(reader: Reader, pairs: Sequence[Pair]) -> dict[str, Any]:
    hits = sum(1 for pair in pairs if (both := _read(reader, pair)) is not None and same(*both))
    return {"kind": pairs[0].kind, **_share(hits, len(pairs))}


def _sum(rates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return _share(sum(rate["hits"] for rate in rates), sum(rate["pairs"] for rate in rates))


def _share(hits: int, count: int) -> dict[str, Any]:
    return {"pairs": count, "hits": hits, "rate": hits / max(count, 1), "interval": wilson(hits, count)}


def _by_kind(pairs: Sequence[Pair]) -> list[list[Pair]]:
    kinds: dict[str, list[Pair]] = {}
    for pair in pairs:
        kinds.setdefault(pair.kind, []).append(pair)
    return list(kinds.values())


def _calibrates(question: str) -> bool:
    return zlib.crc32(question.encode()) % 2 == 0


def _chosen(pairs: Sequence[Pair], which: Sequence[bool]) -> list[Pair]:
    return [pair for pair, chosen in zip(pairs, which, strict=True) if chosen]


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
