"""The store as the gateway sees it: alone puts the parts together, and groups them into round trips.

A request makes at most two round trips before its dispatch and one after:

    opening: limits, the tenant's money, the cached answer        reserve: the hold
    closing: settle, the answer into the cache, the receipt, the limits' places back
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from router.errors import StoreUnavailable
from router.store.books import Books
from router.store.cache import DEFAULT_TTL_S, AnswerCache
from router.store.classifier_book import ClassifierBook
from router.store.cluster import ClusterConnection
from router.store.cluster import connect as open_executor
from router.store.connection import CONNECT_TIMEOUT_S, REPLY_TIMEOUT_S, Connection
from router.store.decisions import DecisionStream
from router.store.directory import Directory
from router.store.epoch import enter, restore
from router.store.flights import Flights, Look, Role
from router.store.health import HealthBoard
from router.store.ledger import Ledger
from router.store.ledger_types import Ending, Standing
from router.store.limits import CONCURRENCY_LEASE_S, Limiter, Rule, Verdict
from router.store.log_book import LogBook
from router.store.outbox import Outbox, Settlement
from router.store.outcomes import OutcomeStream
from router.store.pace import PaceBook
from router.store.scripts import Ask, text
from router.store.sessions import SessionBook, SessionNote, StoredSession
from router.store.upkeep import Upkeep

NO_SESSION = StoredSession()
NO_ANSWER = Look(role=Role.ALONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the store says before anything is decided.

    Attributes:
        answer: the cached one, or None.
        role: HIT with an answer; FOLLOW: wait in `Store.flights.follow`; LEAD: call, and name the leader in the
            closing's `Answer`; ALONE: call.
        session: as it stands, empty where none was asked for.
        pace: where the pacing of the tenant's budgets stood when it was last written; see `router.pacing`.
    """

    verdict: Verdict
    standing: Standing
    pace: bytes
    answer: bytes | None
    role: Role = Role.ALONE
    session: StoredSession = NO_SESSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The cache's part of a closing.

    Attributes:
        content: None where there is nothing to store: an error, a partial answer, a tool call.
        leader: the request id of a leader, whose flight then lands.
    """

    key: str
    content: bytes | None
    ttl_s: float = DEFAULT_TTL_S
    leader: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The decision stream's part of a closing; `content` is JSON, `attachment` for the log's writer only."""

    decision_id: str
    content: bytes
    attachment: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The limits' part of a closing. `extra_tokens`: used beyond the estimate, or short of it (< 0)."""

    request_id: str
    rules: Sequence[Rule]
    extra_tokens: int = 0


