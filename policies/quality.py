r"""How likely a rung is to answer rightly: the only place that knows what thinking buys.

A model's head gives the probability p0 of a right answer without thinking. An allowance of `a` tokens multiplies
the *odds*, not the probability:

    q(a) = o / (1 + o),   o = p0 / (1 - p0) * exp(G * s),   s = 1 - exp(-a / need)
    need = max(curve.floor_tokens, 300 * 20 ** difficulty * curve.tokens)   tokens

`G` is the gain in log-odds of unlimited thinking on that kind of task, `need` the tokens that such a question takes,
and `need * s` also the tokens that are expected to be spent: a hard question uses more of the same allowance. Where
p0 was measured with thinking (`Model.ability_allowance`), the effect of that much thinking is taken out first.

Why the odds: on ZebraLogic, o3-mini from low to medium effort gains +1.5 in log-odds on medium puzzles (91.1 -> 97.9),
+1.4 on large (64.5 -> 88.0) and +1.6 on the largest (23.0 -> 60.0): nearly one constant, where the gain in points runs
from 7 to 37. So thinking pays where a model is in doubt, and hardly where it is nearly sure. From medium to high effort
only the largest gain again (60.0 -> 75.5): harder questions saturate later, which is what `need` says.

Why 300 and 20: median reasoning tokens of 332 for a basic question and 6,045 for one of AIME.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from policies.learnt import GAINS, TOKENS

NEED_EASY = 300.0  # tokens: the median for a basic question is 332
NEED_RATIO = 20.0  # hardest over easiest: 6,045 for AIME over 332, and the classifier's scale hardly reaches its ends
_SURE = 1e-4  # no head knows better than one in ten thousand; keeps the odds finite


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Curve:
    """What thinking does for one kind of task.

    Attributes:
        gain: log-odds that unlimited thinking adds; 0 where it does not pay, below 0 where it harms.
        floor_tokens: the least number of tokens that thinking takes before it pays, whatever the difficulty.
        tokens: how many times the tokens that are usual at its difficulty such a question takes.
    """

    gain: float
    floor_tokens: int = 0
    tokens: float = 1.0


PRIORS: Mapping[str, Curve] = MappingProxyType(
    {
        # ZebraLogic gives 3.6 from a least to an ample allowance, LiveBench's reasoning +14.4 points (1.0):
        # between them.
        "logic": Curve(gain=2.4),
        # LiveBench mathematics +11.1 points from low effort to high; low effort has already taken a third of
        # the gain.
        "mathematics": Curve(gain=1.6),
        # LiveBench instruction following: +14.5 points.
        "instruction_following": Curve(gain=1.0),
        # LiveBench coding: +1.5 points (-7.8 to +9.7 over 12 model pairs), or .07 in log-odds, over the half of the
        # effect that low effort leaves.
        "coding": Curve(gain=0.15),
        # Trick prompts: 0.46 -> 0.69 for one model, with a median of 4,116 tokens although they look easy.
        "trick": Curve(gain=1.0, floor_tokens=4000),
        # The classifier's other kinds have no published figure of their own. What is recalled or chatted is not worked
        # out; science mixes recall with calculation.
        "knowledge": Curve(gain=0.3),
        "small talk": Curve(gain=0.3),
        "science": Curve(gain=1.0),
        # False premises over 58 models: the highest effort is better for 24, worse for 24, at 2.1 times the
        # cost.
        "false_premise": Curve(gain=0.0),
    }
)
# What results files say lies over the published priors (`rung-train curves`).
CURVES: Mapping[str, Curve] = MappingProxyType(
    {
        kind: replace(prior, gain=GAINS.get(kind, prior.gain), tokens=TOKENS.get(kind, prior.tokens))
        for kind, prior in PRIORS.items()
    }
)
# A kind without published figures: between coding and instruction following, so that effort is raised with
# caution.
UNKNOWN = Curve(gain=0.6)
# Names that other taxonomies use for the same kinds.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "math": "mathematics",
        "reasoning": "logic",
        "puzzle": "logic",
        "code": "coding",
        "programming": "coding",
        "misguided_attention": "trick",
    }
)


def curve_for(kind: str, curves: Mapping[str, Curve] = CURVES) -> Curve:
    """The curve of a kind of task; an unknown kind gets a cautious one."""
    return curves.get(kind) or curves.get(ALIASES.get(kind, "")) or UNKNOWN


def blended(kinds: Mapping[str, float], curves: Mapping[str, Curve] = CURVES) -> Curve:
    """The curve to expect where the kind is not sure: the mean over its probabilities.

    Args:
        kinds: probability per kind, at least one of them above 0; they need not add up to 1.
        curves: per kind.
    """
    total = gain = floor = tokens = 0.0
    for kind, share in kinds.items():
        curve = curve_for(kind, curves)
        total += share
        gain += share * curve.gain
        floor += share * curve.floor_tokens
        tokens += share * curve.tokens
    return Curve(gain=gain / total, floor_tokens=round(floor / total), tokens=tokens / total)


def need_tokens(difficulty: float, curve: Curve) -> float:
    """Thinking tokens that a question of this difficulty typically takes when nothing stops it."""
    return max(float(curve.floor_tokens), NEED_EASY * NEED_RATIO**difficulty * curve.tokens)


def saturation(allowance: int, need: float) -> float:
    """The share of thinking's whole effect that an allowance buys, 0..1."""
    return -math.expm1(-allowance / need)


def odds(probability: float) -> float:
    """Odds of a probability, kept off the ends."""
    if probability < _SURE:
        return _SURE / (1.0 - _SURE)
    return (1.0 - _SURE) / _SURE if probability > 1.0 - _SURE else probability / (1.0 - probability)


def quality(success: float, allowance: int, *, difficulty: float, curve: Curve) -> float:
    """Probability of a right answer at an allowance, from that without thinking: the module's formula."""
    o = odds(success) * math.exp(curve.gain * saturation(allowance, need_tokens(difficulty, curve)))
    return o / (1.0 + o)


def thinking_tokens(allowance: int, *, difficulty: float, curve: Curve) -> int:
    """Expected thinking tokens at an allowance; at most the allowance."""
    need = need_tokens(difficulty, curve)
    return round(need * saturation(allowance, need))


def success_without_head(ability: float, difficulty: float) -> float:
    """Success of a model that the classifier has no head for, placed by its ability (Rasch's form).

    log-odds = logit(ability) - logit(difficulty): at a difficulty of 0.5 a model is as good as on the
    reference mix.
    """
    o = odds(ability) / odds(difficulty)
    return o / (1.0 + o)
