"""The record of a decision: what it was made of, what was served, what it cost.

Never the prompt's text, but for tenants that allow it (`log_text`), and then not in what the API shows.
"""

from __future__ import annotations

import time
from typing import Any

import orjson

from policies.cost import usd
from policies.receipt import receipt
from policies.types import Attempt, Decision, Prices
from router.dispatch.course import Course
from router.dispatch.dispatcher import Trail
from router.inputs import as_plain, decide_again
from router.money.billing import Bill
from router.service.turn import Turn

# Version 1: the first. Readers of older records rely on it (docs/reference/decision-record.md).
RECORD_VERSION = 1


def answered(turn: Turn, trail: Trail, charge: Bill, finish: str | None) -> bytes:
    """The record of a request that was answered, in whole or in part (`finish` is `interrupted` then)."""
    usage = charge.usage
    served = {
        "model": trail.attempt.model,
        "tier": trail.attempt.tier,
        "allowance": trail.attempt.allowance,
        "attempts": trail.number,
        "failures": list(trail.failures),
        "finish_reason": finish,
        "usage": {
            "input": usage.input,
            "cached_read": usage.cached_read,
            "cached_write": usage.cached_write,
            "output": usage.output,
            "reasoning": usage.reasoning,
        },
        "prices": _prices(charge.prices),
        "cost_nano": charge.cost_nano,
        "cost_usd": usd(charge.cost_nano),
        "lost_nano": trail.lost_nano,
        "estimated": charge.estimated,
    }
    return _record(turn, served, None)


def _prices(prices: Prices) -> dict[str, int | None]:
    """Nano-dollars per million tokens."""
    return {
        "input": prices.input,
        "output": prices.output,
        "reasoning": prices.reasoning,
        "cache_read": prices.cache_read,
        "cache_write": prices.cache_write,
    }


def failed(turn: Turn, attempt: Attempt, error: BaseException, course: Course) -> bytes:
    """The record of a request that got no answer."""
    cost_nano = course.lost_nano
    served = {
        "model": attempt.model,
        "tier": attempt.tier,
        "attempts": len(course.tried),
        "failures": course.failures,
        "cost_nano": cost_nano,
        "cost_usd": usd(cost_nano),
        "lost_nano": cost_nano,
        "estimated": bool(course.lost),
    }
    return _record(turn, served, getattr(error, "code", type(error).__name__))


def remembered(turn: Turn, model: str, saved_nano: int) -> bytes:
    """The record of a request that was answered from the cache. `saved_nano`: what the answer had cost."""
    served = {"model": model, "tier": "cache", "attempts": 0, "cost_nano": 0, "cost_usd": usd(0)}
    return _record(turn, {**served, "saved_nano": saved_nano, "saved_usd": usd(saved_nano)}, None)


def _record(turn: Turn, served: dict[str, Any], error: str | None) -> bytes:
    record = {
        "id": turn.id,
        "object": "rung.decision",
        "version": RECORD_VERSION,
        "created": time.time(),
        "tenant": turn.principal.tenant.id,
        "key": turn.principal.key.id,
        "session": turn.extensions.session_id,
        "requested_model": turn.request["model"],
        "stream": turn.wants_stream,
        "cache": turn.cache,
        "overhead_ms": round(turn.overhead_s * 1000, 3),
        "duration_ms": round(turn.elapsed_s() * 1000, 3),
        "served": served,
        "error": error,
        "rules": turn.config.rules_id,
        "inputs": turn.inputs,
        "decided": None if turn.decision is None else _decided(turn.decision),
    }
    if turn.logging is not None:
        record["log"] = turn.logging.about(turn.principal.tenant.id, turn.request)
    return orjson.dumps(record, default=as_plain)


def _decided(decision: Decision) -> dict[str, Any]:
    """What was decided, in short: the receipt must come to the same when it is made again."""
    chosen, preferred = decision.chosen, decision.preferred
    return {
        "chosen": {"model": chosen.model, "tier": chosen.tier, "allowance": chosen.allowance},
        "preferred": {"model": preferred.model, "tier": preferred.tier, "allowance": preferred.allowance},
        "hold_nano": decision.hold_nano,
        "propensity": decision.propensity,
    }


def rules_id_of(stored: bytes) -> str:
    """The rules that a stored record was decided by."""
    return str(orjson.loads(stored)["rules"])


def told(stored: bytes, rules: bytes | None) -> dict[str, Any]:
    """A stored record as readers get it: with the receipt, which is made now.

    Args:
        stored: the record. rules: of its `rules_id_of`, or None where they are gone.
    """
    record: dict[str, Any] = orjson.loads(stored)
    inputs, decided = record.pop("inputs"), record.pop("decided")
    record.pop("log", None)
    del record["rules"]
    if decided is None:
        return {**record, "receipt": None}
    again = None if rules is None else decide_again(rules, inputs)
    if again is not None and _decided(again) == decided:
        return {**record, "receipt": receipt(again)}
    note = "made by another version of Rung or by rules that are gone: the whole ladder cannot be shown"
    return {**record, "receipt": {**decided, "notes": [note]}}
