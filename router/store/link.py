"""One socket to the store, shared by every request of the process: alone matches replies to commands.

    a batch of commands is queued -> all batches of one loop turn leave in one write -> replies come back in
    order -> a batch's future is resolved when its last reply is in

A caller that is cancelled leaves its batch in the queue, where the replies are still counted off and dropped,
so that no reply can reach another caller (redis-py's CVE-2023-28858 is that mistake). Any doubt about the
order closes the socket. Against redis-py's pool this costs an eighth of the time per request:
docs/adr/0031-one-multiplexed-socket.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

import hiredis

from router.store.scripts import Command, Reply

# hiredis' stub speaks of a tuple of one; it packs any number.
_pack = cast("Callable[[Command], bytes]", hiredis.pack_command)
_NOTHING = object()  # "the next reply is not complete yet"; False could be a reply

MAX_WAITING = 20_000  # batches: at 5 us each a tenth of a second's work; more means that the server does not keep up
TICKS_PER_TIMEOUT = 4  # the watchdog looks four times per time-out, so that one fires at most a quarter late


class LinkLost(Exception):
    """The socket is gone; whether the commands on it were executed is unknown."""


class _Batch:
    __slots__ = ("future", "replies", "sent_at", "wanted")

    def __init__(self, wanted: int, sent_at: float, future: asyncio.Future[list[Reply]]) -> None:
        self.wanted = wanted
        self.sent_at = sent_at
        self.future = future
        self.replies: list[Reply] = []


class Link(asyncio.Protocol):
    """A pipelined RESP2 connection.

    Args:
        timeout_s: the link closes when commands wait and the server has said nothing for so long.
        on_lost: called once, with this link and the reason, when the link is gone for any cause.

    Attributes:
        taught: the sources of the scripts that it has carried, and "" for commands that are none.
    """

    def __init__(self, timeout_s: float, on_lost: Callable[[Link, str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._waiting: deque[_Batch] = deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._forgiven = False
        self._lost = ""
        self.taught = {""}

    def send(self, commands: Sequence[Command]) -> asyncio.Future[list[Reply]]:
        """Queue commands; the future holds one reply each, errors among them as values.

        Raises:
            LinkLost: the link is gone or clogged.
        """
        if self._lost or len(self._waiting) >= MAX_WAITING:
            raise LinkLost(self._lost or "too many commands wait for it")
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.extend(_pack(command) for command in commands)
        self._waiting.append(_Batch(len(commands), self._loop.time(), future))
        if self._watch is None:
            self._arm()
        return future

    def close(self, reason: str = "it was closed") -> None:
        """Close at once and fail whatever waits."""
        if self._lost:
            return
        self._lost = reason
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        for batch in self._waiting:
            if not batch.future.done():
                batch.future.set_exception(LinkLost(reason))
        self._waiting.clear()
        self._on_lost(self, reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self.close(str(exc) if exc else "the server closed the connection")

    def data_received(self, data: bytes) -> None:
        """Count replies off against the oldest batch."""
        self._heard_at = self._loop.time()
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                self._accept(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self.close(f"it does not speak Redis' protocol ({type(error).__name__})")

    def _accept(self, reply: Reply) -> None:
        batch = self._waiting[0]
        batch.replies.append(reply)
        if len(batch.replies) == batch.wanted:
            self._waiting.popleft()
            if not batch.future.done():
                batch.future.set_result(batch.replies)

    def _flush(self) -> None:
        if self._transport is not None and not self._lost:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _arm(self) -> None:
        interval = self._timeout_s / TICKS_PER_TIMEOUT
        self._watch = self._loop.call_later(interval, self._tick, self._loop.time() + interval)

    def _tick(self, due: float) -> None:
        """Close where the server has been silent for too long. One that answers, if late, is only busy.

        A loop that itself stood still may first read the socket.
        """
        self._watch = None
        if not self._waiting:
            return
        now = self._loop.time()
        if now - max(self._waiting[0].sent_at, self._heard_at) < self._timeout_s:
            self._forgiven = False
            self._arm()
        elif now - due > self._timeout_s / TICKS_PER_TIMEOUT and not self._forgiven:
            self._forgiven = True
            self._arm()
        else:
            self.close(f"no answer within {self._timeout_s * 1000:.0f} ms")
