"""What a decision was made of, kept instead of its explanation: decisions are pure, so a receipt is made when read.

A record holds the inputs of its decision and the hash of the rules (models and policy) that were in force; the rules
are stored once under their hash. Reading a receipt decides again, which costs the reader a tenth of a millisecond and
every request nothing. See docs/adr/0050-receipts-are-made-when-read.md.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import orjson
from pydantic import TypeAdapter, ValidationError

from policies.catalog import Catalog
from policies.decide import decide
from policies.errors import PolicyError
from policies.policy import Policy
from policies.types import Decision, Demand, Forecast, Model, Purse, Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The models, with what of them could be called, and the policy. Equal rules have equal hashes."""

    models: tuple[Model, ...]
    policy: Policy


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Inputs:
    """The other arguments of `policies.decide.decide`."""

    demand: Demand
    forecast: Forecast
    wishes: Wishes
    purse: Purse
    draw: float | None
    now_s: float
    down: Mapping[str, str] = field(default_factory=dict[str, str])


_RULES: TypeAdapter[Rules] = TypeAdapter(Rules)
_INPUTS: TypeAdapter[Inputs] = TypeAdapter(Inputs)


def dump_rules(rules: Rules) -> tuple[str, bytes]:
    """The hash of the rules, and the rules as JSON."""
    content = orjson.dumps(rules, default=as_plain, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:24], content


def as_plain(value: object) -> object:
    """What orjson does not write by itself: sets, in a fixed order, and read-only mappings."""
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise TypeError(f"{type(value).__name__} has no place in a record")


@functools.lru_cache(maxsize=8)  # the log's writer decides thousands again by the same ones
def _read_rules(rules: bytes) -> Rules:
    return _RULES.validate_json(rules)


def decided(catalog: Catalog, policy: Policy, given: Inputs) -> Decision:
    """The decision over these inputs. Raises PolicyError."""
    return decide(
        catalog=catalog,
        demand=given.demand,
        forecast=given.forecast,
        wishes=given.wishes,
        purse=given.purse,
        policy=policy,
        down=given.down,
        exploration_draw=given.draw,
        now_s=given.now_s,
    )


def decide_again(rules: bytes, inputs: Any) -> Decision | None:  # noqa: ANN401 - a parsed record
    """The decision of a record, or None where this version of Rung can no longer make it."""
    try:
        kept, given = _read_rules(rules), _INPUTS.validate_python(inputs)
        return decided(Catalog(kept.models), kept.policy, given)
    except (ValidationError, PolicyError):
        return None
