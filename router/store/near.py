"""Answers to questions that ask the same in other words: alone finds them, in the store or in this process' memory.

    look -> an ask that travels beside the opening, or None where nothing is like it
    put  -> beside the answer, under the answer's own key and time to live

A question is found only in its group: the hash of tenant, scope and everything of the request but its last user turn.
What is found is an answer's key, under which the answer is read as any other: so purge, bounds and expiry are those of
the exact cache. Where the server has vector search (Redis' query engine, valkey-search), questions lie there, for all
processes; otherwise each process remembers its own (`near_index`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from classifier.sameness import Asked, same, unpacked
from router.errors import StoreUnavailable
from router.store import names
from router.store.cache import AnswerCache, unpack
from router.store.connection import Executor
from router.store.near_index import NEAREST, NearIndex
from router.store.scripts import Ask, Reply, Script, text

log = logging.getLogger("rung.store")

INDEX = "rung-near"
PREFIX = "n:"  # the server's index takes whole prefixes: apart from `b:`, where money changes all the time
_PUT = Script("core.lua", "near_put.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and its place: `group` is an HMAC over tenant, scope and all of the request but the question."""

    group: str
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class NearLook:
    """A look for one question.

    Attributes:
        ask: travels beside the opening; it gives an answer, or the key of one that is still to be fetched, or None.
        fetch: whether it gives a key.
    """

    ask: Ask[bytes | str | None]
    fetch: bool


class Near(Protocol):
    """Where questions lie."""

    def look(self, tenant: str, question: Question) -> NearLook | None:
        """What to ask the store about a question; None where nothing like it is known."""
        ...

    def put_ask(self, tenant: str, question: Question, key: str) -> Ask[int] | None:
        """Stores a question beside its answer; None where the store keeps none."""
        ...

    def storing(self, tenant: str, question: Question, key: str, ttl_s: float) -> None:
        """The question's answer is on its way to the store; a look that comes before it finds nothing and forgets."""
        ...

    def forget(self, tenant: str) -> None:
        """The tenant's answers are gone."""
        ...


class LocalNear:
    """Questions in this process' memory.

    Each look reads with the answer the tenant's count of purges: one that has grown empties the memory of the tenant.
    """

    def __init__(self, index: NearIndex | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.index = NearIndex() if index is None else index
        self._clock = clock
        self._purges: dict[str, bytes | None] = {}

    def look(self, tenant: str, question: Question) -> NearLook | None:
        """See `Near`."""
        key = self.index.find(tenant, question.group, question.asked, self._clock())
        if key is None:
            return None

        def read(reply: Reply) -> bytes | None:
            answer, purges = unpack(reply[0]), reply[1]
            if self._purges.setdefault(tenant, purges) != purges:
                self._purges[tenant] = purges
                self.index.forget(tenant)
            elif answer is None:
                self.index.drop(tenant, question.group, key)
            return answer

        return NearLook(ask=Ask(("MGET", names.of(tenant, "c", key), names.of(tenant, "cp")), read), fetch=False)

    def put_ask(self, tenant: str, question: Question, key: str) -> Ask[int] | None:
        """Nothing is stored elsewhere."""
        del tenant, question, key
        return None

    def storing(self, tenant: str, question: Question, key: str, ttl_s: float) -> None:
        """See `Near`."""
        self.index.put(tenant, question.group, question.asked, key, now_s=self._clock(), ttl_s=ttl_s)

    def forget(self, tenant: str) -> None:
        """See `Near`."""
        self.index.forget(tenant)


class SearchNear:
    """Questions in a server that searches vectors; `open_near` makes the index."""

    def look(self, tenant: str, question: Question) -> NearLook | None:
        """See `Near`."""
        blob = question.asked.vector.tobytes()
        query = f"(@g:{{{question.group}}})=>[KNN {NEAREST} @v $v AS d]"
        words = ("FT.SEARCH", INDEX, query, "PARAMS", 2, "v", blob, "RETURN", 2, "v", "m", "LIMIT", 0, NEAREST)
        own = PREFIX + names.of(tenant, "").removeprefix("b:")

        def read(reply: Reply) -> str | None:
            for name, fields in _documents(reply):
                if name.startswith(own) and same(unpacked(fields[b"v"], fields[b"m"]), question.asked):
                    return name.removeprefix(own)
            return None

        return NearLook(ask=Ask((*words, "DIALECT", 2), read), fetch=True)

    def put_ask(self, tenant: str, question: Question, key: str) -> Ask[int] | None:
        """See `Near`."""
        asked = question.asked
        words = (key, question.group, asked.vector.tobytes(), asked.packed())
        return _PUT.ask([names.of(tenant, "acct")], words, int)

    def storing(self, tenant: str, question: Question, key: str, ttl_s: float) -> None:
        """It lies in the store already."""

    def forget(self, tenant: str) -> None:
        """The purge of the answers has dropped the questions."""


async def open_near(executor: Executor, dimensions: int) -> Near:
    """Questions in the server where it searches vectors, and otherwise in memory."""
    fields = ("g", "TAG", "v", "VECTOR", "FLAT", 6, "TYPE", "FLOAT32", "DIM", dimensions, "DISTANCE_METRIC", "L2")
    create = Ask(("FT.CREATE", INDEX, "ON", "HASH", "PREFIX", 1, PREFIX, "SCHEMA", *fields), text)
    try:
        await executor.ask(create)
    except StoreUnavailable as refused:
        if "already exists" not in str(refused).lower():
            log.info("the store searches no vectors: every process remembers questions of its own")
            return LocalNear()
    return SearchNear()


async def fetched(cache: AnswerCache, tenant: str, look: NearLook, found: bytes | str | None) -> bytes | None:
    """The answer that a look came upon."""
    if look.fetch and isinstance(found, str):
        return await cache.get(tenant, found)
    return found if isinstance(found, bytes) else None


def _documents(reply: Reply) -> list[tuple[str, dict[bytes, bytes]]]:
    """Names and fields of a search's documents, the nearest first."""
    found: list[tuple[str, dict[bytes, bytes]]] = []
    for name, flat in zip(reply[1::2], reply[2::2], strict=False):
        if isinstance(flat, list):
            found.append((text(name), dict(zip(flat[::2], flat[1::2], strict=False))))
    return [(name, fields) for name, fields in found if {b"v", b"m"} <= fields.keys()]
