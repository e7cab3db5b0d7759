"""Many streams take their bytes at one beat; few take them as they come."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast

from router.testing import Answer, FakeUpstream
from router.upstream.beat import FROM_STREAMS, Beat
from router.upstream.client import UpstreamClient
from tests.router.upstream.models import call, model

LONG_S = 3600.0  # a beat that never comes within a test


@dataclass
class FakeTransport:
    """Notes what is asked of it."""

    asked: list[str] = field(default_factory=list)
    closing: bool = False

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def is_closing(self) -> bool:
        return self.closing


@dataclass
class FakeConnection:
    transport: FakeTransport | None = field(default_factory=FakeTransport)


def connection(transport: FakeTransport | None) -> Any:
    return cast("Any", FakeConnection(transport))


async def test_few_streams_never_rest() -> None:
    beat, transport = Beat(LONG_S), FakeTransport()
    with ExitStack() as open_streams:
        for _ in range(FROM_STREAMS - 1):
            open_streams.enter_context(beat.stream())
        await beat.rest(connection(transport))
    assert transport.asked == []


async def test_many_streams_rest_until_one_beat_and_then_read_again() -> None:
    beat = Beat(0.001)
    transports = [FakeTransport() for _ in range(FROM_STREAMS)]
    with ExitStack() as open_streams:
        for _ in transports:
            open_streams.enter_context(beat.stream())
        resting = [asyncio.ensure_future(beat.rest(connection(one))) for one in transports]
        await asyncio.sleep(0)
        assert [one.asked for one in transports] == [["pause"]] * FROM_STREAMS
        await asyncio.gather(*resting)
    assert [one.asked for one in transports] == [["pause", "resume"]] * FROM_STREAMS


async def test_a_stream_that_is_left_while_it_rests_disturbs_no_other() -> None:
    beat, left, kept = Beat(0.001), FakeTransport(), FakeTransport()
    with ExitStack() as open_streams:
        for _ in range(FROM_STREAMS):
            open_streams.enter_context(beat.stream())
        leaving = asyncio.ensure_future(beat.rest(connection(left)))
        staying = asyncio.ensure_future(beat.rest(connection(kept)))
        await asyncio.sleep(0)
        left.closing = True
        leaving.cancel()
        await staying
    assert leaving.cancelled()
    assert left.asked == ["pause"]
    assert kept.asked == ["pause", "resume"]


async def test_a_connection_that_has_ended_is_not_waited_for() -> None:
    beat = Beat(LONG_S)
    with ExitStack() as open_streams:
        for _ in range(FROM_STREAMS):
            open_streams.enter_context(beat.stream())
        await beat.rest(None)
        await beat.rest(connection(None))


async def test_gathered_streams_lose_nothing() -> None:
    text = " ".join(f"word{number}" for number in range(40))
    async with FakeUpstream(Answer(text=text)) as fake, UpstreamClient(gather_s=0.002) as client:

        async def one() -> str:
            async with client.stream(call(model(fake), stream=True)) as stream:
                told = b"".join([frames async for frames in stream])
                assert stream.tally.text_chars == len(text)
            return told.decode()

        told = await asyncio.gather(*[one() for _ in range(3 * FROM_STREAMS)])
    for answer in told:
        assert answer.count("word") == 40
        assert answer.endswith("\n\n")
