"""How many thinking tokens a question will take, and which allowance a model can honour for it.

Thinking tokens for one question and model scatter log-normally about their median (`quality.need_tokens`): the 90th
percentile is about twice the median, so sigma = ln 2 / 1.2816 = 0.541, and the q-quantile is

    median * exp(sigma * z(q))      z: the standard normal quantile

Granting more than a high quantile buys nothing and makes the hold larger: a model that takes any number of tokens is
never granted more than that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from policies.candidates import allowances
from policies.types import Control, Reasoning

SIGMA = math.log(2.0) / NormalDist().inv_cdf(0.9)


@lru_cache(maxsize=64)
def spread(quantile: float) -> float:
    """The quantile (strictly between 0 and 1) of thinking tokens over their median."""
    return math.exp(SIGMA * NormalDist().inv_cdf(quantile))


def predicted(median: float, quantile: float) -> int:
    """Thinking tokens that are not exceeded with this probability, rounded up."""
    return math.ceil(median * spread(quantile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An allowance as a model can honour it.

    Attributes:
        tokens: what is granted. level: the name of the effort, where the model takes names.
        advisory: whether only `max_tokens` enforces it.
        note: how it differs from what was asked for, in words, or "".
    """

    tokens: int
    level: str | None
    advisory: bool
    note: str


def granted(reasoning: Reasoning, asked: int) -> Grant:
    """The largest allowance that the model can honour within what is asked; its least where even that is too much."""
    if reasoning.control is Control.TOKENS and reasoning.min_tokens <= asked <= reasoning.max_tokens:
        tokens = asked
    else:
        steps = allowances(reasoning)
        tokens = max((step for step in steps if step <= asked), default=steps[0])
    level = next((name for name, t in reversed(reasoning.levels) if t == tokens), None)
    thinks = reasoning.control is not Control.NONE and tokens > 0
    return Grant(
        tokens=tokens, level=level, advisory=thinks and not reasoning.hard_cap, note=_note(asked, tokens, level)
    )


def _note(asked: int, tokens: int, level: str | None) -> str:
    if tokens == asked:
        return ""
    named = f" ({level})" if level else ""
    if tokens > asked:
        return f"{asked:,} tokens of thinking asked for; {tokens:,}{named} is the least that the model can do"
    return f"{asked:,} tokens of thinking rounded down to {tokens:,}{named}"
