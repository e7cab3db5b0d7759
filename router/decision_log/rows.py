"""Records and outcomes of the store -> rows of the log's tables (`policies.log_schema`). Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from classifier.inputs import unpack
from policies import records
from policies.log_schema import DECISION_COLUMNS, DECISIONS, LOG_VERSION, OUTCOME_COLUMNS, OUTCOMES, Column
from policies.receipt import receipt
from router.estimation.estimator import UNKNOWN_DIFFICULTY, UNKNOWN_UNCERTAINTY
from router.inputs import decide_again

COLUMNS: Mapping[str, tuple[Column, ...]] = {DECISIONS: DECISION_COLUMNS, OUTCOMES: OUTCOME_COLUMNS}
_UNKNOWN_KIND = "unknown"

Row = dict[str, Any]


def day_of(row: Row) -> str:
    """The UTC day of a row, as its partition is named."""
    return datetime.fromtimestamp(row["created"], UTC).date().isoformat()


def decision_row(record: Mapping[str, Any], packed: bytes, rules: bytes | None, *, written: float) -> Row:
    """The row of a stored record.

    Args:
        record: parsed, of `router.service.records`. packed: the classifier's input, see `classifier.inputs`, or b"".
        rules: of the record's `rules`, or None where they are gone. written: Unix seconds.
    """
    served, told = record["served"], record.get("log") or {}
    return {
        **dict.fromkeys((column.name for column in DECISION_COLUMNS), None),
        "decision_id": record["id"],
        "tenant": record["tenant"],
        "key": record["key"],
        "user": told.get("user"),
        "session": record["session"],
        "created": record["created"],
        "written": written,
        "record_version": LOG_VERSION,
        "text": told.get("text"),
        "text_hash": told.get("text_hash", ""),
        "word_runs": told.get("word_runs"),
        "characters": told.get("characters", 0),
        **_input(packed),
        **_forecast(record),
        **_decided(record, rules),
        "rules_id": record["rules"],
        **_served(record, served),
        "error": record["error"],
        "cache": record["cache"],
        "overhead_ms": record["overhead_ms"],
        "duration_ms": record["duration_ms"],
    }


def outcome_row(outcome: Mapping[str, Any], *, written: float) -> Row:
    """The row of a stored outcome, parsed."""
    return {**{column.name: outcome.get(column.name) for column in OUTCOME_COLUMNS}, "written": written}


def vector_of(packed: bytes) -> Any:  # noqa: ANN401 - numpy's array type, of whatever shape
    """The encoder's vector of a packed input, or None where there is none."""
    return unpack(packed)[1] if packed else None


def _input(packed: bytes) -> Row:
    if not packed:
        return {"embedding": None, "features": None, "feature_schema": ""}
    schema, embedding, features = unpack(packed)
    return {"embedding": embedding, "features": features, "feature_schema": schema}


def _forecast(record: Mapping[str, Any]) -> Row:
    forecast = (record["inputs"] or {}).get("forecast")
    if forecast is None:  # a cache hit: nothing was judged
        return {
            "kind": _UNKNOWN_KIND,
            "difficulty": UNKNOWN_DIFFICULTY,
            "uncertainty": UNKNOWN_UNCERTAINTY,
            "classifier_version": "",
            "is_default": True,
        }
    return {
        "kind": forecast["kind"],
        "difficulty": forecast["difficulty"],
        "uncertainty": forecast["uncertainty"],
        "classifier_version": forecast["version"],
        "is_default": forecast["is_default"],
    }


def _decided(record: Mapping[str, Any], rules: bytes | None) -> Row:
    """What was decided and among what: the decision is made again, since records keep its inputs only."""
    decided = record["decided"]
    if decided is None:
        return {"options": []}
    chosen = decided["chosen"]
    row: Row = {
        "options": [],
        "taken_model": chosen["model"],
        "taken_tier": chosen["tier"],
        "taken_allowance": chosen["allowance"],
        "propensity": decided["propensity"],
        "preferred_model": decided["preferred"]["model"],
        "quality_dial": record["inputs"]["wishes"]["quality"],
        "pacing_price": record["inputs"]["purse"]["pacing_price"],
        "hold_nano": decided["hold_nano"],
    }
    again = None if rules is None else decide_again(rules, record["inputs"])
    if again is None or (again.chosen.model, again.chosen.allowance) != (chosen["model"], chosen["allowance"]):
        return row
    known = records.read(receipt(again))
    versions = {"policy_version": known.policy_version, "catalog_version": known.catalog_version}
    return {**row, **versions, "options": [asdict(option) for option in known.options]}


def _served(record: Mapping[str, Any], served: Mapping[str, Any]) -> Row:
    usage = served.get("usage") or {}
    return {
        "served_model": None if record["error"] is not None else served["model"],
        "served_tier": served["tier"],
        "served_allowance": served.get("allowance"),
        "attempts": served.get("attempts", 1),
        "finish_reason": served.get("finish_reason"),
        "input_tokens": usage.get("input"),
        "cached_read": usage.get("cached_read"),
        "cached_write": usage.get("cached_write"),
        "output_tokens": usage.get("output"),
        "reasoning_tokens": usage.get("reasoning"),
        "cost_nano": served["cost_nano"],
    }


@functools.cache
def names(table: str) -> tuple[str, ...]:
    """The columns of a table, in order."""
    return tuple(column.name for column in COLUMNS[table])
