"""What the store needs done beside the requests: alone runs the background work of a process.

every 0.4 s   ask for the directory's revision, and send the settlements that wait
every 15 s    in one process of all: end abandoned holds of every tenant, shorten long records
"""

from __future__ import annotations

import asyncio
import logging

from router.errors import StoreUnavailable
from router.store import names
from router.store.books import Books
from router.store.connection import Executor
from router.store.directory import POLL_S, Directory
from router.store.ledger import Ledger
from router.store.outbox import Outbox
from router.store.scripts import Ask, Reply, text

log = logging.getLogger("rung.store")

SWEEP_S = 15  # a hold is gone at most so long after its lease, also where its tenant is silent


class Upkeep:
    """The background work; `run` is cancelled to end it."""

    def __init__(self, executor: Executor, directory: Directory, ledger: Ledger, books: Books, outbox: Outbox) -> None:
        self._executor = executor
        self._directory = directory
        self._ledger = ledger
        self._books = books
        self._outbox = outbox

    async def run(self) -> None:
        """Work for ever. The connection reports outages; anything else is logged, and ends nothing."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.step()
            except StoreUnavailable:
                continue
            except Exception:
                log.exception("the store's upkeep failed; it goes on")

    async def step(self) -> None:
        """One round. Raises StoreUnavailable."""
        await self._directory.refresh()
        await self._outbox.flush()
        if await self._executor.ask(Ask(("SET", names.SWEEP, "1", "NX", "EX", SWEEP_S), bool)):
            await self.sweep()

    async def sweep(self) -> int:
        """End abandoned holds and shorten records, tenant by tenant; returns how many holds were ended."""
        ended = 0
        for tenant in await self._executor.ask(Ask(("SMEMBERS", names.TENANTS), _texts)):
            try:
                ended += await self._ledger.reap(tenant)
                await self._books.compact(tenant)
            except StoreUnavailable as error:  # one tenant's books may be closed; the others' are not
                log.debug("no upkeep for tenant %s: %s", tenant, error)
        return ended


def _texts(reply: Reply) -> list[str]:
    return [text(item) for item in reply]
