"""The relay of server-sent events to a client: one frame at a time, paced by the client, ended by its departure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from router.service.reply import raw_headers

T = TypeVar("T")

# Proxies and browsers cut connections that are silent for 30 to 60 s; a comment line keeps them, and clients skip it.
HEARTBEAT_S = 15.0
HEARTBEAT = b": still working\n\n"
# A client that takes nothing for so long (two minutes) has gone without a word: its hold and its call go with it.
PATIENCE_HEARTBEATS = 8

DONE = b"data: [DONE]\n\n"


def frame(payload: bytes) -> bytes:
    """One server-sent event."""
    return b"data: " + payload + b"\n\n"


class EventStream:
    """An ASGI response that relays frames.

    The frames are an async generator that settles its own books when it is closed; closing it is this class's promise,
    whether the stream ends, fails, or the client goes away. Nothing is buffered: the next frame is asked for when the
    last one is on its way.

    Args:
        frames: the events, each a whole `data: ...` block in bytes; kept as an attribute.
        headers: the reply's headers; kept as an attribute.
        heartbeat_s: seconds of silence after which a comment line is sent; a client that reads nothing for
            `PATIENCE_HEARTBEATS` times as long is taken for gone.
        farewell: the event that ends the stream where this process has to stop before it does.
    """

    def __init__(
        self,
        frames: AsyncGenerator[bytes],
        headers: Mapping[str, str],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        farewell: bytes = b"",
    ) -> None:
        self.frames = frames
        self.headers = headers
        self._heartbeat_s = heartbeat_s
        self._farewell = farewell
        self._moved = False
        self._sending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay until the end or until the client has gone."""
        del scope
        relay = asyncio.current_task()
        assert relay is not None  # noqa: S101 - an ASGI application runs in a task
        watcher = asyncio.create_task(self._watch(receive, send, relay))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self._raw_headers()})
            async for chunk in self.frames:
                self._moved = self._sending = True
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                self._sending = False
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            relay.uncancel()
            await self.frames.aclose()
            if not watcher.done():  # cancelled by the server, not by the client's departure
                await send({"type": "http.response.body", "body": self._farewell, "more_body": False})
        finally:
            watcher.cancel()
            await self.frames.aclose()

    async def _watch(self, receive: Receive, send: Send, relay: asyncio.Task[Any]) -> None:
        """Keep a silent connection alive, and end the relay when the client has gone."""
        news = asyncio.ensure_future(receive())
        stuck = 0
        try:
            while stuck < PATIENCE_HEARTBEATS:
                done, _ = await asyncio.wait({news}, timeout=self._heartbeat_s)
                if done and news.result()["type"] == "http.disconnect":
                    break
                if done:
                    news = asyncio.ensure_future(receive())
                elif not self._moved and not self._sending:
                    await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
                stuck = stuck + 1 if self._sending and not self._moved and not done else 0
                self._moved = False
            relay.cancel()
        finally:
            news.cancel()

    def _raw_headers(self) -> list[tuple[bytes, bytes]]:
        kind = (b"content-type", b"text/event-stream; charset=utf-8")
        return [kind, (b"cache-control", b"no-store"), *raw_headers(self.headers)]


class ClientDeparted(Exception):
    """The client closed the connection while its answer was being made."""


async def unless_client_leaves(work: Awaitable[T], receive: Receive) -> T:
    """The result of `work`, which is cancelled as soon as the client has gone.

    Raises:
        ClientDeparted: the client closed the connection first.
    """
    worker = asyncio.current_task()
    assert worker is not None  # noqa: S101 - an ASGI application runs in a task
    watcher = asyncio.create_task(_cancel_on_departure(receive, worker))
    try:
        return await work
    except asyncio.CancelledError:
        if not watcher.done():  # cancelled by the server, not by the client's departure
            raise
        worker.uncancel()
        raise ClientDeparted from None
    finally:
        watcher.cancel()


async def _cancel_on_departure(receive: Receive, worker: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    worker.cancel()
