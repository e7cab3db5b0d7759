"""Sessions: a few bytes of state for each, and what it has cost, both forgotten some time after its last call."""

from __future__ import annotations

from dataclasses import dataclass

from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, Script

_TAKE = Script("session_take.lua")
_PUT = Script("session_put.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """What is known of a session. `state`: opaque bytes, b"" for a new one. `spent_nano`: holds included."""

    state: bytes = b""
    spent_nano: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionNote:
    """A session's part of a closing.

    Attributes:
        name: of the session. ttl_s: how long it is remembered from now on.
        state: opaque bytes that replace the former ones; b"" leaves them.
        extra_nano: what is spent beyond what was taken, or short of it (< 0).
    """

    name: str
    ttl_s: int
    state: bytes = b""
    extra_nano: int = 0


class SessionBook:
    """The sessions of all tenants."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def get_ask(self, tenant: str, name: str) -> Ask[StoredSession]:
        """A session as it stands, for a pipeline."""
        return Ask(("HMGET", _key(tenant, name), "st", "sp"), _read)

    def put_ask(self, tenant: str, note: SessionNote) -> Ask[bool]:
        """What a call has made of its session, for a pipeline."""
        return _PUT.ask([_key(tenant, note.name)], [note.state, note.extra_nano, note.ttl_s], bool)

    async def take(self, tenant: str, name: str, amount_nano: int, *, budget_nano: int, ttl_s: int) -> bool:
        """Count so much as spent unless that passes the session's own budget. Raises StoreUnavailable."""
        ask = _TAKE.ask([_key(tenant, name)], [amount_nano, budget_nano, ttl_s], bool)
        return await self._executor.ask(ask)


def _key(tenant: str, name: str) -> str:
    return names.of(tenant, "ses", name)


def _read(reply: Reply) -> StoredSession:
    state, spent = reply
    return StoredSession(state=bytes(state or b""), spent_nano=int(spent or 0))
