"""Clients that leave: the call upstream ends with them, what was made is billed, nothing stays held."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
from typing import Any

import aiohttp
import httpx
import pytest

from router.testing import Answer, FakeUpstream, Fault
from tests.gateway import Running
from tests.patience import PATIENCE_S, Stopwatch
from tests.router.api.conftest import Books, Loop
from tests.serving import until

_fresh = itertools.count()
WITHIN_S = 1.0
MANY = 200


def question(**fields: Any) -> bytes:
    messages = [{"role": "user", "content": f"How far is town number {next(_fresh)}?"}]
    return json.dumps({"model": "large", "messages": messages, "rung": {"cache": "off"}, **fields}).encode()


def dial(gateway: Running, body: bytes, *, declared: int | None = None) -> socket.socket:
    """A connection that has sent a request, and perhaps not all of it."""
    host, port = gateway.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body) if declared is None else declared}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


async def happened(event: asyncio.Event) -> None:
    with Stopwatch() as watch:
        await asyncio.wait_for(event.wait(), PATIENCE_S)
    assert watch.own_s < WITHIN_S


def gate_of(loop: Loop) -> asyncio.Event:
    async def make() -> asyncio.Event:
        return asyncio.Event()

    return loop.run(make())


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "whole"])
def test_who_leaves_before_the_first_byte_ends_the_call_and_pays_an_estimate(
    gateway: Running, upstream: FakeUpstream, loop: Loop, books: Books, stream: bool
) -> None:
    before = books.settled()
    upstream.say(Answer(gate=gate_of(loop)))
    connection = dial(gateway, question(stream=stream))
    received = loop.run(asyncio.wait_for(upstream.arrived(), PATIENCE_S))
    connection.close()
    loop.run(happened(received.closed))
    assert books.settled() > before


def test_who_leaves_in_the_middle_of_a_stream_pays_for_what_was_made(
    gateway: Running, upstream: FakeUpstream, loop: Loop, books: Books
) -> None:
    before = books.settled()
    upstream.say(Answer(text="one two three four five", fault=Fault.STALL, fault_after=3))
    connection = dial(gateway, question(stream=True))
    heard = b""
    while b"two" not in heard:
        heard += connection.recv(65_536)
    connection.close()
    received = loop.run(upstream.arrived())
    loop.run(happened(received.closed))
    spent = books.settled() - before
    made_chars = len("one two ")
    assert spent >= -(-made_chars // 4) * 25_000


def left_at(gateway: Running, word: bytes, **fields: Any) -> str:
    """Leave a stream when a word of it has come; returns the decision's id."""
    connection = dial(gateway, question(stream=True, **fields))
    heard = b""
    while word not in heard:
        heard += connection.recv(65_536)
    connection.close()
    return heard.partition(b"x-rung-decision-id: ")[2].partition(b"\r\n")[0].decode()


def test_an_answer_in_other_letters_is_estimated_by_its_bytes(
    gateway: Running, upstream: FakeUpstream, books: Books
) -> None:
    before, words = books.settled(), "\u4e00\u4e8c\u4e09\u56db " * 20
    upstream.say(Answer(text=f"{words}end and more", fault=Fault.STALL, fault_after=22))
    left_at(gateway, b"end")
    assert books.settled() - before >= len(words.encode()) // 4 * 25_000


def test_who_leaves_before_hidden_thinking_is_told_pays_what_was_expected_of_it(
    gateway: Running, upstream: FakeUpstream, client: httpx.Client, books: Books
) -> None:
    proof = [{"role": "user", "content": f"Prove that there are infinitely many primes congruent to {next(_fresh)}."}]
    asked: dict[str, Any] = {"messages": proof, "reasoning_effort": "high", "rung": {"cache": "off", "quality": 1.0}}
    paid: dict[bool, int] = {}
    for shown in (False, True):
        thinking = "Let me think." if shown else ""
        upstream.say(Answer(thinking=thinking, text="one two three four", fault=Fault.STALL, fault_after=4))
        before = books.settled()
        record_id = left_at(gateway, b"two", **asked)
        paid[shown] = books.settled() - before
        plan = client.get(f"/v1/decisions/{record_id}").json()["receipt"]["plan"][0]
        assert plan["allowance"] > 0
        expected = plan["expected_cost_nano"]
        assert (paid[shown] < expected) if shown else (paid[shown] == expected)
    assert paid[True] > 0


def test_who_leaves_at_the_end_of_a_stream_pays_the_provider_s_bill(
    gateway: Running, upstream: FakeUpstream, books: Books
) -> None:
    before = books.settled()
    upstream.say(Answer(input_tokens=100, output_tokens=10))
    connection = dial(gateway, question(stream=True))
    heard = b""
    while b"[DONE]" not in heard:
        heard += connection.recv(65_536)
    connection.close()
    assert books.settled() - before == 100 * 5_000 + 10 * 25_000


def test_who_leaves_in_the_middle_of_the_body_costs_nothing_and_logs_nothing(
    gateway: Running, upstream: FakeUpstream, books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    before = books.settled()
    dial(gateway, b'{"model":', declared=1_000).close()
    answer = dial(gateway, question())
    assert b"200 OK" in answer.recv(65_536)
    answer.close()
    assert len(upstream.received) == 1
    assert books.settled() > before
    assert [record for record in caplog.records if record.exc_info] == []


def test_two_hundred_requests_that_are_cancelled_at_random_leave_nothing_behind(
    gateway: Running, upstream: FakeUpstream, loop: Loop, books: Books
) -> None:
    before = books.settled()
    chance = random.Random(20_261_121)  # noqa: S311 - a storm that is the same at every run

    async def storm() -> int:
        """How many were answered."""
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(limit=0)
        headers = {**gateway.headers, "content-type": "application/json"}
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:

            async def ask(number: int) -> int:
                body = question(stream=number % 2 == 0)
                async with session.post(f"{gateway.base_url}/chat/completions", data=body) as reply:
                    text = await reply.text()
                    assert reply.status == 200, text
                    return number

            tasks = [asyncio.create_task(ask(number)) for number in range(MANY)]
            for task in tasks[::2] + tasks[1::4]:
                asyncio.get_running_loop().call_later(chance.uniform(0, 1.0), task.cancel)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, int | asyncio.CancelledError) for result in results)
            return sum(isinstance(result, int) for result in results)

    assert 0 < loop.run(storm()) <= MANY
    until(lambda: in_flight(gateway) == 1, "the end of all requests but the one that asks")
    gateway.booked()
    assert books.settled() > before


def in_flight(gateway: Running) -> float:
    lines = httpx.get(f"{gateway.url}/metrics", timeout=30).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("rung_requests_in_flight "))


def test_after_a_storm_without_departures_the_books_are_the_provider_s_bill(
    gateway: Running, upstream: FakeUpstream, loop: Loop, books: Books
) -> None:
    before = books.settled()

    async def storm() -> None:
        async with aiohttp.ClientSession(headers={**gateway.headers, "content-type": "application/json"}) as session:

            async def ask(number: int) -> None:
                body = question(stream=number % 2 == 0)
                async with session.post(f"{gateway.base_url}/chat/completions", data=body) as reply:
                    await reply.read()

            await asyncio.gather(*(ask(number) for number in range(100)))

    loop.run(storm())
    billed = sum(bill.input * 5_000 + bill.output * 25_000 for bill in upstream.bills)
    assert len(upstream.bills) == 100
    assert books.settled() - before == billed
