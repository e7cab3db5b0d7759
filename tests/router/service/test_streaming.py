"""The relay of a stream: heartbeats, departures, clients that stop reading, a process that has to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from router.service.streaming import (
    HEARTBEAT,
    ClientDeparted,
    EventStream,
    unless_client_leaves,
)
from tests.patience import PATIENCE_S

SHORT_S = 0.01


class Client:
    """The other end of an ASGI connection."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self.heard: list[bytes] = []
        self.news = asyncio.Condition()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        async with self.news:
            self.heard.append(message.get("body", b"start"))
            self.news.notify_all()

    async def hears(self, chunk: bytes) -> None:
        async with self.news:
            await self.news.wait_for(lambda: chunk in self.heard)


class Source:
    """Frames that come when they are told to, and a note of their closing."""

    def __init__(self) -> None:
        self.more = asyncio.Event()
        self.closed = False

    async def frames(self) -> AsyncGenerator[bytes]:
        try:
            yield b"one"
            await self.more.wait()
            yield b"two"
        finally:
            self.closed = True


def relay(stream: EventStream, client: Client) -> asyncio.Task[None]:
    return asyncio.create_task(stream({"type": "http"}, client.receive, client.send))


async def test_a_stream_is_told_to_its_end() -> None:
    client, source = Client(), Source()
    source.more.set()
    await relay(EventStream(source.frames(), {}), client)
    assert client.heard == [b"start", b"one", b"two", b""]
    assert source.closed


async def test_a_silent_stream_is_kept_alive() -> None:
    client, source = Client(), Source()
    task = relay(EventStream(source.frames(), {}, heartbeat_s=SHORT_S), client)
    await asyncio.wait_for(client.hears(HEARTBEAT), PATIENCE_S)
    source.more.set()
    await task
    assert client.heard[-2:] == [b"two", b""]


async def test_a_departure_ends_the_relay_and_closes_the_frames() -> None:
    client, source = Client(), Source()
    task = relay(EventStream(source.frames(), {}), client)
    await client.hears(b"one")
    client.gone.set()
    await asyncio.wait_for(task, PATIENCE_S)
    assert source.closed
    assert client.heard == [b"start", b"one"]


async def test_a_client_that_reads_nothing_is_taken_for_gone() -> None:
    client, source = Client(), Source()
    task = relay(EventStream(source.frames(), {}, heartbeat_s=SHORT_S), client)
    await client.hears(b"one")
    client.reads.clear()
    source.more.set()
    await asyncio.wait_for(task, PATIENCE_S)
    assert source.closed
    assert b"two" not in client.heard


async def test_a_process_that_stops_ends_its_streams_with_a_farewell() -> None:
    client, source = Client(), Source()
    task = relay(EventStream(source.frames(), {}, farewell=b"bye"), client)
    await client.hears(b"one")
    task.cancel()
    await task
    assert source.closed
    assert client.heard == [b"start", b"one", b"bye"]


async def test_work_is_cancelled_as_soon_as_the_client_has_gone() -> None:
    client = Client()
    cancelled = asyncio.Event()

    async def work() -> None:
        client.gone.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(ClientDeparted):
        await unless_client_leaves(work(), client.receive)
    await asyncio.wait_for(cancelled.wait(), PATIENCE_S)


async def test_work_s_result_and_its_errors_are_handed_on() -> None:
    client = Client()

    async def fine() -> int:
        return 7

    async def broken() -> int:
        raise ValueError("broken")

    assert await unless_client_leaves(fine(), client.receive) == 7
    with pytest.raises(ValueError, match="broken"):
        await unless_client_leaves(broken(), client.receive)