class Store:
    """All of the store over one connection. Make it with `await Store.connect(...)`.

    Attributes:
        connection: carries every command.
        ledger, books, directory, limiter, cache, flights, decisions, pace, sessions, health, outcomes,
            log_book, classifiers: the parts.
        outbox: settlements that wait for the store's return.
        epoch: names this set of books; see docs/ledger.md.
    """

    def __init__(self, connection: Connection | ClusterConnection, pepper: bytes) -> None:
        self.connection = connection
        self.ledger = Ledger(connection)
        self.books = Books(connection)
        self.limiter = Limiter(connection)
        self.cache = AnswerCache(connection)
        self.flights = Flights(connection)
        self.decisions = DecisionStream(connection)
        self.outcomes = OutcomeStream(connection)
        self.classifiers = ClassifierBook(connection)
        self.log_book = LogBook(connection)
        self.pace = PaceBook(connection)
        self.sessions = SessionBook(connection)
        self.health = HealthBoard(connection)
        self.directory = Directory(connection, pepper, self.ledger)
        self.outbox = Outbox(self.ledger)
        self.upkeep = Upkeep(connection, self.directory, self.ledger, self.books, self.outbox)
        self.epoch = ""
        self._work: asyncio.Task[None] | None = None
        connection.on_return = self.outbox.recall
        self.ledger.on_doubt = self.outbox.doubtful

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        pepper: bytes,
        memory: Path | None = None,
        upkeep: bool = True,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> Self:
        """Connect to a server.

        Args:
            url: redis://, rediss:// or unix://.
            pepper: the server's secret, of 16 bytes or more, the same in every process.
            memory: a file that outlives the store, in which its epoch is remembered: books that were emptied
                or replaced while no process ran are then noticed. None where there is no disk.
            upkeep: whether this process does background work; a command that only asks something need not.
            reply_timeout_s: short, so that an outage is answered within 250 ms.
            connect_timeout_s: likewise.

        Raises:
            StoreUnavailable: nobody answers, or the books are not the remembered ones.
            ValueError: the URL or the pepper is unusable.
        """
        if len(pepper) < 16:  # noqa: PLR2004 - 128 bits
            raise ValueError("The server's secret (pepper) needs at least 16 bytes.")
        connection = await open_executor(url, reply_timeout_s=reply_timeout_s, connect_timeout_s=connect_timeout_s)
        store = cls(connection, pepper)
        try:
            store.epoch = store.directory.epoch = await enter(connection, memory)
        except BaseException:
            await connection.close()
            raise
        if upkeep:
            store._work = asyncio.create_task(store.upkeep.run(), name="rung-store-upkeep")
        return store

    async def close(self) -> None:
        """End the background work, send what waits, and close the connection."""
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
            self._work = None
        await self.outbox.flush()
        await self.connection.close()

    async def enter(self, epoch: str) -> None:
        """Give the books this name: an emptied store is that of before, and may be rebuilt. Raises StoreUnavailable."""
        await restore(self.connection, epoch)
        self.epoch = self.directory.epoch = epoch

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the server answers."""
        await self.connection.ask(Ask(("PING",), text))

    async def opening(
        self,
        tenant: str,
        *,
        request_id: str,
        rules: Sequence[Rule] = (),
        tokens: int = 0,
        scopes: Sequence[str] = (),
        cache_key: str | None = None,
        lease_s: float = CONCURRENCY_LEASE_S,
        single_flight: bool = False,
        session: str = "",
    ) -> Opening:
        """First round trip: the limits' verdict, the tenant's money, the cached answer.

        Args:
            tenant: who asks.
            request_id: the owner of a place among the concurrent ones.
            rules: of `limits.rules`.
            tokens: the request's estimated tokens.
            scopes: payers beside the tenant, such as `key:ab12`.
            cache_key: of `cache.answer_key`, or None to bypass.
            lease_s: the longest that the request may take.
            single_flight: whether to wait for an identical request that is under way: see `Opening.role`.
            session: its name, or "".

        Raises:
            StoreUnavailable: the store is away; a cache that fails alone is a miss.
        """
        standing = self.ledger.standing_ask(tenant, scopes)
        pace = self.pace.get_ask(tenant)
        lookup = self._lookup(tenant, cache_key, request_id, single_flight) if cache_key else None
        take = self.limiter.take_ask(tenant, request_id, rules, tokens, lease_s) if rules else None
        sitting = self.sessions.get_ask(tenant, session) if session else None
        asked: list[Ask[Any]] = [ask for ask in (standing, pace, lookup, take, sitting) if ask is not None]
        replies = iter(await self.connection.run(*asked))
        stands = standing.read(next(replies))
        paced = pace.read(next(replies))
        look = lookup.read_or(next(replies), NO_ANSWER) if lookup else NO_ANSWER
        return Opening(
            standing=stands,
            pace=paced,
            answer=look.answer,
            role=look.role,
            verdict=take.read(next(replies)) if take else Verdict(),
            session=sitting.read_or(next(replies), NO_SESSION) if sitting else NO_SESSION,
        )

    async def closing(
        self,
        tenant: str,
        *,
        settlement: Settlement | None = None,
        answer: Answer | None = None,
        receipt: Receipt | None = None,
        places: Places | None = None,
        session: SessionNote | None = None,
    ) -> Ending | None:
        """Last round trip, the money first. Shield it from the request's cancellation.

        A settlement that meets an outage waits in the outbox, and is booked when the store is back; if this
        process dies before, the hold's lease ends it by estimate.

        Returns:
            how the settlement went: `waiting` where it is in the outbox; None without one. Cache, receipt and
                places
            may fail alone, without a word.
        """
        settle = self._settle(settlement) if settlement else None
        put, land = self._answer(tenant, answer) if answer else (None, None)
        keep = self._keep(tenant, receipt) if receipt else None
        give = self.limiter.give_ask(tenant, places.request_id, places.rules, places.extra_tokens) if places else None
        note = self.sessions.put_ask(tenant, session) if session else None
        asked: list[Ask[Any]] = [ask for ask in (settle, put, land, keep, give, note) if ask is not None]
        if not asked:
            return None
        try:
            replies = await self.connection.run(*asked)
            ending = settle.read(replies[0]) if settle else None
        except StoreUnavailable:
            if settlement is None:
                return None
            self.outbox.failed(settlement)
            return Ending(outcome="waiting", charged_nano=settlement.cost_nano)
        if settlement is not None:
            self.outbox.booked(settlement)
        return ending

    def _lookup(self, tenant: str, key: str, request_id: str, single_flight: bool) -> Ask[Look]:
        if single_flight:
            return self.flights.look_ask(tenant, key, request_id)
        get = self.cache.get_ask(tenant, key)
        return Ask(get.command, lambda reply: _found(get.parse(reply)))

    def _answer(self, tenant: str, answer: Answer) -> tuple[Ask[int] | None, Ask[bool] | None]:
        """What stores an answer, and what lands its flight."""
        put = (
            self.cache.put_ask(tenant, answer.key, answer.content, answer.ttl_s) if answer.content is not None else None
        )
        if answer.leader is None:
            return put, None
        return put, self.flights.land_ask(tenant, answer.key, answer.leader, stored=put is not None)

    def _keep(self, tenant: str, receipt: Receipt) -> Ask[int]:
        return self.decisions.append_ask(tenant, receipt.decision_id, receipt.content, receipt.attachment)

    def _settle(self, settlement: Settlement) -> Ask[Ending]:
        return self.ledger.settle_ask(
            settlement.hold, settlement.cost_nano, estimated=settlement.estimated, facts=settlement.facts
        )


def _found(answer: bytes | None) -> Look:
    return NO_ANSWER if answer is None else Look(role=Role.HIT, answer=answer)
