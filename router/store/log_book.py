"""How far the log has been written: alone keeps its cursors, so that every record lands in one file, once.

A part of the log is a range of a stream. Before it is written, its end is put down (`intend`): whoever writes it, and
however often, writes the same file. After it has been written, the cursor moves to its end (`commit`), once.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, Script, text

BEGINNING = "0-0"

_INTEND = Script("log_intend.lua")
_COMMIT = Script("log_commit.lua")
_LEASE = Script("lease_take.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a table of a tenant is. `until`: the end of the part being written, or None where none is begun."""

    cursor: str
    until: str | None


class LogBook:
    """The cursors of all tenants' tables, and the lease of the process that writes."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def progress(self, tenant: str, table: str) -> Progress:
        """Where the writing of a table stands. Raises StoreUnavailable."""
        command = ("HMGET", names.of(tenant, "log"), table, f"{table}>")
        return await self._executor.ask(Ask(command, _progress))

    async def intend(self, tenant: str, table: str, cursor: str, until: str) -> Progress:
        """Begin a part; what comes back is the part to write, another writer's where it was faster.

        Raises StoreUnavailable.
        """
        return await self._executor.ask(_INTEND.ask([names.of(tenant, "log")], [table, cursor, until], _progress))

    async def commit(self, tenant: str, table: str, part: Progress) -> bool:
        """A part lies in its file; False where somebody had said so before. Raises StoreUnavailable."""
        arguments = [table, part.cursor, part.until or ""]
        return await self._executor.ask(_COMMIT.ask([names.of(tenant, "log")], arguments, bool))

    async def lead(self, who: str, seconds: int) -> bool:
        """Whether this process is the one that writes, for so long. Raises StoreUnavailable."""
        return await self._executor.ask(_LEASE.ask([names.LOG_LEASE], [who, seconds], bool))


def _progress(reply: Reply) -> Progress:
    cursor, until = reply
    return Progress(cursor=text(cursor or BEGINNING), until=text(until) if until else None)
