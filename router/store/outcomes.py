"""What became of answers: alone keeps outcomes, each once, until the log has them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, Script, text

KEEP_S = 40 * 86_400  # what is told twice within a month counts once
KEPT = 200_000  # outcomes of a tenant that wait for the log; some 60 MB

_ADD = Script("outcome_add.lua")


class Taken(IntEnum):
    """What became of an outcome that was told."""

    REFUSED = -1
    AGAIN = 0
    NEW = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An outcome in the stream: `cursor` continues after it, `content` is JSON."""

    cursor: str
    content: bytes


class OutcomeStream:
    """Outcomes in the store; opaque JSON bytes."""

    def __init__(self, executor: Executor, *, keep_s: int = KEEP_S, kept: int = KEPT) -> None:
        self._executor = executor
        self._keep_s = keep_s
        self._kept = kept

    async def add(self, tenant: str, outcome_id: str, says: bytes, content: bytes, *, strict: bool = False) -> Taken:
        """Tell an outcome.

        Args:
            tenant: whose decision it is about.
            outcome_id: the same for the same outcome; the last one told counts.
            says: what of it makes it another one when it differs (not the time).
            content: JSON, as the log wants it.
            strict: whether something else under the same id is refused.

        Raises:
            StoreUnavailable: the store is away.
        """
        arguments = [outcome_id, sha256(says).hexdigest(), content, self._keep_s, self._kept, "1" if strict else "0"]
        return await self._executor.ask(_ADD.ask([names.of(tenant, "os")], arguments, _taken))

    async def entries(self, tenant: str, after: str = "0-0", until: str = "+", count: int = 1000) -> list[Told]:
        """Outcomes after a cursor, oldest first. Raises StoreUnavailable."""
        command = ("XRANGE", names.of(tenant, "os"), f"({after}", until, "COUNT", count)
        return await self._executor.ask(Ask(command, _told))

    async def erase(self, tenant: str, cursors: list[str]) -> int:
        """Forget outcomes that the log has not got yet. Raises StoreUnavailable."""
        if not cursors:
            return 0
        return await self._executor.ask(Ask(("XDEL", names.of(tenant, "os"), *cursors), int))


def _taken(reply: Reply) -> Taken:
    return Taken(int(reply))


def _told(reply: Reply) -> list[Told]:
    return [Told(cursor=text(cursor), content=bytes(fields[1])) for cursor, fields in reply]
