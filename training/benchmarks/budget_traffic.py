"""When requests arrive in a simulated month: evenly, by day and night, in bursts, or with the hard ones late."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_S = 86_400.0
WINDOW_S = 30 * DAY_S  # the gateway's longer window; its days are what diurnal traffic has

# Requests per hour of the day, relative: an office, its evening and its night; weekends are a third of that.
_NIGHT, _OFFICE, _EVENING = [0.05] * 8, [1.0] * 10, [0.3] * 6
_WEEKEND = 0.3
_BURST = 20  # requests, on average
_BURST_S = 60.0  # ... within a minute: many are in flight together
_IN_BURSTS = 0.8  # share of the requests
_LATE = 0.85  # share of the hard questions that come in the second half, and of the easy ones that do not


class Traffic(StrEnum):
    """The shapes."""

    even = "even"
    diurnal = "diurnal"
    bursty = "bursty"
    drift = "drift"


def arrivals(shape: Traffic, hard: NDArray[np.bool_], draw: np.random.Generator) -> Floats:
    """(n,) seconds since the start of the window.

    Args:
        shape: of the traffic.
        hard: (n,) which requests are hard; only `drift` looks at it.
        draw: of all chance.
    """
    n = len(hard)
    match shape:
        case Traffic.even:
            return draw.uniform(0.0, WINDOW_S, n)
        case Traffic.diurnal:
            return _diurnal(n, draw)
        case Traffic.bursty:
            return _bursty(n, draw)
        case Traffic.drift:
            late = draw.random(n) < np.where(hard, _LATE, 1.0 - _LATE)
            return draw.uniform(0.0, WINDOW_S / 2, n) + np.where(late, WINDOW_S / 2, 0.0)


def _diurnal(n: int, draw: np.random.Generator) -> Floats:
    day = np.array([*_NIGHT, *_OFFICE, *_EVENING])
    weights = np.concatenate([day * (_WEEKEND if d % 7 >= 5 else 1.0) for d in range(int(WINDOW_S // DAY_S))])
    hours: NDArray[Any] = draw.choice(len(weights), size=n, p=weights / weights.sum())
    return (hours + draw.random(n)) * 3600.0


def _bursty(n: int, draw: np.random.Generator) -> Floats:
    starts = draw.uniform(0.0, WINDOW_S - _BURST_S, max(1, round(n * _IN_BURSTS / _BURST)))
    burst = draw.integers(0, len(starts), n)
    alone = draw.random(n) >= _IN_BURSTS
    return np.where(alone, draw.uniform(0.0, WINDOW_S, n), starts[burst] + draw.uniform(0.0, _BURST_S, n))
