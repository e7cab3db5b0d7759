"""What training reads of the receipts that the gateway has logged: a versioned contract between the two.

It holds everything that off-policy evaluation needs: what could have been taken with the predicted quality and cost of
each, what was taken and with what probability, and the versions of everything that took part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policies.receipt import SCHEMA


class UnreadableRecord(ValueError):
    """A receipt is not of a schema that this version reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One rung that could have been taken: model, thinking tokens, predicted quality, expected cost in nano-dollars."""

    model: str
    tier: str
    allowance: int
    quality: float
    cost_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One decision, as it was logged.

    Attributes:
        taken: the rung of the first attempt. propensity: the probability with which it was taken.
        preferred: the model that would have been taken, had all been callable.
        options: the admissible, callable rungs, the taken one among them.
        difficulty, uncertainty, kind, classifier_version: of the forecast. is_default: whether it was a default.
        quality_dial, pacing_price: how money was weighed. hold_nano: reserved.
        policy_version, catalog_version: of what decided.
    """

    taken: Option
    propensity: float
    preferred: str
    options: tuple[Option, ...]
    difficulty: float
    uncertainty: float
    kind: str
    classifier_version: str
    is_default: bool
    quality_dial: float
    pacing_price: float
    hold_nano: int
    policy_version: str
    catalog_version: str


def read(receipt: Mapping[str, Any]) -> DecisionRecord:
    """The record in a receipt, as `policies.receipt.receipt` wrote it and the decision log kept it.

    Raises:
        UnreadableRecord: another schema, or a field that is missing or wrong.
    """
    if receipt.get("schema") != SCHEMA:
        raise UnreadableRecord(f"This version reads receipts of schema {SCHEMA}, not {receipt.get('schema')!r}.")
    try:
        return _read(receipt)
    except (KeyError, TypeError) as error:
        raise UnreadableRecord(f"The receipt lacks a field or has a wrong one: {error!r}.") from error


def _read(receipt: Mapping[str, Any]) -> DecisionRecord:
    difficulty = receipt["difficulty"]
    options = (c for c in receipt["candidates"] if c["available"] and not c["rejected"])
    return DecisionRecord(
        taken=_option(receipt["chosen"]),
        propensity=receipt["propensity"],
        preferred=receipt["preferred"]["model"],
        options=tuple(_option(c) for c in options),
        difficulty=difficulty["value"],
        uncertainty=difficulty["uncertainty"],
        kind=difficulty["kind"],
        classifier_version=difficulty["classifier_version"],
        is_default=difficulty["is_default"],
        quality_dial=receipt["wishes"]["quality"],
        pacing_price=receipt["budget"]["pacing_price"],
        hold_nano=receipt["hold_nano"],
        policy_version=receipt["policy_version"],
        catalog_version=receipt["catalog_version"],
    )


def _option(candidate: Mapping[str, Any]) -> Option:
    return Option(
        model=candidate["model"],
        tier=candidate["tier"],
        allowance=candidate["allowance"],
        quality=candidate["quality"],
        cost_nano=candidate["expected_cost_nano"],
    )
