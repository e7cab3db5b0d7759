"""The store as the gateway sees it: alone puts the parts together, and groups them into round trips.

A request makes at most two round trips before its dispatch and one after:

    opening: limits, the tenant's money, the cached answer, and the hold where its amount is known already
    reserve: the hold, where it was not
    closing: settle, the answer into the cache, the receipt, the limits' places back
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from router.errors import StoreUnavailable
from router.store.alerts import AlertBook
from router.store.books import Books
from router.store.cache import AnswerCache
from router.store.claims import Claims
from router.store.classifier_book import ClassifierBook
from router.store.cluster import ClusterConnection
from router.store.cluster import connect as open_executor
from router.store.connection import CONNECT_TIMEOUT_S, REPLY_TIMEOUT_S, Connection, Unanswered
from router.store.decisions import DecisionStream
from router.store.directory import Directory
from router.store.epoch import enter, restore
from router.store.flights import Flights
from router.store.health import HealthBoard
from router.store.ledger import Ledger
from router.store.ledger_types import Ending
from router.store.limits import CONCURRENCY_LEASE_S, Limiter, Rule
from router.store.log_book import LogBook
from router.store.near import LocalNear, Near, NearLook, fetched, open_near
from router.store.outbox import Outbox, Settlement
from router.store.outcomes import OutcomeStream
from router.store.pace import PaceBook
from router.store.savings import Saving, SavingsBook
from router.store.scripts import Ask, text
from router.store.sessions import SessionBook, SessionNote
from router.store.trips import NO_SESSION, Answer, Opening, Places, Receipt, Wanted, admit_ask, close_ask
from router.store.upkeep import Upkeep


class Store:
    """All of the store over one connection. Make it with `await Store.connect(...)`.

    Attributes:
        connection: carries every command.
        ledger, books, directory, limiter, cache, flights, claims, decisions, pace, sessions, health, alerts,
            outcomes, log_book, classifiers, savings: the parts.
        near: where questions lie that may be found in other words; see `search_near`.
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
        self.claims = Claims(connection, self.cache)
        self.decisions = DecisionStream(connection)
        self.outcomes = OutcomeStream(connection)
        self.classifiers = ClassifierBook(connection)
        self.log_book = LogBook(connection)
        self.pace = PaceBook(connection)
        self.savings = SavingsBook(connection)
        self.near: Near = LocalNear()
        self.sessions = SessionBook(connection)
        self.health = HealthBoard(connection)
        self.alerts = AlertBook(connection)
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

    async def search_near(self, dimensions: int) -> None:
        """Let the server search for questions, where it can; of a cluster every process remembers its own."""
        if isinstance(self.connection, Connection):
            self.near = await open_near(self.connection, dimensions)

    async def purge(self, tenant: str) -> int:
        """Drop all answers of a tenant and what is known of their questions; how many. Raises StoreUnavailable."""
        self.near.forget(tenant)
        return await self.cache.purge(tenant)

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
        wanted: Wanted | None = None,
        near: NearLook | None = None,
    ) -> Opening:
        """First round trip: the limits' verdict, the tenant's money, the cached answer, and the hold where it is known.

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
            wanted: the hold to make, under the request's id, unless there is an answer or one is under way. A caller
                that is cancelled leaves nothing held.
            near: of `near.look`: goes along, and where the server searches by itself an answer that it found is then
                fetched; without `wanted`, or an answer would leave money held.

        Raises:
            StoreUnavailable: the store is away; a cache that fails alone is a miss.
        """
        ask = admit_ask(
            self.ledger,
            tenant,
            request_id=request_id,
            rules=rules,
            tokens=tokens,
            scopes=scopes,
            answer_key=cache_key,
            lease_s=lease_s,
            single_flight=single_flight,
            wanted=wanted,
        )
        sitting = self.sessions.get_ask(tenant, session) if session else None
        beside = [one for one in (sitting, near.ask if near else None) if one is not None]
        try:
            replies = await self.connection.run(ask, *beside)
        except (Unanswered, asyncio.CancelledError):
            if wanted is not None:
                self.ledger.doubt(tenant, request_id, wanted.amount_nano, scopes)
            raise
        opening = ask.read(replies[0])
        if sitting:
            opening = replace(opening, session=sitting.read_or(replies[1], NO_SESSION))
        if near and opening.answer is None and opening.verdict.refused is None:
            found = await fetched(self.cache, tenant, near, near.ask.read_or(replies[-1], None))
            opening = replace(opening, near=found)
        return opening

    async def closing(
        self,
        tenant: str,
        *,
        settlement: Settlement | None = None,
        answer: Answer | None = None,
        receipt: Receipt | None = None,
        places: Places | None = None,
        session: SessionNote | None = None,
        saving: Saving | None = None,
    ) -> Ending | None:
        """Last round trip, the money first. Shield it from the request's cancellation.

        A settlement that meets an outage waits in the outbox, and is booked when the store is back; if this
        process dies before, the hold's lease ends it by estimate.

        Returns:
            how the settlement went: `waiting` where it is in the outbox; None without one. Cache, receipt and
                places
            may fail alone, without a word.
        """
        ask = close_ask(
            self.ledger,
            self.cache,
            self.decisions,
            tenant,
            settlement=settlement,
            answer=answer,
            receipt=receipt,
            places=places,
        )
        note = self.sessions.put_ask(tenant, session) if session else None
        saved = self.savings.note_ask(tenant, saving) if saving else None
        question = answer.near if answer is not None and answer.content is not None else None
        near = self.near.put_ask(tenant, question, answer.key) if answer and question else None
        asked: list[Ask[Any]] = [one for one in (ask, note, near, saved) if one is not None]
        if not asked:
            return None
        if answer and question:
            self.near.storing(tenant, question, answer.key, answer.ttl_s)
        try:
            replies = await self.connection.run(*asked)
            ending = ask.read(replies[0]) if ask else None
        except StoreUnavailable:
            if settlement is None:
                return None
            self.outbox.failed(settlement)
            return Ending(outcome="waiting", charged_nano=settlement.cost_nano)
        if settlement is not None:
            self.outbox.booked(settlement)
        return ending
