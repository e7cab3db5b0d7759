"""Does quality hold to the end of a window that grows harder? First and last tenth, on the same kinds of question.

Kinds are tenths of the questions by how many models answer them. Drift moves the harder half of the questions to the
end, and no tenth lies on both sides of that line, so that within a kind it is chance alone which question comes first
and which last. Fifths do not have that: the middle one straddles the line, its easier part comes early and its harder
part late, and even a policy that treats all alike seems to lose quality. They are told beside it (`*_by_fifths`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.benchmarks.budget_traffic import WINDOW_S
from training.benchmarks.budget_world import Records
from training.data import Floats, Integers

KINDS, COARSE = 10, 5
TENTH = WINDOW_S / 10


def first_and_last(runs: Sequence[tuple[Floats, Floats, Integers]], found: Records) -> dict[str, Any]:
    """Quality in both tenths of the window, each kind of question with the same weight in both.

    Args:
        runs: per seed the (n,) scores, seconds and rows of the requests.
        found: the outcomes, by which kinds are told apart.

    Returns:
        `first_tenth`, `last_tenth`, the standard error of their difference `tenths_error`; the first two
        `_by_fifths` as well. None where no kind stands in both.
    """
    score, at = np.concatenate([run[0] for run in runs]), np.concatenate([run[1] for run in runs])
    row = np.concatenate([run[2] for run in runs])
    place = np.argsort(np.argsort(found.ease, kind="stable"), kind="stable")
    first, last, error = _compared(score, at, (place * KINDS // len(place))[row])
    coarse_first, coarse_last, _ = _compared(score, at, (place * COARSE // len(place))[row])
    return {
        "first_tenth": first,
        "last_tenth": last,
        "tenths_error": error,
        "first_tenth_by_fifths": coarse_first,
        "last_tenth_by_fifths": coarse_last,
    }


def _compared(score: Floats, at: Floats, kind: Integers) -> tuple[float | None, float | None, float | None]:
    early, late = at < TENTH, at >= WINDOW_S - TENTH
    there = [k for k in np.unique(kind) if (early & (kind == k)).any() and (late & (kind == k)).any()]
    if not there:
        return None, None, None
    cells = [[score[part & (kind == k)] for k in there] for part in (early, late)]
    first, last = (float(np.mean([cell.mean() for cell in part])) for part in cells)
    variance = sum(float(cell.var()) / len(cell) for part in cells for cell in part) / len(there) ** 2
    return first, last, float(np.sqrt(variance))
