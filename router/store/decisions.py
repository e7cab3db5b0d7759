"""The receipts of decisions: alone keeps them for their tenant, and lists them for the log's reader."""

from __future__ import annotations

import re
from dataclasses import dataclass

from router.errors import NotFound
from router.store import names
from router.store.connection import Executor
from router.store.packing import pack, unpack
from router.store.scripts import Argument, Ask, Reply, Script, text

KEEP_S = 7 * 86_400  # a question about a bill comes within a week; the decision log keeps them for good
LISTED = 10_000  # receipts a tenant can list at once; the decision log reads faster than that
KEEP_RULES_S = 400 * 86_400  # a few KB a change; a gateway that runs for a year still has its receipts read
_DECISION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

_APPEND = Script("core.lua", "receipts.lua", "decision_append.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A place in a tenant's list of receipts: `cursor` continues after it."""

    cursor: str
    decision_id: str


class DecisionStream:
    """Receipts in the store; opaque JSON bytes.

    Attributes:
        listed: how many a tenant's list holds at least; the log's writer must read faster than it fills.
    """

    def __init__(self, executor: Executor, *, keep_s: int = KEEP_S, listed: int = LISTED) -> None:
        self._executor = executor
        self._keep_s = keep_s
        self.listed = listed

    async def keep_rules(self, rules_id: str, content: bytes) -> None:
        """Keep the rules that receipts refer to. Raises StoreUnavailable."""
        await self._executor.ask(Ask(("SET", names.rules(rules_id), content, "EX", KEEP_RULES_S), text))

    async def rules(self, rules_id: str) -> bytes | None:
        """The rules of that id, or None where they are gone. Raises StoreUnavailable."""
        return await self._executor.ask(Ask(("GET", names.rules(rules_id)), lambda reply: reply and bytes(reply)))

    def append_ask(self, tenant: str, decision_id: str, receipt: bytes, attachment: bytes = b"") -> Ask[int]:
        """Keep a receipt, for a pipeline; with an attachment, which only the log's writer reads."""
        return _APPEND.ask([names.of(tenant, "acct")], self.words(decision_id, receipt, attachment), int)

    def words(self, decision_id: str, receipt: bytes, attachment: bytes = b"") -> tuple[Argument, ...]:
        """A script's words for keeping a receipt."""
        # What follows a compressed record is no part of it: numbers that do not shrink cost no time to compress.
        return decision_id, pack(receipt) + attachment, self._keep_s, self.listed

    async def append(self, tenant: str, decision_id: str, receipt: bytes, attachment: bytes = b"") -> None:
        """Keep a receipt. Raises StoreUnavailable."""
        await self._executor.ask(self.append_ask(tenant, decision_id, receipt, attachment))

    async def get(self, tenant: str, decision_id: str) -> bytes:
        """A receipt.

        Raises:
            NotFound: the tenant has none of this id, or it is older than `keep_s`; another tenant's looks the
                same.
            StoreUnavailable: the store is away.
        """
        found = None
        if _DECISION_ID.fullmatch(decision_id):
            found = await self._executor.ask(Ask(("GET", names.of(tenant, "d", decision_id)), _unpack))
        if found is None:
            raise NotFound(
                "No decision of this id: take it from the x-rung-decision-id header of a reply to this"
                f" tenant; receipts are kept for {self._keep_s // 86_400} days."
            )
        return found

    async def entries(self, tenant: str, after: str = "0-0", count: int = 100, *, until: str = "+") -> list[Entry]:
        """The ids of receipts after a cursor (and up to another), oldest first. Raises StoreUnavailable."""
        command = ("XRANGE", names.of(tenant, "ds"), f"({after}", until, "COUNT", count)
        return await self._executor.ask(Ask(command, _entries))

    async def latest(self, tenant: str, count: int) -> list[Entry]:
        """The ids of the last receipts, oldest first. Raises StoreUnavailable."""
        command = ("XREVRANGE", names.of(tenant, "ds"), "+", "-", "COUNT", count)
        return (await self._executor.ask(Ask(command, _entries)))[::-1]

    async def read(self, tenant: str, entries: list[Entry]) -> list[bytes]:
        """The receipts of these entries; those that have expired are left out. Raises StoreUnavailable."""
        return [record for record, _ in await self.read_whole(tenant, entries)]

    async def read_whole(self, tenant: str, entries: list[Entry]) -> list[tuple[bytes, bytes]]:
        """Likewise, each with its attachment. Raises StoreUnavailable."""
        if not entries:
            return []
        command = ("MGET", *(names.of(tenant, "d", entry.decision_id) for entry in entries))
        return await self._executor.ask(Ask(command, _whole))

    async def erase(self, tenant: str, decision_ids: list[str]) -> int:
        """Forget receipts; their ids stay in the list until it ends. Returns how many there were."""
        if not decision_ids:
            return 0
        return await self._executor.ask(Ask(("DEL", *(names.of(tenant, "d", one) for one in decision_ids)), int))


def _unpack(reply: Reply) -> bytes | None:
    return None if reply is None else unpack(reply)[0]


def _whole(reply: Reply) -> list[tuple[bytes, bytes]]:
    return [unpack(packed) for packed in reply if packed is not None]


def _entries(reply: Reply) -> list[Entry]:
    return [Entry(cursor=text(cursor), decision_id=text(fields[1])) for cursor, fields in reply]
