"""A classifier for tests, in place of any: it counts, and can be made to wait or to fail."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from classifier.types import Estimate, Query, TokenForecast
from tests.patience import PATIENCE_S

VERSION = "judge-1"


def estimate(difficulty: float = 0.3, version: str = VERSION) -> Estimate:
    """An estimate of two levels."""
    return Estimate(
        difficulty=difficulty,
        uncertainty=0.1,
        kind="other",
        kinds={"other": 1.0},
        abilities=(0.0, 1.0),
        success=(0.2, 0.8),
        heads={},
        tokens=TokenForecast(expected=10, high=20),
        reasons=("short",),
        version=version,
    )


class Judge:
    """Judges everything alike.

    Attributes:
        batches: what it was asked, call by call. threads: those that it was asked in. is_asked: set with the first.
        may_answer: clear it to make it wait. baffled_by: the text that it fails at. fails: whether it fails at all.
    """

    def __init__(self, difficulty: float = 0.3, version: str = VERSION) -> None:
        self.difficulty = difficulty
        self.version = version
        self.quick_chars = 0
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.baffled_by: str | None = None
        self.fails = False
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.is_asked = threading.Event()

    def estimate(self, query: Query) -> Estimate:
        return self.estimate_many([query])[0]

    def estimate_many(self, queries: Sequence[Query]) -> list[Estimate]:
        self.batches.append([query.text for query in queries])
        self.threads.add(threading.get_ident())
        self.is_asked.set()
        assert self.may_answer.wait(PATIENCE_S)
        if self.fails or self.baffled_by in self.batches[-1]:
            raise RuntimeError("no idea")
        return [estimate(self.difficulty, self.version) for _ in queries]
