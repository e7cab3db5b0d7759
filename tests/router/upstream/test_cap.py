"""A model that thinks beyond its cap is cut while it streams; one that keeps to it never is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from policies.types import Control, Reasoning
from router.testing import Answer, FakeUpstream, Fault
from router.upstream.cap import SPARE_EVENTS, capped
from router.upstream.client import UpstreamClient
from router.upstream.tally import Tally
from router.upstream.types import UpstreamCall
from tests.patience import PATIENCE_S
from tests.router.upstream.models import call, model

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")  # LiteLLM's, of pydantic
ADVISORY = Reasoning(family="always", control=Control.ALWAYS, levels=(("on", 64),), can_disable=False)
CAP = 400


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    async with UpstreamClient() as client:
        await client.warm()
        yield client


def words(count: int) -> str:
    """Words of four characters, no two alike: LiteLLM takes a model that repeats itself for broken."""
    return "".join(f"{number:04} " for number in range(count))


def request(kind: str, fake: FakeUpstream, reasoning: Reasoning = ADVISORY, **body: Any) -> UpstreamCall:
    asked = call(replace(model(fake, kind), reasoning=reasoning), stream=True, **body)
    return replace(asked, max_tokens=CAP, allowance=64)


async def told(client: UpstreamClient, asked: UpstreamCall) -> tuple[list[dict[str, Any]], Tally]:
    async with client.stream(asked) as stream:
        raw = b"".join([frames async for frames in stream])
    return [orjson.loads(event.removeprefix(b"data: ")) for event in raw.split(b"\n\n") if event], stream.tally


@pytest.mark.parametrize("kind", ["relayed", "delegated"])
@pytest.mark.parametrize("part", ["text", "thinking"])
async def test_what_passes_the_cap_is_cut_with_length_and_the_call_is_closed(
    client: UpstreamClient, fake: FakeUpstream, kind: str, part: str
) -> None:
    said = words(2_000)
    answer = Answer(text=said) if part == "text" else Answer(text="done", thinking=said)
    fake.say(replace(answer, fault=Fault.STALL, fault_after=CAP + 20))  # it would go on, but later
    events, tally = await told(client, request(kind, fake))
    choice = events[-1]["choices"][0]
    assert (choice["finish_reason"], choice["delta"]) == ("length", {})
    assert events[-1]["id"] == events[0]["id"]
    assert tally.finish_reason == "length"
    assert tally.choices_finished == 1
    produced = tally.output_chars / len("word ")
    assert CAP <= produced <= (CAP + 20 if part == "text" else 2_000)
    assert not tally.usage.reported, "what was produced is estimated from what has passed"
    await asyncio.wait_for(fake.received[0].closed.wait(), PATIENCE_S)


@pytest.mark.parametrize("kind", ["relayed", "delegated"])
async def test_an_answer_within_its_cap_passes_whole(client: UpstreamClient, fake: FakeUpstream, kind: str) -> None:
    fake.say(Answer(text=words(CAP - 1) + "end"))
    events, tally = await told(client, request(kind, fake))
    assert tally.finish_reason == "stop"
    assert tally.text_chars == 5 * (CAP - 1) + 3
    assert tally.usage.reported
    assert events


@pytest.mark.parametrize("kind", ["relayed", "delegated"])
async def test_where_the_provider_enforces_the_allowance_nothing_is_counted(
    client: UpstreamClient, fake: FakeUpstream, kind: str
) -> None:
    fake.say(Answer(text=words(2_000)))
    _, tally = await told(client, request(kind, fake, replace(ADVISORY, hard_cap=True)))
    assert (tally.finish_reason, tally.text_chars) == ("stop", 10_000)


def chunk(text: str, index: int = 0, finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}


async def relay(tally: Tally, chunks: list[dict[str, Any]], ended: list[bool]) -> AsyncIterator[bytes]:
    try:
        for one in chunks:
            tally.chunk(one)
            yield b"data: " + orjson.dumps(one) + b"\n\n"
    finally:
        ended.append(True)


async def cut(chunks: list[dict[str, Any]], *, max_tokens: int, choices: int = 1) -> tuple[list[Any], list[str]]:
    tally, ended, closed = Tally(), [], []
    source: Any = relay(tally, chunks, ended)
    frames = [frame async for frame in capped(source, tally, max_tokens, choices, lambda: closed.append("closed"))]
    assert ended == [True]
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames], closed


async def test_the_events_count_where_they_are_short_and_the_characters_where_they_are_long() -> None:
    short, closed = await cut([chunk("a")] * 30, max_tokens=10)
    assert (len(short), closed) == (10 + SPARE_EVENTS + 2, ["closed"])
    long, closed = await cut([chunk("a" * 30)] * 10, max_tokens=10)
    assert (len(long), closed) == (4, ["closed"])
    exact, closed = await cut([chunk("a" * 30)] * 2 + [chunk("", finish="stop")], max_tokens=10)
    assert (len(exact), closed) == (3, [])


async def test_only_the_open_choices_are_finished_and_each_has_its_own_cap() -> None:
    chunks = [chunk("a" * 59, 0), chunk("", 0, "stop"), chunk("a" * 59, 1), chunk("aaa", 1), chunk("more", 1)]
    events, closed = await cut(chunks, max_tokens=10, choices=2)
    assert closed == ["closed"]
    assert [choice["index"] for choice in events[-1]["choices"]] == [1]
    assert len(events) == 5


async def test_an_answer_that_is_finished_is_not_cut_whatever_its_length() -> None:
    events, closed = await cut([chunk("a" * 1000, finish="stop")], max_tokens=10)
    assert (len(events), closed) == (1, [])


async def test_the_last_event_is_whole_and_bears_what_the_first_one_of_a_crowded_read_did() -> None:
    tally, said = Tally(), {"content": "a" * 70}
    first = {"id": "c", "created": 7, "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": None}]}
    second = {**first, "id": "other", "usage": None}

    async def source() -> AsyncGenerator[bytes]:
        for one in (first, second):
            tally.chunk(one)
        yield b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in (first, second))

    _, last = [frames async for frames in capped(source(), tally, 10, 1, lambda: None)]
    assert last.startswith(b"data: ")
    assert last.endswith(b"\n\n")
    assert orjson.loads(last.removeprefix(b"data: ")) == {
        "id": "c",
        "created": 7,
        "model": "m",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}],
    }
    assert (tally.finish_reason, tally.choices_finished) == ("length", 1)


async def test_a_stream_that_begins_with_something_odd_is_cut_all_the_same() -> None:
    tally = Tally()

    async def source() -> AsyncGenerator[bytes]:
        tally.chunk(chunk("a" * 70))
        yield b"data: [1]\n\n"

    _, last = [frames async for frames in capped(source(), tally, 10, 1, lambda: None)]
    assert set(orjson.loads(last.removeprefix(b"data: "))) == {"object", "choices"}
