"""Alerts of budgets: alone tells, once for all processes, that spending has reached a threshold.

Looking is a script of its own beside the requests. What it finds for the first time in a window it keeps, so that
nobody else finds it again; a webhook waits in a queue until somebody has delivered it, or until it was tried often
enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from router.store import names
from router.store.connection import Executor
from router.store.ledger_types import ALERTS, Window, shares_word
from router.store.scripts import Ask, Reply, Script, text

KEPT = 500  # of a tenant: a budget of days with three thresholds fills it in half a year
KEEP_S = 800 * 86_400  # as long as the windows of months
# A webhook that is not taken is tried again after 15 s, 30 s, 1 min ..., for two hours in all.
FIRST_PAUSE_S = 15.0
MOST_TRIES = 10

_LOOK = Script("core.lua", "rollover.lua", "windows.lua", "alerts.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """That a budget's spending has reached a share of its limit.

    Attributes:
        tenant: whose. budget, scope, window: which; `starts` is the window's first day, or "" for one that never ends.
        threshold: the share, 0..1. limit_nano, spent_nano: as they were then. at: seconds since 1970.
        waiting: whether its webhook was not taken yet.
    """

    tenant: str
    budget: str
    scope: str
    window: Window
    starts: str
    threshold: float
    limit_nano: int
    spent_nano: int
    at: float
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A webhook that the receiver of this is to send. `name`: in the queue. `tries`: so far."""

    name: str
    alert: Alert
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look has found: alerts that nobody had before, and webhooks to send."""

    fresh: tuple[Alert, ...]
    errands: tuple[Errand, ...]


class AlertBook:
    """The alerts of all tenants. `frozen_ms`: a test's clock."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.frozen_ms: int | None = None

    async def lease(self, seconds: float) -> bool:
        """Whether this process is the one to look within the next so many seconds. Raises StoreUnavailable."""
        command = ("SET", names.ALERTS, "1", "NX", "PX", round(seconds * 1000))
        return await self._executor.ask(Ask(command, bool))

    async def prolong(self, seconds: float) -> None:
        """Keep the lease for so long from now on. Raises StoreUnavailable."""
        await self._executor.ask(Ask(("PEXPIRE", names.ALERTS, round(seconds * 1000)), int))

    async def tenants(self) -> list[str]:
        """Whose budgets there are to look at. Raises StoreUnavailable."""
        return await self._executor.ask(Ask(("SMEMBERS", names.TENANTS), lambda reply: sorted(map(text, reply))))

    async def look(self, tenant: str, *, refused: bool = False, webhook: bool = False) -> Found:
        """Find what a tenant's budgets have reached since the last look.

        Args:
            tenant: whose.
            refused: whether a request was refused for want of money since; a budget that is all but spent then counts
                as exhausted.
            webhook: whether there is one to be told.

        Raises:
            StoreUnavailable: the store is away, or the tenant's books are closed.
        """
        clock = "" if self.frozen_ms is None else self.frozen_ms
        pause = round(FIRST_PAUSE_S * 1000) if webhook else ""
        words = [clock, shares_word(ALERTS), int(refused), KEPT, KEEP_S, pause, MOST_TRIES]
        ask = _LOOK.ask([names.of(tenant, "acct")], words, lambda reply: _found(tenant, reply))
        return await self._executor.ask(ask)

    async def delivered(self, errand: Errand) -> None:
        """Take a webhook out of the queue. Raises StoreUnavailable."""
        await self._executor.ask(Ask(("HDEL", names.of(errand.alert.tenant, "alq"), errand.name), int))

    async def alerts(self, tenant: str) -> list[Alert]:
        """A tenant's alerts, the newest first. Raises StoreUnavailable."""
        kept = Ask(("HGETALL", names.of(tenant, "al")), _pairs)
        queue = Ask(("HKEYS", names.of(tenant, "alq")), lambda reply: {text(name) for name in reply})
        replies = await self._executor.run(kept, queue)
        waiting = queue.read(replies[1])
        found = [_alert(tenant, alert, waiting=name in waiting) for name, alert in kept.read(replies[0]).items()]
        return sorted(found, key=lambda alert: (alert.at, alert.threshold), reverse=True)


def _pairs(reply: Reply) -> dict[str, bytes]:
    return {text(name): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _found(tenant: str, reply: Reply) -> Found:
    return Found(
        fresh=tuple(_alert(tenant, alert) for alert in reply[0]),
        errands=tuple(
            Errand(name=text(name), alert=_alert(tenant, alert, waiting=True), tries=int(tries))
            for name, alert, tries in reply[1]
        ),
    )


def _alert(tenant: str, content: bytes, *, waiting: bool = False) -> Alert:
    told = orjson.loads(content)
    kind, _, starts = told["window"].partition(":")
    return Alert(
        tenant=tenant,
        budget=told["budget"],
        scope=told["scope"],
        window=Window(kind),
        starts=starts,
        threshold=float(told["threshold"]),
        limit_nano=int(told["limit"]),
        spent_nano=int(told["spent"]),
        at=int(told["at"]) / 1000,
        waiting=waiting,
    )
