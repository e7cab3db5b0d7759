"""Does quality hold to the end of a window that grows harder? First and last tenth, on the same kinds of question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.benchmarks.budget_traffic import WINDOW_S
from training.benchmarks.budget_world import Records
from training.data import Floats, Integers

KINDS = 10  # of how many models answer: a tenth each, so that none lies on both sides of the half that drifts
TENTH = WINDOW_S / 10


def first_and_last(runs: Sequence[tuple[Floats, Floats, Integers]], found: Records) -> dict[str, Any]:
    """Quality in both tenths, each kind of question with the same weight in both.

    Args:
        runs: per seed the (n,) scores, seconds and rows of the requests.
        found: the outcomes, by which kinds are told apart.
    """
    place = np.argsort(np.argsort(found.ease, kind="stable"), kind="stable")
    kind = place * KINDS // len(place)
    score = np.concatenate([run[0] for run in runs])
    at = np.concatenate([run[1] for run in runs])
    kinds = np.concatenate([kind[run[2]] for run in runs])
    first, last = at < TENTH, at >= WINDOW_S - TENTH
    there = [k for k in range(KINDS) if (first & (kinds == k)).any() and (last & (kinds == k)).any()]
    if not there:
        return {"first_tenth": None, "last_tenth": None}
    means = [float(np.mean([score[part & (kinds == k)].mean() for k in there])) for part in (first, last)]
    return {"first_tenth": means[0], "last_tenth": means[1]}
