"""Idempotency keys: alone says whether a key is new, in use, or has its reply already.

Replies lie among the tenant's cached answers, within their bound, and are forgotten with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from router.store import names
from router.store.cache import AnswerCache, unpack
from router.store.connection import Executor
from router.store.scripts import Reply, Script, text

KEEP_S = 86_400  # who retries after a day asks anew
_TAKE = Script("core.lua", "claim_take.lua")
_END = Script("core.lua", "flights.lua", "claim_end.lua")
_NOW = ""  # the server's own clock


class Claimed(Enum):
    """How an idempotency key stands."""

    MINE = "mine"  # it is new: the caller does the work, and ends the claim
    OPEN = "open"  # a request with it is under way
    OTHER = "other"  # it stood for another body
    KEPT = "kept"  # it has its reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request claims.

    Attributes:
        tenant: whose. name, body: keyed hashes of the idempotency key and of the request that it stands for.
        owner: the request's id.
    """

    tenant: str
    name: str
    body: str
    owner: str


class Claims:
    """The idempotency keys of all tenants; replies are opaque bytes."""

    def __init__(self, executor: Executor, cache: AnswerCache) -> None:
        self._executor = executor
        self._cache = cache

    async def take(self, claim: Claim, *, lease_s: float) -> tuple[Claimed, bytes]:
        """Claim a key; with `KEPT` comes the reply.

        Args:
            claim: by whom, for what.
            lease_s: the longest that the work may take; the claim of a process that died ends with it.

        Raises:
            StoreUnavailable: the store is away.
        """
        words = [_NOW, claim.name, claim.body, claim.owner, round(lease_s * 1000)]
        return await self._executor.ask(_TAKE.ask([names.of(claim.tenant, "acct")], words, _read))

    async def end(self, claim: Claim, reply: bytes = b"", *, keep_s: float = KEEP_S) -> bool:
        """Keep the reply for who asks again; one that is empty or too large leaves the key new, to be asked afresh.

        Returns:
            whether the claim was still this owner's.

        Raises:
            StoreUnavailable: the store is away.
        """
        packed = (self._cache.pack(reply) if reply else None) or b""
        words = [_NOW, claim.name, claim.owner, packed, *self._cache.bounds(keep_s)]
        return await self._executor.ask(_END.ask([names.of(claim.tenant, "acct")], words, bool))


def _read(reply: Reply) -> tuple[Claimed, bytes]:
    standing = Claimed(text(reply[0]))
    return standing, (unpack(reply[1]) or b"") if standing is Claimed.KEPT else b""
