"""Where the pacing of each tenant's budgets stands: opaque bytes, written by whoever read what is there."""

from __future__ import annotations

from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, Script

# Longer than the longest window that is paced; a budget that slept so long begins anew.
KEEP_S = 40 * 86_400

_PUT = Script("pace_put.lua")


class PaceBook:
    """The pacing state of tenants in the store."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def get_ask(self, tenant: str) -> Ask[bytes]:
        """The state, for a pipeline; b"" where there is none."""
        return Ask(("GET", names.of(tenant, "pace")), _read)

    async def put(self, tenant: str, *, before: bytes, after: bytes) -> bool:
        """Write the state unless somebody else has meanwhile. Raises StoreUnavailable."""
        return await self._executor.ask(_PUT.ask([names.of(tenant, "pace")], [before, after, KEEP_S], bool))


def _read(reply: Reply) -> bytes:
    return bytes(reply or b"")
