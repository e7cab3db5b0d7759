"""How long a stream may be silent: told by a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from router.errors import UpstreamTimeout
from router.upstream.stream import _next_bytes, _Silence  # pyright: ignore[reportPrivateUsage] - its timing is its own matter
from router.upstream.tally import Tally
from tests.patience import PATIENCE_S

NO_END = 3600.0


class Content:
    """What a response's content does here: bytes that come, or a failure that is set from outside."""

    def __init__(self) -> None:
        self.news: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def readany(self) -> bytes:
        return await self.news

    def set_exception(self, error: BaseException) -> None:
        if self.news.done():
            self.news = asyncio.get_running_loop().create_future()
        self.news.set_exception(error)


def silence_of(content: Content, *, after: float, stall_s: float, begun: bool) -> _Silence:
    tally = Tally()
    tally.chunks = int(begun)
    deadline = asyncio.get_running_loop().time() + after
    return _Silence(cast("Any", content), tally, deadline=deadline, stall_s=stall_s)


async def test_a_stream_that_has_begun_may_be_silent_for_the_stall_time_only() -> None:
    content = Content()
    silence = silence_of(content, after=NO_END, stall_s=0.02, begun=True)
    with pytest.raises(UpstreamTimeout, match="stalled"):
        await asyncio.wait_for(_next_bytes(cast("Any", content), silence, "m"), PATIENCE_S)


async def test_a_model_that_thinks_may_be_silent_until_the_deadline() -> None:
    content = Content()
    silence = silence_of(content, after=0.1, stall_s=0.01, begun=False)
    with pytest.raises(UpstreamTimeout, match="took too long"):
        await asyncio.wait_for(_next_bytes(cast("Any", content), silence, "m"), PATIENCE_S)
    assert not silence.stalled


async def test_a_client_that_is_slow_is_no_stall_of_the_provider() -> None:
    content = Content()
    silence = silence_of(content, after=NO_END, stall_s=0.01, begun=True)
    looked = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, looked.set)
    await asyncio.wait_for(looked.wait(), PATIENCE_S)  # nobody waits for the provider meanwhile
    content.news.set_result(b"more")
    assert await _next_bytes(cast("Any", content), silence, "m") == b"more"
    silence.end()


async def test_a_deadline_that_passed_meanwhile_ends_the_next_wait_at_once() -> None:
    content = Content()
    silence = silence_of(content, after=-1.0, stall_s=NO_END, begun=True)
    with pytest.raises(UpstreamTimeout, match="took too long"):
        await asyncio.wait_for(_next_bytes(cast("Any", content), silence, "m"), PATIENCE_S)
    silence.end()
