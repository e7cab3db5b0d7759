"""Classifiers for second looks without a transformer: the static encoder stands in for one, and says so in its name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from classifier.artefact import DEFAULT, load_default, save
from classifier.types import Estimate, Query, TokenForecast


def static_in_place_of_a_transformer(folder: Path, *, harder: float = 0.0, weight: float = 1.0) -> Path:
    """An artefact for second looks: the shipped classifier, to which everything is `harder` by so many logits."""
    model = load_default()
    save(
        folder,
        name="stand-in",
        version=1,
        inputs=model.inputs,
        encoder_files=DEFAULT,
        network=model.network,
        layout=replace(model.layout, offset=model.layout.offset - harder),
        golden=("Hi", "What is the capital of Mongolia?"),
        about={"second_look": {"weight": weight}},
    )
    return folder


def estimate(difficulty: float = 0.3, version: str = "1") -> Estimate:
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
    """A classifier in place of a transformer's: it counts, and can be made to wait or to fail."""

    version = "judge-1"
    quick_chars = 0

    def __init__(self, difficulty: float = 0.3) -> None:
        self.difficulty = difficulty
        self.batches: list[list[str]] = []
        self.baffled_by: str | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.is_asked = threading.Event()

    def estimate(self, query: Query) -> Estimate:
        return self.estimate_many([query])[0]

    def estimate_many(self, queries: Sequence[Query]) -> list[Estimate]:
        self.batches.append([query.text for query in queries])
        self.is_asked.set()
        assert self.may_answer.wait(10)
        if any(query.text == self.baffled_by for query in queries):
            raise RuntimeError("no idea")
        return [estimate(self.difficulty, self.version) for _ in queries]
