"""Settlements that must not be lost: alone repeats them until the store has booked them.

A settlement that meets an outage waits here and is sent again when the store is back. One that was booked is
said again too, once, when the connection had to be found anew: a failover may have forgotten the last
seconds. Both are safe, because settling is idempotent, and a late settlement charges (see
`router.store.ledger`).
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.errors import StoreUnavailable
from router.store.ledger import Ledger
from router.store.ledger_types import Hold

log = logging.getLogger("rung.store")

CAPACITY = 50_000  # some 40 MB; a minute's outage at several hundred requests a second
RECALL_S = 10.0  # replicas lag by milliseconds, and a failover takes a few seconds to be seen


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Settlement:
    """What `Ledger.settle` needs to know; or, with `void`, `Ledger.void`."""

    hold: Hold
    cost_nano: int
    estimated: bool = False
    facts: bytes = b""
    void: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Tenant and hold: ids of holds are unique in their tenant only."""
        return self.hold.tenant, self.hold.id


class Outbox:
    """Settlements of this process: those that wait, and those booked a moment ago."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: OrderedDict[tuple[str, str], Settlement] = OrderedDict()
        self._booked: deque[tuple[float, Settlement]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def failed(self, settlement: Settlement) -> None:
        """Keep one that met an outage. Without room for it, the oldest is left to the reaper's estimate."""
        self._waiting[settlement.key] = settlement
        if len(self._waiting) > CAPACITY:
            (tenant, lost), _ = self._waiting.popitem(last=False)
            log.error("too many settlements wait: hold %s of %s is left to its lease's estimate", lost, tenant)

    def booked(self, settlement: Settlement) -> None:
        """Remember one that was booked, for `RECALL_S`."""
        now = time.monotonic()
        self._booked.append((now, settlement))
        while len(self._booked) > CAPACITY or self._booked[0][0] < now - RECALL_S:
            self._booked.popleft()

    def recall(self) -> None:
        """The connection was found anew: whatever was booked lately shall be said again."""
        for _, settlement in self._booked:
            self._waiting.setdefault(settlement.key, settlement)
        self._booked.clear()

    def doubtful(self, hold: Hold) -> None:
        """Release a hold that may have been made: nothing is bought with it."""
        self.failed(Settlement(hold=hold, cost_nano=0, void=True))

    async def flush(self) -> int:
        """Send all that wait; returns how many were booked.

        A tenant whose first settlement fails waits for the next round, and keeps nobody else waiting: its books may be
        closed, or its node away, while the others' are not.
        """
        sent = 0
        failing: set[str] = set()
        for key, settlement in list(self._waiting.items()):
            if settlement.hold.tenant in failing:
                continue
            try:
                await self._send(settlement)
            except StoreUnavailable:
                failing.add(settlement.hold.tenant)
            else:
                self._waiting.pop(key, None)
                sent += 1
        return sent

    async def _send(self, settlement: Settlement) -> None:
        if settlement.void:
            await self._ledger.void(settlement.hold)
        else:
            await self._ledger.settle(
                settlement.hold,
                settlement.cost_nano,
                estimated=settlement.estimated,
                facts=settlement.facts,
            )
