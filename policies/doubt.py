r"""How close a decision was: the only place that weighs the choice's lead against the error of the estimate.

Between a rung and a dearer one the choice tips where the dearer is better by

    required = max(tolerance, weight * (cost_dear - cost_cheap) / value)              points of quality

(see `policies.choice`). How far a pair is from there, in standard errors of its difference:

    distance = |q_dear - q_cheap - required| / error
    error    = d * sqrt(a^2 + b^2 - 2 rho a b),   a = q_1 (1 - q_1),   b = q_2 (1 - q_2)
    d        = uncertainty / (p (1 - p)),  at most MOST_ERROR                         log-odds

where p is the difficulty. A question that is harder than estimated is so for every rung, hence one error d in
log-odds, which reaches two models with the correlation RHO and the rungs of one model with 1. The doubt of a decision
is the least distance over its rivals; one whose difference is known to within KNOWN is no rival, as there is nothing
to be learnt about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from policies.choice import Taste
from policies.rungs import Rung
from policies.second_look import Doubt

# Between two models' errors in log-odds on one question. By what a second look changed: .9 between abilities .3 and .5,
# .8 between .5 and .7 and between .7 and .85, .6 between .3 and .85 (docs/classifier.md).
RHO = 0.8
# Log-odds. A uniform guess at a probability has a standard error of 1.2; beyond 2, nothing is known at all.
MOST_ERROR = 2.0
# Half a point of quality: less than the classifier's own calibration error, and no reason to wait.
KNOWN = 0.005
_LEAST_VARIANCE = 1e-4  # of a probability that is given as 0 or 1


def doubt(chosen: Rung, rivals: Iterable[Rung], taste: Taste, *, difficulty: float, uncertainty: float) -> Doubt | None:
    """The rival that is nearest to being preferred, or None where none is in question.

    Args:
        chosen: the rung that was taken.
        rivals: what else could have been taken; the choice itself may be among them.
        taste: by which it was chosen.
        difficulty: 0..1. uncertainty: its standard error.
    """
    if taste.value <= 0.0:
        return None
    error = log_odds_error(difficulty, uncertainty)
    best: Doubt | None = None
    for rival in rivals:
        spread = error * _difference(chosen, rival)
        if spread <= KNOWN:
            continue
        distance = _to_the_tip(chosen, rival, taste) / spread
        if best is None or (distance, rival.entry.model.id, rival.allowance) < (
            best.distance,
            best.rival,
            best.allowance,
        ):
            best = Doubt(distance=distance, rival=rival.entry.model.id, allowance=rival.allowance)
    return best


def log_odds_error(difficulty: float, uncertainty: float) -> float:
    """The standard error of a difficulty, in log-odds."""
    return min(uncertainty / max(difficulty * (1.0 - difficulty), _LEAST_VARIANCE), MOST_ERROR)


def _difference(one: Rung, other: Rung) -> float:
    """Standard error of the difference in quality, per unit of log-odds."""
    a, b = one.quality * (1.0 - one.quality), other.quality * (1.0 - other.quality)
    rho = 1.0 if one.entry.model.id == other.entry.model.id else RHO
    return math.sqrt(max(a * a + b * b - 2.0 * rho * a * b, 0.0))


def _to_the_tip(one: Rung, other: Rung, taste: Taste) -> float:
    """Points of quality between the pair and the place where the preference between the two changes."""
    cheap, dear = (one, other) if one.cost <= other.cost else (other, one)
    required = max(taste.tolerance, taste.weight * (dear.cost - cheap.cost) / taste.value)
    return abs(dear.quality - cheap.quality - required)
