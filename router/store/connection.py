"""The way to the store: alone decides when it counts as away, says so once, and finds it again.

    up   -- a socket breaks, or an answer is late --> away: every waiting command fails
    away -- commands fail at once, in no time; a task tries again with growing pauses --> up

Every failure is a `StoreUnavailable` that names the remedy. The log gets one line per change of state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from hiredis import ReplyError

from router.errors import StoreUnavailable
from router.store.address import Address
from router.store.link import Link, LinkLost
from router.store.scripts import Ask, Reply, T, load_ask, refusal

log = logging.getLogger("rung.store")

REPLY_TIMEOUT_S = 0.15  # an outage must be answered within 250 ms, and the watchdog may be a quarter late
CONNECT_TIMEOUT_S = 0.15  # likewise: a request may find the link just broken and wait for the first new attempt
FIRST_PAUSE_S = 0.05  # a restart of the embedded server takes a tenth of a second
LONGEST_PAUSE_S = 1.0  # recovery is seen within about a second, at one attempt a second


class Unanswered(StoreUnavailable):
    """The commands were sent, and nobody knows whether they were executed."""


class Executor(Protocol):
    """Anything that carries asks to a server: one connection, a cluster, a test's recorder."""

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        """One round trip; a reply for each ask, errors among them as values. Raises StoreUnavailable, Unanswered."""
        ...

    async def ask(self, ask: Ask[T]) -> T:
        """One ask in one round trip. Raises StoreUnavailable, also where the server answers with an error."""
        ...


class Connection:
    """One multiplexed connection to one server, reopened by itself.

    Args:
        address: a URL, see `router.store.address`, or one that was read.
        reply_timeout_s: the longest wait for an answer. connect_timeout_s: for a socket with its greeting.
        on_return: called when the server was away and is found again: it may have forgotten the last moments.
    """

    def __init__(
        self,
        address: str | Address,
        *,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        on_return: Callable[[], None] | None = None,
    ) -> None:
        self.address = Address.parse(address) if isinstance(address, str) else address
        self._reply_timeout_s = reply_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._link: Link | None = None
        self._search: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()  # set while `away` once an attempt has failed
        self._reason = "not connected yet"
        self._away_since = 0.0
        self._closed = False
        self._loading: dict[str, asyncio.Task[list[Reply]]] = {}
        self.on_return = on_return

    @property
    def up(self) -> bool:
        """Whether the last that was heard of the server was good."""
        return self._link is not None

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: nobody answers there.
        """
        self._closed = False
        if self._link is None:
            try:
                self._adopt(await self._connect())
            except (OSError, LinkLost, TimeoutError) as error:
                self._reason = str(error) or type(error).__name__
                raise self._unavailable() from None

    async def close(self) -> None:
        """Close the socket and stop looking for the server."""
        self._closed = True
        if self._search is not None:
            self._search.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._search
            self._search = None
        if self._link is not None:
            self._link.close()

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        """Send the asks together.

        Returns:
            one reply per ask; errors of the server are values, read by `Ask.read`.

        Raises:
            StoreUnavailable: there is no link.
            Unanswered: it broke before the last answer.
        """
        replies = await self._exchange(asks)
        forgotten = [i for i, reply in enumerate(replies) if _forgot(reply) and asks[i].source]
        if forgotten:
            await self._load({asks[i].source for i in forgotten})
            again = await self._exchange([asks[i] for i in forgotten])
            for index, reply in zip(forgotten, again, strict=True):
                replies[index] = reply
        return replies

    async def ask(self, ask: Ask[T]) -> T:
        """Send one ask and read its reply. Raises StoreUnavailable."""
        (reply,) = await self.run(ask)
        return ask.read(reply)

    async def _load(self, sources: set[str]) -> None:
        """Load scripts; of many requests that miss the same one at once, the first does it for all."""
        for source in sources:
            if source not in self._loading:
                loading = asyncio.create_task(self._exchange([load_ask(source)]))
                self._loading[source] = loading
                loading.add_done_callback(partial(self._loaded, source))
            await asyncio.shield(self._loading[source])

    def _loaded(self, source: str, loading: asyncio.Task[list[Reply]]) -> None:
        self._loading.pop(source, None)
        if not loading.cancelled():
            loading.exception()  # whoever waits for it reports it; nobody may be left

    async def _exchange(self, asks: Sequence[Ask[Any]]) -> list[Reply]:
        """One trip. A script goes before its first use on a link: a second trip would let later questions overtake."""
        link = self._link or await self._first_attempt()
        fresh = {ask.source for ask in asks} - link.taught
        try:
            sent = link.send([load_ask(source).command for source in fresh] + [ask.command for ask in asks])
        except LinkLost as lost:
            self._reason = str(lost)
            raise self._unavailable() from None
        link.taught |= fresh
        try:
            return (await sent)[len(fresh) :]
        except LinkLost as lost:
            self._reason = str(lost)
            raise self._unavailable(Unanswered) from None

    async def _first_attempt(self) -> Link:
        """The link of a search that has just begun; one that has failed once fails everybody at once."""
        if self._search is not None and not self._tried.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tried.wait(), self._connect_timeout_s)
        if self._link is None:
            raise self._unavailable()
        return self._link

    async def _connect(self) -> Link:
        async with asyncio.timeout(self._connect_timeout_s):
            link = await self.address.open(lambda: Link(self._reply_timeout_s, self._lost))
            try:
                greeting = await link.send(self.address.greeting())
            except BaseException:
                link.close("the greeting was not answered")
                raise
        for reply in greeting:
            if isinstance(reply, ReplyError):
                link.close(str(reply))
                raise LinkLost(str(refusal(str(reply))))
        return link

    def _lost(self, link: Link, reason: str) -> None:
        """A link broke. Those of failed attempts were never the current one, and change nothing."""
        if link is not self._link:
            return
        if self._closed:
            self._link = None
            return
        loop = asyncio.get_running_loop()
        self._link, self._reason, self._away_since = None, reason, loop.time()
        self._tried = asyncio.Event()
        log.warning("store %s is away: money fails closed until it answers (%s)", self.address.shown, reason)
        self._search = loop.create_task(self._find(), name="rung-store-search")

    def _adopt(self, link: Link) -> None:
        """Take a link that answers, unless `open` was quicker."""
        if self._link is None:
            self._link = link
        else:
            link.close()

    async def _find(self) -> None:
        pause_s = FIRST_PAUSE_S
        while self._link is None:
            try:
                found = await self._connect()
            except (OSError, LinkLost, TimeoutError):
                self._tried.set()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self._adopt(found)
        self._tried.set()
        if self.on_return is not None:
            self.on_return()
        away_s = asyncio.get_running_loop().time() - self._away_since
        log.warning("store %s is back after %.1f s", self.address.shown, away_s)

    def _unavailable(self, kind: type[StoreUnavailable] = StoreUnavailable) -> StoreUnavailable:
        return kind(
            f"The store at {self.address.shown} does not answer ({self._reason})."
            " Start it, or correct its address, REDIS_URL or store.url (without one, an embedded server is started).",
            retry_after_s=1.0,
        )


def _forgot(reply: Reply) -> bool:
    return isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT")
