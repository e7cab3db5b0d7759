"""Mixed traffic: what each numbered request is to meet, and how the upstream recognises it. Pure but for timers."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.testing import Answer, Fault, Received
from tests.faults.stage import question

# Kind -> how many of a hundred requests are of it.
SHARES: Mapping[str, int] = {
    "whole": 24,
    "stream": 16,
    "repeated": 12,  # one of fifty questions, out of the cache
    "leaves": 12,  # the client goes at a random moment
    "slow": 6,
    "split": 6,  # the stream's bytes come in threes
    "overloaded": 6,  # 429, 500 or 503, and then an answer
    "lies": 4,  # usage that is not the truth
    "silent": 4,  # no usage at all
    "breaks": 4,  # in the middle of a stream
    "nonsense": 3,  # a 200 that is no answer, and then an answer
    "refused": 3,
}
POPULAR = 50
SEED = 20_261_122
TENANTS = ("north", "south", "east", "short")
LIE: Mapping[str, int] = {"prompt_tokens": 7, "completion_tokens": 11}
_BREAKS = (Fault.RESET, Fault.TRUNCATE, Fault.GARBAGE, Fault.BAD_UTF8, Fault.ERROR_EVENT)
_NONSENSE = (Fault.GARBAGE, Fault.BAD_UTF8, Fault.TRUNCATE, Fault.RESET)
_BUSY = (429, 500, 503)
_MARK = re.compile(r"^request (\d+) of kind (\w+)")
SLOW_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request of the mixture. `leaves_after_s`: when its client goes, or None."""

    number: int
    kind: str
    tenant: str
    stream: bool
    leaves_after_s: float | None

    @property
    def body(self) -> dict[str, Any]:
        """The request's body."""
        if self.kind == "repeated":
            text = f"request {self.number % POPULAR} of kind popular: what is it?"
            return question(text, model="medium", stream=self.stream, rung={"cache": "use"})
        text = f"request {self.number} of kind {self.kind}: what is it?"
        named = "auto" if self.kind in {"overloaded", "nonsense"} else ("small", "medium", "large")[self.number % 3]
        return question(text, model=named, stream=self.stream, max_tokens=200)


def planned(number: int, seed: int = SEED) -> Planned:
    """The request of that number; the same at every run."""
    chance = random.Random(seed * 1_000_003 + number)  # noqa: S311 - a mixture that is the same at every run
    (kind,) = chance.choices(list(SHARES), weights=list(SHARES.values()))
    streams = {"stream": True, "split": True, "breaks": True, "whole": False, "refused": False}
    return Planned(
        number=number,
        kind=kind,
        tenant=TENANTS[number % len(TENANTS)],
        stream=streams.get(kind, chance.random() < 0.5),
        leaves_after_s=chance.uniform(0, 0.4) if kind == "leaves" else None,
    )


def account_of(number: int) -> str:
    """What the request of that number is billed under: its kind and number, or its popular question."""
    request = planned(number, SEED)
    return f"popular {number % POPULAR}" if request.kind == "repeated" else f"{request.kind} {number}"


def mark_of(received: Received) -> tuple[int, str] | None:
    """Number and kind of the request that made an upstream call."""
    content = received.body["messages"][-1]["content"]
    found = _MARK.match(content if isinstance(content, str) else str(content[0]["text"]))
    return (int(found[1]), found[2]) if found else None


class Upstream:
    """Chooses the fake's answer by the request's mark; the second call of one request is answered well."""

    def __init__(self) -> None:
        self._called: dict[int, int] = {}

    def __call__(self, received: Received) -> Answer | None:
        """The answer, or None for the default."""
        mark = mark_of(received)
        if mark is None:
            return None
        number, kind = mark
        again = self._called[number] = self._called.get(number, 0) + 1
        return self._answer(number, kind, again)

    def _answer(self, number: int, kind: str, call: int) -> Answer:
        text = f"This is the answer to request {number}, in some words."
        if call > 1 and kind in {"overloaded", "nonsense"}:
            return Answer(text=text)
        spoiled: dict[str, dict[str, Any]] = {
            "overloaded": {"status": _BUSY[number % 3]},
            "refused": {"status": 400, "error": {"message": "no", "type": "invalid_request_error"}},
            "nonsense": {"fault": _NONSENSE[number % 4], "fault_after": -1},
            "breaks": {"fault": _BREAKS[number % 5], "fault_after": 2},
            "split": {"split": 3},
            "lies": {"usage": LIE},
            "silent": {"usage": False},
        }
        gate = _soon(SLOW_S) if kind in {"slow", "leaves"} else None
        return Answer(text=text, gate=gate, **spoiled.get(kind, {}))


def _soon(delay_s: float) -> asyncio.Event:
    gate = asyncio.Event()
    asyncio.get_running_loop().call_later(delay_s, gate.set)
    return gate
