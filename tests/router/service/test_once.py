"""A claim ends with its reply, whatever becomes of the reply: over a real store, with a service of the test's own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from router.configuration.live import Live
from router.errors import IdempotencyInFlight, IdempotencyMismatch
from router.money.settlement import Settler
from router.service.once import KEY, Once
from router.service.reply import Reply
from router.service.service import Service
from router.service.streaming import DONE, EventStream
from router.store import Claim, Key, Principal, Store, Tenant
from tests import store_servers
from tests.store_servers import PEPPER, opened

HEADERS = {KEY: b"order 1"}
ACME = Principal(tenant=Tenant(id="acme"), key=Key(id="k", tenant="acme", mac=""), organisation=None)
LIVE = SimpleNamespace(
    current=SimpleNamespace(
        settings=SimpleNamespace(
            server=SimpleNamespace(request_timeout_s=60.0), cache=SimpleNamespace(max_answer_bytes=10_000)
        )
    )
)


class FakeService:
    """Answers with a stream or a whole reply, when the gate is open."""

    def __init__(self, *, stream: bool) -> None:
        self.stream, self.calls, self.gate, self.asked = stream, 0, asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.closed = 0

    async def chat(self, *_: Any) -> Reply | EventStream:
        self.calls += 1
        self.asked.set()
        await self.gate.wait()
        return EventStream(self._frames(), {}) if self.stream else Reply(body=b"{}", headers={})

    async def _frames(self) -> AsyncGenerator[bytes]:
        try:
            yield b"data: {}\n\n"
            yield DONE
        finally:
            self.closed += 1


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    with store_servers.running("valkey", tmp_path) as server:
        async with opened(server.url) as made:
            await made.directory.create_tenant("acme")
            yield made


class Door:
    """`Once` in front of a fake service."""

    def __init__(self, store: Store, *, stream: bool) -> None:
        self.service, self._settler = FakeService(stream=stream), Settler(store)
        self._once = Once(cast("Service", self.service), store, self._settler, cast("Live", LIVE), PEPPER)

    async def ask(self, **body: Any) -> Reply | EventStream:
        return await self._once.chat(ACME, body, HEADERS, "req_1")

    async def rest(self) -> None:
        await self._settler.drain(10)


async def test_a_stream_that_nobody_began_to_read_gives_its_claim_up(store: Store) -> None:
    door = Door(store, stream=True)
    reply = await door.ask()
    assert isinstance(reply, EventStream)
    await reply.frames.aclose()  # the client left before its first byte
    await door.rest()
    again = await door.ask()
    assert isinstance(again, EventStream)
    assert [frame async for frame in again.frames] == [b"data: {}\n\n", DONE]
    assert door.service.calls == 2


async def test_a_stream_that_its_client_leaves_is_closed_at_once(store: Store) -> None:
    door = Door(store, stream=True)
    reply = await door.ask()
    assert isinstance(reply, EventStream)
    assert await anext(reply.frames) == b"data: {}\n\n"
    await reply.frames.aclose()
    assert door.service.closed == 1


async def test_a_request_that_is_cancelled_gives_its_claim_up(store: Store) -> None:
    door = Door(store, stream=False)
    door.service.gate.clear()
    asking = asyncio.create_task(door.ask())
    await door.service.asked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await door.rest()
    door.service.gate.set()
    assert isinstance(await door.ask(), Reply)
    assert door.service.calls == 2


async def test_who_leaves_while_its_key_is_claimed_leaves_the_key_new(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, take = Door(store, stream=False), store.claims.take

    async def cut(claim: Claim, *, lease_s: float) -> Any:
        await take(claim, lease_s=lease_s)
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(store.claims, "take", cut)
        with pytest.raises(asyncio.CancelledError):
            await door.ask()
    await door.rest()
    assert isinstance(await door.ask(), Reply)
    assert door.service.calls == 1


async def test_of_two_bodies_under_one_key_at_once_one_is_worked_on_and_no_other_is_told_its_reply(
    store: Store,
) -> None:
    door = Door(store, stream=False)
    door.service.gate.clear()
    asking = [asyncio.create_task(door.ask(which=number % 2)) for number in range(40)]
    for refused in itertools.islice(asyncio.as_completed(asking), 39):
        with pytest.raises((IdempotencyInFlight, IdempotencyMismatch)):
            await refused
    door.service.gate.set()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    kinds = [type(end) for end in ends]
    worked = kinds.index(Reply)
    assert (kinds.count(Reply), kinds.count(IdempotencyInFlight), kinds.count(IdempotencyMismatch)) == (1, 19, 20)
    assert {kinds[at] for at in range(1 - worked % 2, 40, 2)} == {IdempotencyMismatch}
    assert door.service.calls == 1
