"""When requests arrive in a simulated month: evenly, by day and night, in bursts, or with the hard ones late."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.profile import Profile, weekly

Floats = NDArray[np.float64]

DAY_S = 86_400.0
WINDOW_DAYS = 30
WINDOW_S = WINDOW_DAYS * DAY_S  # the gateway's longer window; its days are what diurnal traffic has

# Requests per hour of the day, relative: an office, its evening and its night; weekends are a third of that.
_DAY = [0.05] * 8 + [1.0] * 10 + [0.3] * 6
_WEEK = [1.0] * 5 + [0.3] * 2
START_S = 4 * DAY_S  # the first Monday after the epoch
_PRIOR = 1.0  # request in each hour and day: none is ruled out because a small month had nothing in it
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


def usual_hours(at: Floats) -> Profile:
    """The profile that an operator reads off a month's arrivals, (n,) seconds: requests by hour and by weekday."""
    hours = np.bincount((at % DAY_S // 3600).astype(np.intp), minlength=24)
    days = np.bincount((at // DAY_S % 7).astype(np.intp), minlength=7) / np.bincount(np.arange(WINDOW_DAYS) % 7)
    return weekly((hours + _PRIOR).tolist(), (days + _PRIOR).tolist())


def _diurnal(n: int, draw: np.random.Generator) -> Floats:
    weights = np.array([_WEEK[day % 7] * hour for day in range(WINDOW_DAYS) for hour in _DAY])
    hours: NDArray[Any] = draw.choice(len(weights), size=n, p=weights / weights.sum())
    return (hours + draw.random(n)) * 3600.0


def _bursty(n: int, draw: np.random.Generator) -> Floats:
    starts = draw.uniform(0.0, WINDOW_S - _BURST_S, max(1, round(n * _IN_BURSTS / _BURST)))
    burst = draw.integers(0, len(starts), n)
    alone = draw.random(n) >= _IN_BURSTS
    return np.where(alone, draw.uniform(0.0, WINDOW_S, n), starts[burst] + draw.uniform(0.0, _BURST_S, n))
