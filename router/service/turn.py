"""One request on its way: what was read of it, what was decided, and the headers that tell the client."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from classifier.types import Estimate
from policies.cost import usd
from policies.types import Decision, Demand, Forecast, Wishes
from router.configuration.live import Configuration
from router.decision_log.entry import Logging
from router.inputs import Inputs
from router.service.sessions import Sitting
from router.store import Principal, Rule
from router.store.near import NearLook, Question
from router.tenants.policy import Rules as TenantRules
from router.wire.reading import Extensions

_DECISION_ID = re.compile(r"dec_([0-9a-f]{11})[0-9a-f]{16}")


def new_decision_id() -> str:
    """An id that sorts by time and cannot be guessed."""
    return f"dec_{time.time_ns() // 1_000_000:011x}{secrets.token_hex(8)}"


def begun_at_s(decision_id: str) -> float | None:
    """When a decision's request began, in seconds since the epoch; None where the id is not one of ours."""
    made = _DECISION_ID.fullmatch(decision_id)
    return None if made is None else int(made[1], 16) / 1000


@dataclass(slots=True, kw_only=True)
class Turn:
    """The state of one request; written by `service` alone, in the order of the request's way.

    Attributes:
        config: the configuration that it began with, and is decided and billed by.
        principal: who asks. own: the rules of its tenant. request: the checked body.
        extensions, demand, wishes: what was read of it.
        started: `time.perf_counter()` at the request's arrival.
        answer_key: the key of its exact answer in the cache, or None where it may not be cached.
        leads: whether identical requests wait for this one's answer.
        near: its question, where one in other words may have its answer; None: never. look: the search for such a one.
        cache: `hit`, `semantic`, `miss` or `bypass`.
        inputs, decision, forecast: None until decided, and on a cache hit. `inputs` gives `decision` again.
        estimate: what the first classifier says, or None where it failed.
        logging: how it is logged, or None where it is not. reading: the classifier's packed input, for the log.
        session: the name of its session in the store, or "". sitting: the session, once it is read.
        paced: the names of the budgets that pay it and are paced, by whose they are.
        overhead_s: Rung's own time before the upstream call.
        rules: the limits that apply. limits: the `x-ratelimit-*` headers.
    """

    config: Configuration
    principal: Principal
    own: TenantRules
    request: Mapping[str, Any]
    request_id: str
    extensions: Extensions
    demand: Demand
    wishes: Wishes
    rules: tuple[Rule, ...] = ()
    started: float = field(default_factory=time.perf_counter)
    id: str = field(default_factory=new_decision_id)
    answer_key: str | None = None
    near: Question | None = None
    look: NearLook | None = None
    leads: bool = False
    cache: str = "bypass"
    forecast: Forecast | None = None
    estimate: Estimate | None = None
    inputs: Inputs | None = None
    decision: Decision | None = None
    logging: Logging | None = None
    reading: bytes = b""
    session: str = ""
    sitting: Sitting | None = None
    paced: tuple[tuple[str, tuple[str, ...]], ...] = ()
    overhead_s: float = 0.0
    limits: Mapping[str, str] = field(default_factory=dict)

    def forget(self) -> None:
        """Unmake the decision: the answer is there already, or it has to be made again."""
        self.forecast = self.estimate = self.inputs = self.decision = None
        self.reading = b""

    @property
    def wants_stream(self) -> bool:
        """Whether the client asked for server-sent events."""
        return bool(self.request.get("stream"))

    @property
    def wants_usage_event(self) -> bool:
        """Whether a stream shall end with the event that carries usage, cost and decision."""
        return bool((self.request.get("stream_options") or {}).get("include_usage"))

    @property
    def has_own_money(self) -> bool:
        """Whether its session has a budget of its own."""
        return self.sitting is not None and self.sitting.state.budget_nano is not None

    def elapsed_s(self) -> float:
        """Seconds since the request's arrival."""
        return time.perf_counter() - self.started


def reply_headers(
    turn: Turn, *, model: str, tier: str, attempts: int, allowance: int, cost_nano: int | None
) -> dict[str, str]:
    """The `x-rung-*` and `x-ratelimit-*` headers of a reply. `cost_nano` is None while it is not known (a stream)."""
    headers = {
        "x-request-id": turn.request_id,
        "x-rung-decision-id": turn.id,
        "x-rung-model": model,
        "x-rung-tier": tier,
        "x-rung-reasoning-tokens": str(allowance),
        "x-rung-cache": turn.cache,
        "x-rung-attempts": str(attempts),
        "x-rung-overhead-ms": f"{turn.overhead_s * 1000:.2f}",
        **turn.limits,
    }
    if turn.forecast is not None:
        headers["x-rung-difficulty"] = f"{turn.forecast.difficulty:.3f}"
        if turn.forecast.second_look is not None:
            headers["x-rung-second-look"] = turn.forecast.second_look.result.value
    if cost_nano is not None:
        headers["x-rung-cost-usd"] = usd(cost_nano)
    if turn.inputs is not None and turn.inputs.purse.past_soft:
        headers["x-rung-soft-limit"] = _one_line(", ".join(turn.inputs.purse.past_soft))
    decision = turn.decision
    if decision is not None and decision.unavailable_because:
        preferred = decision.preferred
        headers["x-rung-preferred"] = f"{preferred.model}; reasoning={preferred.allowance}"
        headers["x-rung-preferred-unavailable"] = _one_line(decision.unavailable_because)
    return headers


def saved_header(saved_nano: int) -> dict[str, str]:
    """What an answer out of the cache had cost."""
    return {"x-rung-saved-usd": usd(saved_nano)}


def _one_line(words: str) -> str:
    """Words as a header takes them: printable Latin-1 on one line."""
    return " ".join(words.encode("latin-1", "replace").decode("latin-1").split())[:300]
