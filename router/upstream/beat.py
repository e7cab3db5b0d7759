"""When many streams are open, they wake this process together: alone decides how long their chunks are gathered.

A process that is woken for every chunk of every stream spends more on waking than on relaying. So from `FROM_STREAMS`
on, a stream that has given its first events leaves the next bytes in the kernel until the common beat, and takes then
what has come: one event or a few. See docs/adr/0053-many-streams-wake-together.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import aiohttp

# Fewer streams are relayed chunk by chunk: there is little to share.
FROM_STREAMS = 8


class Beat:
    """One per process and event loop.

    Args:
        gather_s: seconds from the first stream that rests to the beat: the longest that a chunk is held; 0 holds none.
    """

    def __init__(self, gather_s: float) -> None:
        self._gather_s = gather_s
        self._streams = 0
        self._next: asyncio.Event | None = None

    @contextmanager
    def stream(self) -> Generator[None]:
        """While a stream is open."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def rest(self, connection: aiohttp.connector.Connection | None) -> None:
        """Take nothing from a connection that is still open until the next beat; with few streams, go on at once."""
        transport = None if connection is None else connection.transport
        if transport is None or self._gather_s <= 0 or self._streams < FROM_STREAMS:
            return
        transport.pause_reading()
        try:
            await self._beat().wait()
        finally:
            if not transport.is_closing():
                transport.resume_reading()

    def _beat(self) -> asyncio.Event:
        if self._next is None:
            self._next = asyncio.Event()
            asyncio.get_running_loop().call_later(self._gather_s, self._strike)
        return self._next

    def _strike(self) -> None:
        struck, self._next = self._next, None
        assert struck is not None  # noqa: S101 - made by `_beat`, which ordered this
        struck.set()
