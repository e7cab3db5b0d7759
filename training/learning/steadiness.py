"""How steady a candidate's choices are: the share of held-out decisions that a change of wording turns over.

The question stays the same; its wording gets typing slips, random letters before it, or a plea for effort, or a harness
stands around it. Chosen is by the rule and the ladder of each logged decision (training.learning.ladders), so that a
flip is a query that another rung would have served. Needs the texts (`log_text`): without any, nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.model import DifficultyModel
from classifier.types import Query
from training.benchmarks.robustness import HARNESS, INSISTENCE, gibberish, typos
from training.learning.ingest import Log
from training.learning.ladders import Ladders, with_success
from training.learning.vectors import texts_of

SAMPLE: Final = 300  # decisions that are asked again in other words: a share is known to three points then

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]
Ask = Callable[[str], Query]


def flips(log: Log, at: Integers, ladders: Ladders, model: DifficultyModel, *, seed: int = 0) -> dict[str, float]:
    """Share of choices that each change turns over, with `queries`, how many were looked at; {} without texts.

    Args:
        log: the log. at: (n,) decisions. ladders: theirs. model: the candidate. seed: of sample and noise.
    """
    texts = texts_of(log, at)
    known = np.array([i for i, text in enumerate(texts) if text], np.int64)
    chosen = np.sort(np.random.default_rng(seed).permutation(known)[:SAMPLE])
    if not len(chosen):
        return {}
    own, place = ladders.take(chosen), at[chosen]

    def choices(ask: Ask) -> Integers:
        said = _heads(model, [ask(texts[i] or "") for i in chosen.tolist()])
        return with_success(own, log, place, model.layout.heads, said).choices()

    plain = choices(lambda text: Query(text=text))
    shares = {name: float((choices(ask) != plain).mean()) for name, ask in _changes(seed).items()}
    return {"queries": len(chosen), **shares}


def _changes(seed: int) -> Mapping[str, Ask]:
    draw = Random(seed)  # noqa: S311 - noise, not a secret
    return {
        "typos": lambda text: Query(text=typos(text, draw)),
        "gibberish_prefix": lambda text: Query(text=gibberish(text, draw)),
        "insistence": lambda text: Query(text=f"{text}\n{INSISTENCE}"),
        "harness": lambda text: HARNESS(text=text),
    }


def _heads(model: DifficultyModel, queries: list[Query]) -> Floats:
    """(n, H) success per head, as it is served."""
    said = [model.estimate(query).heads for query in queries]
    return np.array([[heads[name] for name in model.layout.heads] for heads in said]).reshape(len(queries), -1)
