"""Whether the classifier in force still tells the truth: its calibration on what was told, and drift. Pure.

For each version, over the last outcomes of trusted sources: what it had promised of the rung that served, and what came
of it. For each tenant's stream of decisions together: how far the last difficulties have moved from the first ones that
this version judged (population stability index), and how far the mean question has.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policies.log_schema import CHECKER, FEEDBACK, JUDGE

KEPT = 1_000  # outcomes of a version that count; older ones tell of other days
REFERENCE, RECENT = 2_000, 1_000  # decisions of a version that are its normal, and those held against them
BINS = 10
# What Rung sees by itself tells failures only, and so nothing of calibration.
_TRUSTED = (*FEEDBACK, JUDGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is still in order.

    Attributes:
        outcomes: fewer say nothing. calibration: the largest gap between promised and observed success.
        drop: how much less may be observed than under the version before. sigmas: standard errors that a finding needs.
    """

    outcomes: int = 200
    calibration: float = 0.15
    drop: float = 0.1
    sigmas: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a version does. `drift`: population stability index; `shift`: 1 - cosine of the mean questions."""

    version: str
    outcomes: int
    promised: float
    observed: float
    drift: float | None = None
    shift: float | None = None


def is_trusted(source: str) -> bool:
    """Whether outcomes of this source count for calibration."""
    return source in _TRUSTED or source.startswith(f"{CHECKER}.")


@dataclass(slots=True)
class _Version:
    pairs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    first: list[float] = field(default_factory=list[float])
    last: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    first_mean: NDArray[np.floating] | None = None
    last_mean: NDArray[np.floating] | None = None


class LiveWatch:
    """Watches versions; what it is shown decides nothing by itself."""

    def __init__(self) -> None:
        self._versions: dict[str, _Version] = {}

    def decided(self, version: str, difficulty: float, vector: NDArray[np.floating] | None) -> None:
        """A decision by this version."""
        known = self._versions.setdefault(version, _Version())
        is_reference = len(known.first) < REFERENCE
        (known.first if is_reference else known.last).append(difficulty)
        if vector is None:
            return
        if is_reference:
            known.first_mean = _moved(known.first_mean, vector, len(known.first))
        else:
            known.last_mean = _moved(known.last_mean, vector, len(known.last))

    def told(self, version: str, promised: float, observed: float) -> None:
        """What came of an answer for which this version had promised success with some probability."""
        self._versions.setdefault(version, _Version()).pairs.append((promised, observed))

    def health(self, version: str) -> Health:
        """How a version does."""
        known = self._versions.get(version, _Version())
        count = len(known.pairs)
        promised, observed = (
            (math.fsum(column) / count for column in zip(*known.pairs, strict=True)) if count else (0, 0)
        )
        drift = stability(known.first, known.last) if len(known.last) >= RECENT else None
        return Health(
            version=version,
            outcomes=count,
            promised=promised,
            observed=observed,
            drift=drift,
            shift=_shift(known.first_mean, known.last_mean) if drift is not None else None,
        )

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that were seen at work."""
        return tuple(self._versions)

    def verdict(self, version: str, before: str | None, bounds: Bounds) -> str | None:
        """Why this version should decide no longer, in a sentence; None while it is in order."""
        now = self.health(version)
        if now.outcomes < bounds.outcomes:
            return None
        gap, error = now.promised - now.observed, _error(now.observed, now.outcomes)
        if abs(gap) > bounds.calibration and abs(gap) > bounds.sigmas * error:
            return (
                f"promised {now.promised:.2f} and {now.observed:.2f} came of it, over {now.outcomes} outcomes"
                f" (bound {bounds.calibration:g})"
            )
        former = self.health(before) if before is not None else None
        if former is None or former.outcomes < bounds.outcomes:
            return None
        drop = former.observed - now.observed
        if drop > bounds.drop and drop > bounds.sigmas * math.hypot(error, _error(former.observed, former.outcomes)):
            return f"{now.observed:.2f} came of it where {former.observed:.2f} came of {before} (bound {bounds.drop:g})"
        return None


def stability(reference: Sequence[float], recent: Sequence[float]) -> float:
    """Population stability index of numbers in 0..1: below .1 nothing has moved, above .25 much has.

    Sum over bins of (q - p) ln(q / p), by the reference's deciles, each share smoothed by half a count.
    """
    edges = np.quantile(np.asarray(reference), np.linspace(0, 1, BINS + 1)[1:-1])
    p, q = (np.bincount(np.searchsorted(edges, values), minlength=BINS) + 0.5 for values in (reference, recent))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def _moved(mean: NDArray[np.floating] | None, vector: NDArray[np.floating], over: int) -> NDArray[np.floating]:
    return vector if mean is None else mean + (vector - mean) / over


def _shift(a: NDArray[np.floating] | None, b: NDArray[np.floating] | None) -> float | None:
    if a is None or b is None or a.shape != b.shape:
        return None
    size = float(np.sqrt((a @ a) * (b @ b)))
    return 1.0 - float(a @ b) / size if size > 0 else None


def _error(share: float, count: int) -> float:
    """Standard error of a share; never 0, since even 200 of 200 leave some doubt."""
    return math.sqrt(max(share * (1 - share), 0.25 / count) / count)
