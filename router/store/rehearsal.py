"""The real ledger under a simulated clock: `rung bench budget --ledger real` finds it as an entry point.

A private server in a folder of its own, one account with one budget per tenant, and calls that wait for the answer: a
simulation has one thread and its own time. Everything that moves money is the gateway's own Lua.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from router.errors import BudgetExhausted
from router.store import embedded
from router.store.connection import Connection
from router.store.ledger import Ledger
from router.store.ledger_types import Hold, State, Window

_Answer = TypeVar("_Answer")
# No simulated call lasts so long; the reaper, which charges for the abandoned, has nothing to do here.
LEASE_S = 86_400.0
PATIENT_S = 30.0  # a simulation may share a busy machine


class RehearsalLedger:
    """One budget per tenant in a private store.

    Args:
        limits: nano-dollars per tenant, who are numbered from 0.

    Raises:
        StoreUnavailable: the server does not start.
    """

    def __init__(self, limits: Sequence[int]) -> None:
        self._stack = ExitStack()
        try:
            folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="rung-rehearsal-")))
            server = self._stack.enter_context(embedded.start(folder))
            self._runner = self._stack.enter_context(asyncio.Runner())
            self._connection = Connection(server.url, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
            self._ledger = Ledger(self._connection, frozen_ms=0)
            self._tenants = tuple(f"simulated-{number}" for number in range(len(limits)))
            self._holds: dict[int, Hold] = {}
            self._wait(self._open(limits))
        except BaseException:
            self._stack.close()
            raise

    def standing(self, tenant: int, now_s: float) -> tuple[int, int]:
        """What the tenant has spent and what is held."""
        self._set(now_s)
        total = self._wait(self._ledger.standing(self._tenants[tenant])).total
        return total.spent_nano, total.held_nano

    def reserve(self, request: int, tenant: int, amount: int, now_s: float) -> bool:
        """Set the worst case aside, or refuse."""
        self._set(now_s)
        asked = self._ledger.reserve(
            self._tenants[tenant], f"request-{request}", amount, lease_s=LEASE_S, state=State.CALL
        )
        try:
            self._holds[request] = self._wait(asked)
        except BudgetExhausted:
            return False
        return True

    def settle(self, request: int, cost: int, now_s: float) -> None:
        """Charge the true cost of what was reserved, and release the rest."""
        self._set(now_s)
        self._wait(self._ledger.settle(self._holds.pop(request), cost))

    def spent(self) -> tuple[int, ...]:
        """What each tenant has spent, by the books."""
        return tuple(self._wait(self._ledger.standing(tenant)).total.spent_nano for tenant in self._tenants)

    def close(self) -> None:
        """End the server, and leave nothing behind."""
        self._wait(self._connection.close())
        self._stack.close()

    async def _open(self, limits: Sequence[int]) -> None:
        await self._connection.open()
        for tenant, limit in zip(self._tenants, limits, strict=True):
            await self._ledger.open_account(tenant, "rehearsal")
            await self._ledger.set_budget(tenant, "window", limit, Window.TOTAL)

    def _set(self, now_s: float) -> None:
        self._ledger.frozen_ms = round(now_s * 1000)

    def _wait(self, asked: Awaitable[_Answer]) -> _Answer:
        async def answered() -> _Answer:
            return await asked

        return self._runner.run(answered())
