"""Identical requests at the same moment make one call, and a flight that fails keeps nobody waiting."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import httpx
import pytest

from router.store.flights import LEASE_S
from router.testing import Answer, FakeUpstream
from tests.gateway import Running

_fresh = itertools.count()
AT_ONCE = 40


def question() -> dict[str, Any]:
    return {"model": "large", "messages": [{"role": "user", "content": f"Single flight number {next(_fresh)}?"}]}


async def ask_at_once(gateway: Running, body: dict[str, Any], times: int) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=times)
    async with httpx.AsyncClient(base_url=gateway.url, headers=gateway.headers, timeout=30, limits=limits) as client:
        return await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(times)))


async def test_identical_requests_make_one_call(gateway: Running, upstream: FakeUpstream) -> None:
    replies = await ask_at_once(gateway, question(), AT_ONCE)
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    assert len(upstream.received) == 1
    assert Counter(reply.headers["x-rung-cache"] for reply in replies) == {"miss": 1, "hit": AT_ONCE - 1}


async def test_a_leader_that_fails_lets_another_one_call(gateway: Running, upstream: FakeUpstream) -> None:
    upstream.say(Answer(status=400, error={"message": "no", "type": "invalid_request_error"}))
    replies = await ask_at_once(gateway, question(), 5)
    assert Counter(reply.status_code for reply in replies) == {400: 1, 200: 4}


async def test_an_answer_that_may_not_be_kept_is_nobody_else_s(gateway: Running, upstream: FakeUpstream) -> None:
    upstream.say(Answer(finish_reason="length", text="cut"))
    replies = await ask_at_once(gateway, question(), 5)
    texts = Counter(reply.json()["choices"][0]["message"]["content"] for reply in replies)
    assert texts["cut"] == 1
    assert texts["The answer is 42."] == 4


async def test_who_asks_afresh_waits_for_nobody(gateway: Running, upstream: FakeUpstream) -> None:
    await ask_at_once(gateway, {**question(), "rung": {"cache": "refresh"}}, 4)
    assert len(upstream.received) == 4


def test_a_model_that_would_refuse_a_parameter_is_left_out_of_the_choice(
    client: httpx.Client, upstream: FakeUpstream
) -> None:
    body = {**question(), "model": "auto", "logit_bias": {"1": 1}}
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    assert upstream.received[0].body["logit_bias"] == {"1": 1}


@pytest.mark.parametrize("trip", ["opening", "follow"])
async def test_who_leaves_while_the_store_gives_it_the_lead_keeps_nobody_waiting(
    gateway: Running, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, trip: str
) -> None:
    store, body, left = gateway.gateway.store, question(), asyncio.Event()
    part: Any = store if trip == "opening" else store.flights
    made, look = getattr(part, trip), store.flights.look

    async def cut(*words: Any, **named: Any) -> Any:
        """The first time, the client is gone when the store's answer comes."""
        if left.is_set():
            return await made(*words, **named)
        left.set()
        if trip == "opening":
            await made(*words, **named)
        else:
            await store.flights.land(words[0], words[1], "another", stored=True)  # its leader has just died
            await look(*words, **named)
        raise asyncio.CancelledError

    if trip == "follow":
        opened = store.opening

        async def led(*words: Any, **named: Any) -> Any:
            if not left.is_set():
                await look(words[0], named["cache_key"], "another")
            return await opened(*words, **named)

        monkeypatch.setattr(store, "opening", led)
    monkeypatch.setattr(part, trip, cut)
    async with httpx.AsyncClient(base_url=gateway.url, headers=gateway.headers, timeout=30) as client:
        gone = await client.post("/v1/chat/completions", json=body)
        assert left.is_set()
        assert gone.status_code == 503  # a cancellation without a departure: the process would be ending
        began = asyncio.get_running_loop().time()
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        assert asyncio.get_running_loop().time() - began < LEASE_S / 3
    assert len(upstream.received) == 1
