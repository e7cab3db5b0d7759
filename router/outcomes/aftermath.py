"""Answers looked at after they went out: a bounded queue and one worker, beside the requests and never in their way.

Only answers that there is something to see of are kept: where JSON was asked for, tools were offered, or an operator's
checker wants it. A full queue drops the newest and counts it. What waits when the process ends is lost: an outcome is
worth less than a slow shutdown.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.errors import StoreUnavailable
from router.outcomes.answers import Said, faults, read_completion, read_stream
from router.outcomes.checkers import Checker, CheckFailed
from router.outcomes.outcome import Outcome, checked, observed
from router.store import Store
from router.telemetry import Metrics

log = logging.getLogger("rung.outcomes")

WAITING = 1_000  # answers; some 10 MB of text at the usual length
AT_ONCE = 4  # checkers that run beside each other
MAX_STREAM_BYTES = 256 * 1024  # of a stream that is kept for a look


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer to look at. `body`: the completion; or, with `streamed`, the stream's frames."""

    decision_id: str
    tenant: str
    key: str
    model: str
    tier: str
    request: Mapping[str, Any]
    body: bytes
    streamed: bool = False

    @property
    def about(self) -> Mapping[str, Any]:
        """What an outcome says of its decision."""
        return {"id": self.decision_id, "tenant": self.tenant, "key": self.key}


class Aftermath:
    """Looks at answers.

    Args:
        store: where outcomes go. metrics: what is counted. checkers: the operator's. reliability: declared.

    Attributes:
        pending: answers that wait or are being looked at.
    """

    def __init__(
        self, store: Store, metrics: Metrics, *, checkers: Sequence[Checker], reliability: Mapping[str, float]
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._checkers = checkers
        self._reliability = reliability
        self._queue: asyncio.Queue[Answered] = asyncio.Queue(WAITING)
        self.pending = 0

    def wants(self, tenant: str, request: Mapping[str, Any]) -> bool:
        """Whether there is anything to see of an answer to this request."""
        if request.get("response_format") is not None or request.get("tools") is not None:
            return True
        return any(one.concerns(tenant, 0.0) for one in self._checkers)

    def take(self, answered: Answered) -> None:
        """Look at an answer, later."""
        try:
            self._queue.put_nowait(answered)
            self.pending += 1
        except asyncio.QueueFull:
            self._metrics.outcomes.labels("any", "dropped").inc()

    async def run(self) -> None:
        """Look at what comes, for as long as this runs."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            answered = await self._queue.get()
            try:
                await self.look(answered)
            except StoreUnavailable:
                self._metrics.outcomes.labels("any", "lost").inc()
            except Exception:
                log.exception("an answer could not be looked at")
            finally:
                self.pending -= 1

    async def look(self, answered: Answered) -> None:
        """Tell what is seen of one answer. Raises StoreUnavailable."""
        said = read_stream(answered.body) if answered.streamed else read_completion(answered.body)
        if said is None:
            return
        for what in faults(answered.request, said):
            await self._tell(observed(what, answered.about, self._reliability, created=time.time()))
        for checker in self._checkers:
            if checker.concerns(answered.tenant, random.random()):  # noqa: S311 - not a secret
                await self._ask(checker, answered, said)

    async def _ask(self, checker: Checker, answered: Answered, said: Said) -> None:
        name = checker.settings.name
        try:
            score = await checker.judge(_shown(answered, said))
        except CheckFailed as error:
            log.warning("the checker %s %s", name, error)
            self._metrics.outcomes.labels(f"checker.{name}", "failed").inc()
            return
        if score is not None:
            believed = self._reliability.get(f"checker.{name}", checker.settings.reliability)
            await self._tell(checked(name, answered.about, score, believed, created=time.time()))

    async def _tell(self, outcome: Outcome) -> None:
        taken = await self._store.outcomes.add(outcome.tenant, outcome.outcome_id, outcome.says, outcome.dump())
        self._metrics.outcomes.labels(outcome.source, "recorded" if taken else "repeated").inc()


def _shown(answered: Answered, said: Said) -> dict[str, Any]:
    return {
        "decision_id": answered.decision_id,
        "tenant": answered.tenant,
        "model": answered.model,
        "tier": answered.tier,
        "request": dict(answered.request),
        "answer": said.text,
        "tool_calls": [{"name": name, "arguments": arguments} for name, arguments in said.calls],
    }
