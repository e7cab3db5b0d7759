"""What is asked: several hundred different questions, with a counter's mark in each, and documents to fill them up.

Every pattern is crossed with every subject, so the classifier sees the mixture of easy and hard, of code, sums, prose
and small talk that a gateway sees. The mark is overwritten by the load generator with a number that never comes twice:
no two requests are alike, so neither the answer cache nor the memory of recent scores can help anybody.
"""

from __future__ import annotations

import json
from itertools import cycle, islice, product
from pathlib import Path

# load.c looks for exactly this.
MARK = "@@@@@@@@@@@@@@"

_SYSTEM = (
    "You are the assistant of a small software company. Answer in the language of the question, be brief where the "
    "question is simple and thorough where it is not, and say so when you do not know. Never invent a source. Figures "
    "carry their unit. Code is complete, typed, and has no comment that repeats it."
)

# Patterns stand apart, between lines of three dashes; {s} is where the subject goes.
_PATTERNS = tuple(
    block.strip() for block in (Path(__file__).parent / "questions.txt").read_text(encoding="utf-8").split("\n---\n")
)

_SUBJECTS = (
    "tidal power", "sourdough bread", "the double-entry ledger", "hash tables", "migratory birds", "cold chains",
    "optical character recognition", "noise barriers", "vaccination registers", "heat pumps", "railway signalling",
    "binary search", "glacier melt", "open-source licences", "paper recycling", "queueing theory", "beekeeping",
    "the Kalman filter", "museum catalogues", "drip irrigation", "container ships", "sign language", "lighthouses",
    "crop rotation",
)  # fmt: skip

_SENTENCES = (
    "The committee on {s} met eleven times between March and October, and published its minutes each time.",
    "Costs rose by 4.2 % in the first year and fell by 1.7 % in the second, mostly because of {t}.",
    "Nobody had expected that {s} and {t} would compete for the same people, but by the summer they did.",
    "Of 94 people who were asked, 61 had heard of {s}, 37 had used it, and 5 could say who was in charge.",
    "A second team repeated the trial with {t}, under the same conditions, and found no difference.",
    "It was therefore agreed to keep {s} for another season, to measure it weekly, and to decide in the spring.",
    "Section 7 lists the exceptions: sites without power, sites that share a store with {t}, and repairs.",
)


def questions() -> list[str]:
    """All questions, neighbours of different patterns, the mark at the start of each."""
    pairs = [
        (pattern, _SUBJECTS[(j + i) % len(_SUBJECTS)])
        for j, (i, pattern) in product(range(len(_SUBJECTS)), enumerate(_PATTERNS))
    ]
    return [f"[ticket {MARK}] " + pattern.replace("{s}", subject) for pattern, subject in pairs]


def document(number: int, characters: int) -> str:
    """A report of so many characters; each number gives another one."""
    parts = [f"Report {number + 1}\n"]
    length = len(parts[0])
    for step, sentence in enumerate(cycle(_SENTENCES)):
        if length >= characters:
            break
        subject = _SUBJECTS[(number + step) % len(_SUBJECTS)]
        other = _SUBJECTS[(number * 5 + step * 7 + 3) % len(_SUBJECTS)]
        text = f"{step + 1}. " + sentence.replace("{s}", subject).replace("{t}", other) + "\n"
        parts.append(text)
        length += len(text)
    return "".join(parts)[:characters]


def body(question: str, *, model: str, stream: bool) -> str:
    """One request's JSON on one line."""
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]
    return json.dumps({"model": model, "messages": messages, **({"stream": True} if stream else {})})


def with_document(question: str, number: int, size: int) -> str:
    """The question over a report, so that its request's body has about `size` bytes."""
    room = size - len(body(question, model="", stream=False)) - 40
    return f"{question}\n\nAnswer from this report:\n\n{document(number, room)}" if room > 0 else question


def write_bodies(path: Path, *, size: int, count: int, model: str, stream: bool) -> None:
    """A file for the load generator: `count` bodies, one a line, filled up to `size` bytes each (0: as they are)."""
    texts = islice(cycle(questions()), count)
    lines = (body(with_document(q, i, size), model=model, stream=stream) for i, q in enumerate(texts))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
