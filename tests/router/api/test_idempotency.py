"""A request with an idempotency key is worked on once, whatever its client does meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import httpx
import pytest

from router.testing import Answer, FakeUpstream, Fault
from tests.gateway import Running
from tests.router.api.conftest import Books, Loop

CHAT = "/v1/chat/completions"
_fresh = itertools.count()


def question(**more: Any) -> dict[str, Any]:
    """Never answered from the cache, so that only the key can spare a call."""
    body = {"model": "large", "messages": [{"role": "user", "content": "How are you?"}], "rung": {"cache": "off"}}
    return {**body, **more}


@pytest.fixture
def named() -> dict[str, str]:
    return {"idempotency-key": f"order {next(_fresh)}"}


def test_who_asks_again_gets_the_same_reply_and_pays_nothing(
    client: httpx.Client, upstream: FakeUpstream, books: Books, named: dict[str, str]
) -> None:
    first = client.post(CHAT, json=question(), headers=named)
    paid = books.settled()
    again = client.post(CHAT, json=question(), headers=named)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["x-rung-decision-id"] == first.headers["x-rung-decision-id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert "idempotent-replayed" not in first.headers
    assert len(upstream.received) == 1
    assert books.settled() == paid


def test_a_stream_is_told_again_as_it_was(client: httpx.Client, upstream: FakeUpstream, named: dict[str, str]) -> None:
    body = question(stream=True, stream_options={"include_usage": True})
    upstream.say(Answer(tool_calls=(("look", '{"at":"this"}'),), finish_reason="tool_calls", text=""))
    first, again = (client.post(CHAT, json=body, headers=named) for _ in range(2))
    assert again.text == first.text
    assert again.text.endswith("data: [DONE]\n\n")
    assert "tool_calls" in again.text
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(upstream.received) == 1


def test_the_key_of_another_body_is_refused(
    client: httpx.Client, upstream: FakeUpstream, named: dict[str, str]
) -> None:
    client.post(CHAT, json=question(), headers=named)
    for body, wish in ((question(max_tokens=9), {}), (question(), {"x-rung-quality": "0.9"})):
        reply = client.post(CHAT, json=body, headers={**named, **wish})
        assert (reply.status_code, reply.json()["error"]["code"]) == (422, "idempotency_key_reused")
        assert reply.json()["error"]["param"] == "idempotency-key"
    assert len(upstream.received) == 1


@pytest.mark.parametrize("name", ["", "x" * 300, "caf\u00e9"])
def test_an_odd_key_is_refused(client: httpx.Client, upstream: FakeUpstream, name: str) -> None:
    reply = client.post(CHAT, json=question(), headers=[(b"idempotency-key", name.encode("latin-1"))])
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "idempotency-key")
    assert not upstream.received


async def test_of_many_at_once_one_works_and_the_others_are_told_to_wait(
    gateway: Running, upstream: FakeUpstream, loop: Loop, named: dict[str, str]
) -> None:
    gate = asyncio.Event()
    upstream.say(Answer(gate=gate))
    async with httpx.AsyncClient(base_url=gateway.url, headers=gateway.headers, timeout=30) as client:
        asked = [asyncio.ensure_future(client.post(CHAT, json=question(), headers=named)) for _ in range(8)]
        refused = [await one for one in itertools.islice(asyncio.as_completed(asked), 7)]
        assert {reply.status_code for reply in refused} == {409}
        assert {reply.json()["error"]["code"] for reply in refused} == {"idempotency_key_in_use"}
        assert {reply.headers["retry-after"] for reply in refused} == {"1"}
        loop.loop.call_soon_threadsafe(gate.set)
        replies = await asyncio.gather(*asked)
        assert Counter(reply.status_code for reply in replies) == {409: 7, 200: 1}
    assert len(upstream.received) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_leaves_the_key_new(
    client: httpx.Client, upstream: FakeUpstream, named: dict[str, str], *, stream: bool
) -> None:
    broken = Answer(text="one two three", fault=Fault.RESET, fault_after=2) if stream else Answer(status=400)
    upstream.say(broken)
    client.post(CHAT, json=question(stream=stream), headers=named)
    again = client.post(CHAT, json=question(stream=stream), headers=named)
    assert again.status_code == 200
    assert "idempotent-replayed" not in again.headers
    assert len(upstream.received) == 2


def test_a_purge_forgets_what_a_key_stood_for(
    gateway: Running, client: httpx.Client, upstream: FakeUpstream, books: Books, named: dict[str, str]
) -> None:
    client.post(CHAT, json=question(), headers=named)
    gateway.booked()
    books.run(books.store.cache.purge("demo"))
    again = client.post(CHAT, json=question(), headers=named)
    assert again.status_code == 200
    assert "idempotent-replayed" not in again.headers
    assert len(upstream.received) == 2
