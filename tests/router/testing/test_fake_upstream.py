"""The fake provider keeps honest books, and lies exactly as it is told."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from router.testing import Answer, FakeUpstream, Fault
from tests.patience import PATIENCE_S

BODY = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}


async def test_it_bills_each_answer_by_the_words_or_by_the_script() -> None:
    async with FakeUpstream() as fake, aiohttp.ClientSession() as session:
        fake.say(Answer(text="four five"), Answer(input_tokens=10, output_tokens=20), Answer(status=500))
        for _ in range(3):
            async with session.post(f"{fake.openai_base}/chat/completions", json=BODY):
                pass
        # "user" is a word of the messages as well.
        assert [(bill.input, bill.output) for bill in fake.bills] == [(4, 2), (10, 20)]
        assert fake.billed_nano == (4 + 10) * 1_000 + (2 + 20) * 4_000


async def test_it_bills_what_it_began_although_nobody_stayed() -> None:
    held = asyncio.Event()
    async with FakeUpstream() as fake, aiohttp.ClientSession() as session:
        fake.say(Answer(text="four five", between=held))
        response = await session.post(f"{fake.openai_base}/chat/completions", json=BODY | {"stream": True})
        received = await fake.arrived()
        response.close()
        await asyncio.wait_for(received.closed.wait(), PATIENCE_S)
        assert len(fake.bills) == 1


async def test_it_may_report_another_usage_than_it_bills() -> None:
    async with FakeUpstream() as fake, aiohttp.ClientSession() as session:
        fake.say(Answer(output_tokens=100, usage={"prompt_tokens": 1, "completion_tokens": 1}))
        async with session.post(f"{fake.openai_base}/chat/completions", json=BODY) as response:
            reply = await response.json()
        assert reply["usage"] == {"prompt_tokens": 1, "completion_tokens": 1}
        assert fake.bills[0].output == 100


async def test_it_logs_what_it_received() -> None:
    async with FakeUpstream() as fake, aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer k"}
        async with session.post(f"{fake.url}/v1/messages", json=BODY, headers=headers) as response:
            assert (await response.json())["type"] == "message"
        (received,) = fake.received
        assert received.path == "/v1/messages"
        assert received.body == BODY
        assert received.headers["Authorization"] == "Bearer k"
        assert received.done.is_set()


@pytest.mark.parametrize("path", ["chat/completions", "messages"])
async def test_a_gate_holds_the_answer_until_it_is_opened(path: str) -> None:
    gate = asyncio.Event()
    async with FakeUpstream() as fake, aiohttp.ClientSession() as session:
        fake.say(Answer(gate=gate))
        asking = asyncio.create_task(session.post(f"{fake.url}/v1/{path}", json=BODY))
        await fake.arrived()
        assert not asking.done()
        gate.set()
        response = await asking
        assert response.status == 200
        response.close()


async def test_stalled_answers_do_not_outlive_the_fake() -> None:
    async with aiohttp.ClientSession() as session:
        async with FakeUpstream(Answer(fault=Fault.STALL)) as fake:
            asking = asyncio.create_task(_answer(session, f"{fake.openai_base}/chat/completions"))
            await fake.arrived()
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(asking, PATIENCE_S)


async def _answer(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.post(url, json=BODY) as response:
        return await response.read()
