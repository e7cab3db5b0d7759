"""Expected decisions, as tests that operators keep beside their policy.

- name: sums stay cheap
  text: What is 2+2?
  expect: {tier: economy, max_allowance: 0}
- name: proofs get thinking
  text: Prove that there are infinitely many primes congruent to 3 modulo 4.
  expect: {tier: [standard, premium], min_allowance: 1024, max_cost_usd: 0.05}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import cast

from policies.cost import usd
from policies.errors import CatalogError
from policies.types import NANO_PER_USD, Candidate

Comparison = Callable[[Candidate, object], str]


def differences(chosen: Candidate, expected: Mapping[str, object]) -> tuple[str, ...]:
    """How a choice differs from what is expected of it, each in words; empty where it does not.

    Args:
        chosen: `decision.preferred` to test the policy, `decision.chosen` to test what is served.
        expected: any of `model`, `tier` (one or several), `min_allowance`, `max_allowance`, `min_quality`,
            `max_cost_usd`.

    Raises:
        CatalogError: as `check_expected` says.
    """
    check_expected(expected)
    told = (_COMPARISONS[name](chosen, value) for name, value in expected.items())
    return tuple(words for words in told if words)


def check_expected(expected: Mapping[str, object]) -> None:
    """Whether a choice can be held against this.

    Raises:
        CatalogError: something is expected that cannot be, or nothing at all.
    """
    if not expected:
        raise CatalogError(f"A case must expect something: any of {', '.join(_COMPARISONS)}.")
    unknown = sorted(expected.keys() - _COMPARISONS.keys())
    if unknown:
        raise CatalogError(f"A case cannot expect {', '.join(unknown)}; known are {', '.join(_COMPARISONS)}.")
    for name, value in expected.items():
        if name not in _NAMES:
            _number(name, value)


def _one_of(what: str, actual: str, value: object) -> str:
    several = cast("Sequence[object]", value) if isinstance(value, list | tuple) else (value,)
    wanted = [str(v) for v in several]
    return "" if actual in wanted else f"{what} is {actual}, not {' or '.join(wanted)}"


def _number(name: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CatalogError(f"{name} must be a number, not {value!r}.")
    return Decimal(str(value))


def _bound(name: str, actual: Decimal, shown: str, value: object) -> str:
    limit = _number(name, value)
    kept = actual >= limit if name.startswith("min_") else actual <= limit
    side = "below" if name.startswith("min_") else "above"
    return "" if kept else f"{name.partition('_')[2]} is {shown}, {side} {limit}"


_NAMES = frozenset({"model", "tier"})  # what is expected of them is words; of all others, a number
_COMPARISONS: Mapping[str, Comparison] = {
    "model": lambda c, v: _one_of("the model", c.model, v),
    "tier": lambda c, v: _one_of("the tier", c.tier, v),
    "min_allowance": lambda c, v: _bound("min_allowance", Decimal(c.allowance), str(c.allowance), v),
    "max_allowance": lambda c, v: _bound("max_allowance", Decimal(c.allowance), str(c.allowance), v),
    "min_quality": lambda c, v: _bound("min_quality", Decimal(c.quality), f"{c.quality:.3f}", v),
    "max_cost_usd": lambda c, v: _bound(
        "max_cost_usd", Decimal(c.expected_cost_nano) / NANO_PER_USD, usd(c.expected_cost_nano), v
    ),
}
