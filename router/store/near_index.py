"""A bounded memory of questions by their vectors, where the server has no vector search: this process' own.

    (tenant, group) -> a shelf: rows of one array, each with what `classifier.sameness` compares and its answer's key

One search is one product of a matrix with a vector; a shelf is small enough for that to take a tenth of a millisecond.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from classifier.sameness import Asked, Vector, same

MAX_QUESTIONS = 5_000  # of all tenants together: some 2 KB each, a third of which are the marks of 100 words
MAX_ON_SHELF = 1_000  # a matrix of a megabyte, through which a search goes in 0.1 ms
NEAREST = 16  # candidates that the guards look at: many lie at no distance, differing in what vectors cannot see
_FIRST_ROWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    asked: Asked
    key: str
    expires_s: float


@dataclass(slots=True)
class _Shelf:
    """Questions of one group, the oldest first; `vectors` (rows, d) and `squares` (rows,) have room for more."""

    vectors: Vector
    squares: Vector
    entries: list[_Entry] = field(default_factory=list[_Entry])

    def add(self, entry: _Entry) -> None:
        row = len(self.entries)
        if row == len(self.vectors):
            self.vectors = np.concatenate((self.vectors, self.vectors[:row]))
            self.squares = np.concatenate((self.squares, self.squares[:row]))
        vector = entry.asked.vector
        self.vectors[row], self.squares[row] = vector, vector @ vector
        self.entries.append(entry)

    def keep(self, rows: list[int]) -> None:
        """Only these rows stay."""
        self.entries = [self.entries[row] for row in rows]
        self.vectors[: len(rows)], self.squares[: len(rows)] = self.vectors[rows], self.squares[rows]

    def nearest(self, asked: Asked) -> list[_Entry]:
        """The NEAREST entries, the nearest first and the older of equals."""
        count = len(self.entries)
        # The squared distances, but for what they all have in common.
        apart = self.squares[:count] - 2 * (self.vectors[:count] @ asked.vector)
        return [self.entries[row] for row in np.argsort(apart, kind="stable")[:NEAREST]]


class NearIndex:
    """One per process."""

    def __init__(self, *, most: int = MAX_QUESTIONS, on_shelf: int = MAX_ON_SHELF) -> None:
        self._shelves: OrderedDict[tuple[str, str], _Shelf] = OrderedDict()
        self._most = most
        self._on_shelf = on_shelf
        self._count = 0

    def __len__(self) -> int:
        """How many questions are known."""
        return self._count

    def find(self, tenant: str, group: str, asked: Asked, now_s: float) -> str | None:
        """The key of an answer to a question that asks the same, or None."""
        shelf = self._shelves.get((tenant, group))
        if shelf is None:
            return None
        self._shelves.move_to_end((tenant, group))
        known = (entry for entry in shelf.nearest(asked) if entry.expires_s > now_s and same(entry.asked, asked))
        return next((entry.key for entry in known), None)

    def put(self, tenant: str, group: str, asked: Asked, key: str, *, now_s: float, ttl_s: float) -> None:
        """Remember a question; one with the same answer's key is replaced, and the least used shelves make room."""
        place = (tenant, group)
        shelf = self._shelves.get(place)
        if shelf is None:
            size = len(asked.vector)
            shelf = _Shelf(np.zeros((_FIRST_ROWS, size), np.float32), np.zeros(_FIRST_ROWS, np.float32))
            self._shelves[place] = shelf
        self._keep(place, [e.expires_s > now_s and e.key != key for e in shelf.entries])
        if len(shelf.entries) >= self._on_shelf:
            self._keep(place, [row > 0 for row in range(len(shelf.entries))])
        shelf.add(_Entry(asked=asked, key=key, expires_s=now_s + ttl_s))
        self._shelves[place] = shelf
        self._shelves.move_to_end(place)
        self._count += 1
        while self._count > self._most and len(self._shelves) > 1:
            _, oldest = self._shelves.popitem(last=False)
            self._count -= len(oldest.entries)

    def drop(self, tenant: str, group: str, key: str) -> None:
        """Forget the question with this answer's key."""
        shelf = self._shelves.get((tenant, group))
        if shelf is not None:
            self._keep((tenant, group), [entry.key != key for entry in shelf.entries])

    def forget(self, tenant: str) -> None:
        """Forget all questions of a tenant."""
        for place in [place for place in self._shelves if place[0] == tenant]:
            self._count -= len(self._shelves.pop(place).entries)

    def _keep(self, place: tuple[str, str], stays: list[bool]) -> None:
        shelf = self._shelves[place]
        rows = [row for row, stay in enumerate(stays) if stay]
        if not all(stays):
            self._count -= len(stays) - len(rows)
            shelf.keep(rows)
        if not rows:
            del self._shelves[place]
