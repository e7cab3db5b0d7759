"""`rung-train watch`: the newest window of a log held against the days before it (classifier.drift)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.drift import Drift, Window, compare
from training.learning.evaluate import rewards
from training.learning.ingest import SECONDS_A_DAY, Log, read_log
from training.learning.ladders import read_ladders
from training.learning.vectors import inputs_of
from training.rows import DataError

SAMPLE: Final = 5_000  # queries of a window whose inputs are read


def look(logs: str, *, tenant: str | None, recent_days: float, before_days: float, level: float) -> Drift:
    """Test the newest `recent_days` of a log against the `before_days` before them.

    Raises:
        DataError: there is nothing in one of the windows.
    """
    log = read_log(logs, tenant=tenant)
    end = float(log.created.max())
    cut = end - recent_days * SECONDS_A_DAY
    now = np.flatnonzero(log.created > cut)
    earlier = np.flatnonzero((log.created <= cut) & (log.created > cut - before_days * SECONDS_A_DAY))
    if not len(now) or not len(earlier):
        raise DataError(
            f"the log does not reach back {recent_days + before_days:g} days; give smaller windows (--recent, --before)"
        )
    return compare(window(log, earlier), window(log, now), level=level)


def window(log: Log, at: NDArray[Any]) -> Window:
    """What the tests need of the decisions `at`."""
    sample = np.sort(np.random.default_rng(0).permutation(at)[:SAMPLE])
    x = inputs_of(log, sample, "default")
    reward = rewards(log)[at]
    told = at[np.isfinite(reward)]
    ladders = read_ladders(log, told)
    known = ladders.taken >= 0
    foretold = ladders.quality[np.flatnonzero(known), ladders.taken[known]]
    return Window(
        inputs=x[np.isfinite(x).all(axis=1)],
        scores=log.difficulty[at][~log.is_default[at]],
        foretold=foretold,
        outcome=reward[np.isfinite(reward)][known],
    )
