"""The end of every hold: renewed while its call runs, settled once, in tasks that no client's cancellation reaches.

A settlement that the store cannot take waits in the store's outbox until it can, or until the process ends; the
store's reaper then ends the hold by what was last seen of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.errors import RungError, StoreUnavailable
from router.store import Answer, Hold, Places, Receipt, SessionNote, Settlement, Store
from router.store.ledger import LEASE_S
from router.store.savings import Saving

log = logging.getLogger("rung.settlement")

RENEW_EVERY_S = LEASE_S / 3  # two renewals may fail before a lease runs out
DRAIN_POLL_S = 0.02  # settlements take milliseconds; the process ends as soon as the last one is booked


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Ending:
    """How a request ends in the books.

    Attributes:
        cost_nano: what it has cost, nano-dollars; 0 releases the whole hold. estimated: see `billing.Bill`.
        receipt: the decision's record. answer: for the cache, or None. places: the limits' places to give back.
        session: what becomes of the request's session.
    """

    cost_nano: int
    estimated: bool
    receipt: Receipt
    answer: Answer | None = None
    places: Places | None = None
    session: SessionNote | None = None


class Settler:
    """Keeps open holds alive and ends them. One per process.

    Args:
        store: where the books are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[str, tuple[Hold, Callable[[], int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """How many holds are open, and settlements not yet booked."""
        return len(self._open) + len(self._tasks)

    def watch(self, hold: Hold, cost_so_far: Callable[[], int]) -> None:
        """Renew a hold from now on; `cost_so_far` says what to charge should this process die (nano-dollars)."""
        self._open[hold.id] = (hold, cost_so_far)

    def end_soon(self, hold: Hold, ending: Callable[[], Ending], spare: tuple[Hold, ...] = ()) -> None:
        """Settle in a task of its own, which cancelling the caller does not reach, and free the spare holds.

        The task begins when the caller next waits: a reply that is sent before leaves before all bookkeeping, and this
        process' next question to the store finds it booked. `ending` is called in the task. Spare holds are released
        after the settlement, so that the money was covered all along.
        """
        for ended in (hold, *spare):
            self._open.pop(ended.id, None)
        self._spawn(self._settle(hold, ending, spare))

    async def reserve_more(self, hold: Hold, amount_nano: int, number: int) -> Hold | None:
        """Set more money aside for an open request; None where the budget has it not, or the store is away."""
        try:
            more = await self._store.ledger.reserve(hold.tenant, f"{hold.id}-{number}", amount_nano, scopes=hold.scopes)
        except RungError:
            return None
        self.watch(more, lambda: 0)
        return more

    def note_session(self, tenant: str, session: SessionNote) -> None:
        """Note what becomes of a session whose request made no call, in a task of its own."""
        self._spawn(self._note_session(tenant, session))

    def note(
        self,
        tenant: str,
        receipt: Receipt | None,
        places: Places,
        answer: Answer | None = None,
        saving: Saving | None = None,
    ) -> None:
        """Record a request that made no call, free its places and land its flight, in a task of its own."""
        self._spawn(self._note(tenant, receipt, places, answer, saving))

    def release(self, reserving: Awaitable[Hold]) -> None:
        """Release a hold that is still being made, in a task of its own: nothing will be bought with it."""
        self._spawn(self._release(reserving))

    def keep_pace(self, tenant: str, *, before: bytes, after: bytes, lost: Callable[[], None]) -> None:
        """Store a step of a tenant's pacing, in a task of its own; `lost` is told where it was not stored."""
        self._spawn(self._keep_pace(tenant, before, after, lost))

    def afterwards(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Do what follows a reply in a task of its own, which the end of this process waits for."""
        return self._spawn(self._quietly(work))

    async def _quietly(self, work: Coroutine[Any, Any, Any]) -> None:
        with contextlib.suppress(StoreUnavailable):  # what is not noted ends with its lease
            await work

    async def _keep_pace(self, tenant: str, before: bytes, after: bytes, lost: Callable[[], None]) -> None:
        stored = False
        with contextlib.suppress(StoreUnavailable):  # the next request takes the step again
            stored = await self._store.pace.put(tenant, before=before, after=after)
        if not stored:
            lost()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _note_session(self, tenant: str, session: SessionNote) -> None:
        with contextlib.suppress(
            StoreUnavailable
        ):  # what was taken then counts as spent until the session is forgotten
            await self._store.closing(tenant, session=session)

    async def _note(
        self, tenant: str, receipt: Receipt | None, places: Places, answer: Answer | None, saving: Saving | None
    ) -> None:
        with contextlib.suppress(StoreUnavailable):  # no money is in it, and the places' lease frees them
            await self._store.closing(tenant, receipt=receipt, places=places, answer=answer, saving=saving)

    async def _release(self, reserving: Awaitable[Hold]) -> None:
        try:
            hold = await reserving
        except RungError:  # nothing is held; or nobody knows, and the reaper will see
            return
        await self._store.closing(hold.tenant, settlement=Settlement(hold=hold, cost_nano=0))

    async def _settle(self, hold: Hold, how: Callable[[], Ending], spare: tuple[Hold, ...]) -> None:
        try:
            ending = how()
            await self._store.closing(
                hold.tenant,
                settlement=Settlement(hold=hold, cost_nano=ending.cost_nano, estimated=ending.estimated),
                answer=ending.answer,
                receipt=ending.receipt,
                places=ending.places,
                session=ending.session,
            )
            for held in spare:
                await self._store.closing(held.tenant, settlement=Settlement(hold=held, cost_nano=0))
        except Exception:
            log.exception("the settlement of %s failed; the store's reaper will end its hold", hold.id)

    async def keep_alive(self) -> None:
        """Renew the open holds for as long as this runs."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            with contextlib.suppress(StoreUnavailable):  # the next round tries again, within the lease
                for hold, cost_so_far in list(self._open.values()):
                    await self._store.ledger.renew(hold, if_dead_nano=min(cost_so_far(), hold.amount_nano))

    async def drain(self, timeout_s: float) -> None:
        """Wait for the settlements under way; what is left after `timeout_s` seconds is the reaper's."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                # A hold that is still open may yet begin a settlement.
                while self.under_way:  # noqa: ASYNC110 - once in a process' life: an event would be kept by every request
                    await asyncio.sleep(DRAIN_POLL_S)
        for task in self._tasks:
            task.cancel()
