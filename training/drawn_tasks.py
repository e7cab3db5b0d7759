"""Tasks whose size says how hard they are: drawn from forms, from two steps or three cells up to many.

What makes a longer chain of steps harder is known without a measurement, and no public file teaches it beyond its own
puzzles. Each form draws a size, and its difficulty class (1 to 6, as in `training/own/rated.tsv`, fractions between)
rises with it. The classes are our judgement. The forms are common kinds of task; no line stands in a data set. Words
and sentences are in `training/own/tasks.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

TABLE: Final = Path(__file__).with_name("own") / "tasks.toml"
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A prompt, its difficulty class (1.0 to 6.0), its kind and the length class of a usual answer (s, m, l, x)."""

    prompt: str
    difficulty: float
    kind: str
    length: str


class Draw:
    """Random choices with a seed, and the words to choose from."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.table = _table()

    def number(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return int(self._random.integers(low, high + 1))

    def one(self, items: Sequence[Item]) -> Item:
        """One of them."""
        return items[self.number(0, len(items) - 1)]

    def some(self, items: Sequence[Item], count: int) -> list[Item]:
        """So many different ones, in random order."""
        return [items[i] for i in self._random.permutation(len(items))[:count].tolist()]

    def chance(self, share: float) -> bool:
        """True this often."""
        return bool(self._random.random() < share)

    def name(self) -> str:
        """A person."""
        return self.one(self.table["names"])

    def word(self) -> str:
        """A thing."""
        return self.one(self.table["words"])


def drawn(seed: int, each: int) -> list[Task]:
    """`each` tasks of every form."""
    draw = Draw(seed)
    return [form(draw) for form in FORMS for _ in range(each)]


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def _between(low: float, high: float, size: int, least: int, most: int) -> float:
    """The class of a size: straight from `low` at the least to `high` at the most."""
    return low + (high - low) * (size - least) / (most - least)


def _story(draw: Draw) -> Task:
    steps, table = draw.number(1, 6), draw.table["story"]
    said = {"who": draw.name(), "other": draw.name(), "things": draw.one(draw.table["things"])}
    forms = [table["start"], *(draw.one(table["steps"]) for _ in range(steps)), draw.one(table["ends"])]
    text = " ".join(form.format(**said, n=draw.number(10, 90), few=draw.number(2, 9)) for form in forms)
    return Task(prompt=text, difficulty=_between(1.6, 3.4, steps, 1, 6), kind="mathematics", length="m")


def _arithmetic(draw: Draw) -> Task:
    terms, digits = draw.number(3, 8), draw.number(2, 5)  # sums of single digits are trivial
    signs = [draw.one((" + ", " - ", " + ", " - ", " * ")) for _ in range(terms - 1)]
    numbers = [str(draw.number(1, 10**digits - 1)) for _ in range(terms)]
    text = "".join(map("".join, zip(numbers, [*signs, ""], strict=True)))
    hard = min(1.0 + 0.25 * (terms - 2) + 0.45 * (digits - 1) + 0.35 * signs.count(" * "), 5.2)
    return Task(
        prompt=draw.one(draw.table["arithmetic"]["forms"]).format(text), difficulty=hard, kind="mathematics", length="m"
    )


def _equation(draw: Draw) -> Task:
    a, b, c, d = (draw.number(2, 14) for _ in range(4))
    text, hard = draw.one(
        (
            (f"Solve for x: {a}x + {b} = {a * c + b}", 1.8),
            (f"Find x if {a}(x - {b}) + {c} = {d}x - {a}", 2.4),
            (f"Find all real x with {a}x^2 + {b}x - {c} = 0.", 2.8),
            (f"Find all pairs of integers (x, y) with {a}x^2 - {b}y^2 = {c} and |x|, |y| <= {d * 10}.", 4.4),
        )
    )
    return Task(prompt=text, difficulty=hard, kind="mathematics", length="m")


def _base(draw: Draw) -> Task:
    (a, b), digits = draw.some((2, 3, 5, 7, 8, 11, 16), 2), draw.number(1, 6)
    number = np.base_repr(draw.number(10 ** (digits - 1), 10**digits), a).lower()
    text = f"Convert the number {number} from base {a} to base {b}."
    return Task(prompt=text, difficulty=2.4 + 0.4 * digits, kind="mathematics", length="m")


def _sorting(draw: Draw) -> Task:
    words = draw.some(draw.table["words"], draw.number(3, 25))
    order = draw.one(draw.table["sorting"]["orders"])
    text = f"Sort these words in {order} and give them separated by commas: {', '.join(words)}"
    return Task(prompt=text, difficulty=_between(1.6, 3.6, len(words), 3, 25), kind="puzzle", length="m")


def _letters(draw: Draw) -> Task:
    words = draw.number(1, 13)
    text, shift = " ".join(draw.word() for _ in range(words)), draw.number(1, 25)
    secret = "".join(chr((ord(c) - 97 + shift) % 26 + 97) if c.isalpha() else c for c in text)
    ask, low, high = draw.one(
        (
            (f'How many times does the letter "{draw.one("aeinrtlo")}" appear in "{text}"?', 2.2, 3.8),
            (f"Write this backwards, letter by letter: {text}", 2.0, 4.4),
            (f"Decrypt this Caesar cipher text: {secret}", 3.0, 4.4),
        )
    )
    return Task(prompt=ask, difficulty=_between(low, high, words, 1, 13), kind="puzzle", length="s")


def _matrix(draw: Draw) -> Task:
    size, task = draw.number(3, 9), draw.one(draw.table["matrix"])
    rows = [" ".join(str(draw.number(0, 9)) for _ in range(size)) for _ in range(size)]
    text, (low, high) = "\n".join((task["ask"], *rows)), task["classes"]
    return Task(prompt=text, difficulty=_between(low, high, size, 3, 9), kind="puzzle", length="m")


def _maze(draw: Draw) -> Task:
    size = draw.number(4, 12)
    cells = "".join("#" if draw.chance(0.3) else "." for _ in range(size * size))
    cells = f"S{cells[1:-1]}E"
    ask = (
        "Find the length of the shortest path from S to E in this maze; # is a wall, moves go up, down, left and right."
    )
    text = "\n".join((ask, *(cells[i : i + size] for i in range(0, len(cells), size))))
    return Task(prompt=text, difficulty=_between(3.4, 5.2, size, 4, 12), kind="puzzle", length="m")


def _sudoku(draw: Draw) -> Task:
    box, empty = draw.one((2, 3)), draw.number(20, 65) / 100
    size = box * box
    digits = draw.some("123456789"[:size], size)
    solved = [[digits[(i * box + i // box + j) % size] for j in range(size)] for i in range(size)]
    rows = [" ".join("_" if draw.chance(empty) else digit for digit in row) for row in solved]
    text = "\n".join((f"Solve this {size}x{size} sudoku; _ is empty.", *rows))
    return Task(prompt=text, difficulty=3.2 + empty if box == 2 else 4.4 + 1.2 * empty, kind="puzzle", length="l")


def _houses(draw: Draw) -> Task:
    table, count = draw.table["houses"], draw.number(2, 6)
    kinds = draw.some(list(table["kinds"]), draw.number(2, 6))
    people = [(kind, value) for kind in kinds for value in table["kinds"][kind][:count]]
    clues = [[draw.one(people), draw.one(people)] for _ in range(count * len(kinds) // 2 + 1)]
    told = [
        f"{i}. The one with {' '.join(a)} {draw.one(table['relations'])} the one with {' '.join(b)}."
        for i, (a, b) in enumerate(clues, 1)
    ]
    given = [f" - {kind}: {', '.join(table['kinds'][kind][:count])}" for kind in kinds]
    head = table["start"].format(count)
    text = "\n".join((head, *given, "Clues:", *told, draw.one(table["ends"])))
    return Task(prompt=text, difficulty=_between(2.4, 5.9, count * len(kinds), 4, 36), kind="puzzle", length="l")


def _knights(draw: Draw) -> Task:
    people, claims = draw.some(draw.table["names"], draw.number(2, 7)), draw.table["knights"]["claims"]
    said = [f'{who} says: "{draw.one(claims).format(a=draw.one(people), b=draw.one(people))}."' for who in people]
    head = f"Knights always tell the truth, knaves always lie. You meet {len(people)} people: {', '.join(people)}."
    text = " ".join((head, *said, "Who is a knight and who is a knave?"))
    return Task(prompt=text, difficulty=_between(2.8, 4.9, len(people), 2, 7), kind="puzzle", length="m")


def _order(draw: Draw) -> Task:
    people, (more, most) = draw.some(draw.table["names"], draw.number(3, 8)), draw.one(draw.table["order"]["pairs"])
    told = [f"{a} is {more} than {b}." for a, b in pairwise(people)]
    asked = draw.one((most, f"second {most}", f"third {most}"))
    text = " ".join((*draw.some(told, len(told)), f"Who is the {asked}?"))
    return Task(prompt=text, difficulty=_between(1.6, 3.2, len(people), 3, 8), kind="puzzle", length="s")


def _family(draw: Draw) -> Task:
    people = draw.some(draw.table["names"], draw.number(3, 9))
    relations = draw.table["family"]["relations"]
    told = [f"{a} is the {draw.one(relations)} of {b}." for a, b in pairwise(people)]
    text = " ".join((*told, f"How is {people[0]} related to {people[-1]}?"))
    return Task(prompt=text, difficulty=_between(2.0, 4.0, len(people), 3, 9), kind="puzzle", length="s")


def _dates(draw: Draw) -> Task:
    table = draw.table["dates"]
    asked = draw.one(table["asks"])
    date = f"{draw.number(1, 28)} {draw.one(table['months'])} {draw.number(1900, 2030)}"
    said = {"date": date, "days": draw.number(10, 400), "hours": draw.number(2, 9), "minutes": draw.number(10, 59)}
    text = asked["form"].format(**said, weekday=draw.one(table["weekdays"]), month=draw.one(table["months"]))
    return Task(prompt=text, difficulty=asked["class"], kind="puzzle", length="s")


def _logic(draw: Draw) -> Task:
    depth, said = draw.number(2, 7), draw.one("ABCDEFG")
    for _ in range(depth):
        said = draw.one(draw.table["logic"]["forms"]).format(said, draw.one("ABCDEFG"))
    text = f"A, C and D are true, all others false. Is the following true?\n{said}"
    return Task(prompt=text, difficulty=_between(2.2, 3.8, depth, 2, 7), kind="puzzle", length="s")


def _trace(draw: Draw) -> Task:
    table, count = draw.table["trace"], draw.number(1, 9)
    x, y = draw.number(1, 19), [draw.number(0, 8) for _ in range(draw.number(2, 5))]
    lines = "\n".join(draw.one(table["lines"]) for _ in range(count))
    text = f"{draw.one(table['asks'])}\n\nx = {x}\ny = {y}\n{lines}\nprint(x, y)"
    if draw.chance(0.4):
        body = "\n".join(f"    {line}" for line in lines.split("\n"))
        text = f"What does this call return?\n\ndef f(x, y):\n{body}\n    return x, y\n\nf({x}, {y})"
    return Task(prompt=text, difficulty=_between(1.8, 4.3, count, 1, 9), kind="code", length="m")


def _writing(draw: Draw) -> Task:
    table = draw.table["writing"]
    constraints = draw.some(table["constraints"], draw.number(0, 4))
    said = [draw.one(table["tasks"]).format(draw.word()), *(c.format(draw.number(2, 60)) for c in constraints)]
    return Task(prompt=" ".join(said), difficulty=1.2 + 0.55 * len(constraints), kind="writing", length="l")


FORMS: Final[tuple[Callable[[Draw], Task], ...]] = (
    _story, _arithmetic, _equation, _base, _sorting, _letters, _matrix, _maze, _sudoku, _houses, _knights, _order,
    _family, _dates, _logic, _trace, _writing,
)  # fmt: skip
