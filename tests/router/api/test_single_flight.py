"""Identical requests at the same moment make one call, and a flight that fails keeps nobody waiting."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import httpx

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
