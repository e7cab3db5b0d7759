"""Records as the gateway stores them, for tests of the log."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from classifier import load_default
from policies.catalog import Catalog
from policies.decide import decide
from policies.policy import DEFAULT
from policies.types import Demand, Forecast, Purse, Wishes
from router.configuration.ladder import build_ladder
from router.configuration.settings import Settings
from router.inputs import Inputs, Rules, as_plain, dump_rules
from tests.gateway import fake_ladder

CATALOG: Catalog = build_ladder(Settings.model_validate({"models": fake_ladder("http://127.0.0.1:1/v1")}), {}).catalog
RULES_ID, RULES = dump_rules(Rules(models=CATALOG.models, policy=DEFAULT))
NOON = 1_760_000_000.0  # 9 October 2025, 08:53 UTC
PACKED = load_default().inputs.pack(np.ones(sum(load_default().inputs.sizes), np.float32))


def record(number: int, *, tenant: str = "acme", created: float = NOON, **changes: Any) -> dict[str, Any]:
    """A record of an answered question, parsed."""
    inputs = Inputs(
        demand=Demand(input_tokens=50),
        forecast=Forecast(difficulty=0.4, success={m.id: 0.2 + 0.7 * m.ability for m in CATALOG.models}, kind="code"),
        wishes=Wishes(quality=0.5),
        purse=Purse(),
        draw=None,
        now_s=created,
    )
    decision = decide(
        catalog=CATALOG,
        demand=inputs.demand,
        forecast=inputs.forecast,
        wishes=inputs.wishes,
        purse=inputs.purse,
        policy=DEFAULT,
        exploration_draw=None,
        now_s=created,
    )
    rungs = {
        name: {"model": rung.model, "tier": rung.tier, "allowance": rung.allowance}
        for name, rung in (("chosen", decision.chosen), ("preferred", decision.preferred))
    }
    made = {
        "id": f"dec_{number:05d}",
        "object": "rung.decision",
        "version": 1,
        "created": created,
        "tenant": tenant,
        "key": "ab12",
        "session": None,
        "requested_model": "auto",
        "stream": False,
        "cache": "miss",
        "overhead_ms": 1.5,
        "duration_ms": 200.0,
        "served": {
            **rungs["chosen"],
            "attempts": 1,
            "failures": [],
            "finish_reason": "stop",
            "usage": {"input": 40, "cached_read": 0, "cached_write": 0, "output": 90, "reasoning": None},
            "cost_nano": 123_456,
            "cost_usd": "0.000123456",
            "estimated": False,
        },
        "error": None,
        "rules": RULES_ID,
        "inputs": inputs,
        "decided": {**rungs, "hold_nano": decision.hold_nano, "propensity": decision.propensity},
        "log": {"text_hash": f"{number:024d}", "characters": 12, "user": "u1"},
        **changes,
    }
    return orjson.loads(orjson.dumps(made, default=as_plain))
