"""Answers that were given before: alone keeps them apart by tenant and scope, and away from everybody else.

The key is a keyed hash over tenant, scope and the canonical request, so that neither a prompt nor a guess of one
can be read off the store. The caller decides what may be stored: never an error, a partial answer or a tool
call.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from hashlib import blake2b, sha256

from isal import isal_zlib

from router.errors import StoreUnavailable
from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, Script

DEFAULT_TTL_S = 3600.0  # answers about the world age; an hour catches retries, tests and popular questions
MAX_ANSWER_BYTES = 256 * 1024  # after compression; one answer of 128K tokens at most
MAX_ANSWERS = 10_000  # per tenant: with answers of 2 KB, 20 MB of the store's memory
COMPRESS_ABOVE = 1024  # below it zlib saves less than its 20 us are worth
_PURGE_AT_ONCE = 1000  # keeps one script under a millisecond or so
_PURGES_KNOWN_MS = 31 * 86_400_000  # an answer that was stored before is gone, and so is what is known of its question

_RAW, _ZLIB = b"r", b"z"
_PUT = Script("core.lua", "flights.lua", "cache_put.lua")
_PURGE = Script("cache_purge.lua")


def answer_key(pepper: bytes, tenant: str, scope: str, canonical: bytes) -> str:
    """The key of an answer: keyed BLAKE2b (RFC 7693), 64 hexadecimal digits, over tenant, scope and request.

    Args:
        pepper: the server's secret.
        tenant: the owner.
        scope: what else separates answers inside the tenant, for example the key or a policy version.
        canonical: canonical JSON of everything that shapes the answer.
    """
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in (tenant.encode(), scope.encode()))
    return blake2b(b"answer" + parts + canonical, key=_mac_key(pepper), digest_size=32).hexdigest()


@lru_cache(maxsize=4)
def _mac_key(pepper: bytes) -> bytes:
    """A pepper of any length as BLAKE2b takes keys."""
    return sha256(pepper).digest()


class AnswerCache:
    """Exact answers in the store; opaque bytes."""

    def __init__(self, executor: Executor, *, max_answers: int = MAX_ANSWERS) -> None:
        self._executor = executor
        self._max_answers = max_answers

    def get_ask(self, tenant: str, key: str) -> Ask[bytes | None]:
        """Look an answer up, for a pipeline; None where there is none or it is damaged."""
        return Ask(("GET", names.of(tenant, "c", key)), unpack)

    async def get(self, tenant: str, key: str) -> bytes | None:
        """Look an answer up; a store that is away is a miss."""
        try:
            return await self._executor.ask(self.get_ask(tenant, key))
        except StoreUnavailable:
            return None

    def put_ask(self, tenant: str, key: str, answer: bytes, ttl_s: float = DEFAULT_TTL_S) -> Ask[int] | None:
        """Store an answer, for a pipeline; None where it is too large to be stored."""
        packed = self.pack(answer)
        return None if packed is None else _PUT.ask([names.of(tenant, "acct")], [key, packed, *self.bounds(ttl_s)], int)

    def pack(self, answer: bytes) -> bytes | None:
        """An answer as the store keeps it; None where it is too large to be stored."""
        packed = _ZLIB + isal_zlib.compress(answer, 1) if len(answer) > COMPRESS_ABOVE else _RAW + answer
        return packed if len(packed) <= MAX_ANSWER_BYTES else None

    def bounds(self, ttl_s: float) -> tuple[int, int]:
        """A script's words for how long an answer is kept (ms), and how many of a tenant's at most."""
        return max(1, round(ttl_s * 1000)), self._max_answers

    async def put(self, tenant: str, key: str, answer: bytes, ttl_s: float = DEFAULT_TTL_S) -> bool:
        """Store an answer; False where it is too large or the store is away."""
        ask = self.put_ask(tenant, key, answer, ttl_s)
        if ask is None:
            return False
        try:
            return bool(await self._executor.ask(ask))
        except StoreUnavailable:
            return False

    async def purge(self, tenant: str) -> int:
        """Drop all answers of a tenant; returns how many. Raises StoreUnavailable."""
        dropped = 0
        while batch := await self._executor.ask(
            _PURGE.ask([names.of(tenant, "ci")], [_PURGE_AT_ONCE, _PURGES_KNOWN_MS], int)
        ):
            dropped += batch
        return dropped


def unpack(reply: Reply) -> bytes | None:
    """An answer as the store keeps it, or None where it is missing or damaged."""
    if not isinstance(reply, bytes):
        return None
    if reply[:1] == _RAW:
        return reply[1:]
    try:
        return zlib.decompress(reply[1:])
    except zlib.error:
        return None
