"""Whether a window of queries is unlike the one before it: pure tests on numbers, no clock, no files.

    inputs        every input's mean, by z, the greatest of them judged by Bonferroni's bound; and the share of
                  queries farther from the earlier middle than 95 % of the earlier ones
    scores        the distribution of difficulty (two-sample Kolmogorov-Smirnov)
    calibration   sum of (outcome - foretold) over its standard deviation if the forecasts were right
    outcomes      mean outcome of the two windows (Welch's z)

Single queries far from all others are no sign of drift (area under the curve .40 to .94 in our measurements);
distributions over windows are. `level` is the chance of any alarm in all tests together where nothing drifted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

LEAST: Final = 30  # queries or outcomes on either side; below it no test is made
TESTS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One test: its name, its chance value under no drift, whether that is too small, and the figures in words."""

    __test__ = False

    name: str
    chance: float
    drifted: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """All tests of a window."""

    tests: tuple[Test, ...]

    @property
    def drifted(self) -> bool:
        """Whether any test says so."""
        return any(test.drifted for test in self.tests)

    def as_json(self) -> dict[str, Any]:
        """For metrics and alerts."""
        rows = [{"name": t.name, "chance": t.chance, "drifted": t.drifted, "why": t.why} for t in self.tests]
        return {"drifted": self.drifted, "tests": rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is looked at of a stretch of time.

    Attributes:
        inputs: (n, d) of the queries. scores: (m,) difficulties. foretold, outcome: (l,) of the labelled ones.
    """

    inputs: Floats
    scores: Floats
    foretold: Floats
    outcome: Floats


def compare(before: Window, recent: Window, *, level: float = 0.01) -> Drift:
    """Test a window against the one before it."""
    each = level / TESTS
    return Drift(
        tests=(
            _inputs(before.inputs, recent.inputs, each),
            _scores(before.scores, recent.scores, each),
            _calibration(recent.foretold, recent.outcome, each),
            _outcomes(before.outcome, recent.outcome, each),
        )
    )


def _inputs(before: Floats, recent: Floats, level: float) -> Test:
    if (short := _short("inputs", before, recent)) is not None:
        return short
    before, recent = before.astype(np.float64), recent.astype(np.float64)
    spread = np.concatenate([before, recent]).std(axis=0)
    error = spread * math.sqrt(1 / len(before) + 1 / len(recent))
    varies = spread > 1e-3 * (1.0 + np.abs(before.mean(axis=0)))
    z = np.where(varies, np.abs(recent.mean(axis=0) - before.mean(axis=0)) / np.where(varies, error, 1.0), 0.0)
    means = min(1.0, _two_sided(float(z.max())) * z.size)
    middle = before.mean(axis=0)
    far = np.quantile(((before - middle) ** 2).sum(axis=1), 0.95)
    share = float((((recent - middle) ** 2).sum(axis=1) > far).mean())
    error_of_share = math.sqrt(0.05 * 0.95 * (1 / len(recent) + 1 / len(before)))
    distance = NormalDist().cdf((0.05 - share) / error_of_share)  # one side: fewer far queries are no novelty
    chance = min(1.0, 2.0 * min(means, distance))
    why = f"largest shift of a mean {z.max():.1f} standard errors; {share:.1%} of queries beyond the earlier 95 %"
    return Test(name="inputs", chance=chance, drifted=chance < level, why=why)


def _scores(before: Floats, recent: Floats, level: float) -> Test:
    if (short := _short("scores", before, recent)) is not None:
        return short
    gap = ks(before, recent)
    n = len(before) * len(recent) / (len(before) + len(recent))
    chance = kolmogorov(gap * (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)))  # Stephens 1970
    why = f"difficulty: mean {before.mean():.3f} before, {recent.mean():.3f} now; distributions {gap:.3f} apart"
    return Test(name="scores", chance=chance, drifted=chance < level, why=why)


def _calibration(foretold: Floats, outcome: Floats, level: float) -> Test:
    if (short := _short("calibration", foretold, outcome)) is not None:
        return short
    p = np.clip(foretold, 0.01, 0.99)
    z = float((outcome - p).sum()) / math.sqrt(float((p * (1 - p)).sum()))
    chance = _two_sided(z)
    why = f"foretold {p.mean():.3f}, came to {outcome.mean():.3f} over {len(p)} outcomes"
    return Test(name="calibration", chance=chance, drifted=chance < level, why=why)


def _outcomes(before: Floats, recent: Floats, level: float) -> Test:
    if (short := _short("outcomes", before, recent)) is not None:
        return short
    error = math.sqrt(float(before.var()) / len(before) + float(recent.var()) / len(recent))
    chance = _two_sided(float(recent.mean() - before.mean()) / max(error, 1e-9))
    why = f"mean outcome {before.mean():.3f} before, {recent.mean():.3f} now"
    return Test(name="outcomes", chance=chance, drifted=chance < level, why=why)


def ks(a: Floats, b: Floats) -> float:
    """The greatest distance between two empirical distributions."""
    both = np.sort(np.concatenate([a, b]))
    return float(
        np.abs(
            np.searchsorted(np.sort(a), both, side="right") / len(a)
            - np.searchsorted(np.sort(b), both, side="right") / len(b)
        ).max()
    )


def kolmogorov(x: float) -> float:
    """P(K > x) of Kolmogorov's distribution: 2 sum (-1)^(j-1) exp(-2 j^2 x^2)."""
    if x < 0.2:  # noqa: PLR2004 - the series no longer converges, and the value is 1 to ten digits
        return 1.0
    return min(1.0, max(0.0, 2.0 * sum((-1) ** (j - 1) * math.exp(-2.0 * j * j * x * x) for j in range(1, 60))))


def _two_sided(z: float) -> float:
    return 2.0 * NormalDist().cdf(-abs(z))


def _short(name: str, *sides: Floats) -> Test | None:
    """The verdict of a test that has too little to go by."""
    least = min(map(len, sides))
    if least >= LEAST:
        return None
    return Test(name=name, chance=1.0, drifted=False, why=f"{least} rows on one side, {LEAST} are needed")
