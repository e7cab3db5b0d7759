"""One streamed answer: a provider's bytes in, whole events in OpenAI's format out, and the account of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import aiohttp

from router.upstream import faults
from router.upstream.sse import EventReader, EventTooLargeError
from router.upstream.tally import Tally
from router.upstream.translate import Translation
from router.upstream.types import Granted


class UpstreamStream:
    """Iterate over it to get the answer; leave its context to close the connection to the provider at once.

    Each item is one or more whole `data: ...` events, without the final `[DONE]` and without the event that
    carries only
    usage: whoever relays them writes their own end. A failure raises UpstreamError, after which nothing more
        comes.

    Attributes:
        tally: usage, finish reason, model and characters so far; complete when the iteration has ended.
        granted: what became of the allowance. request_id: the provider's own id of the request.
    """

    def __init__(
        self, source: AsyncGenerator[bytes], *, tally: Tally, granted: Granted, request_id: str | None = None
    ) -> None:
        self._source = source
        self.granted = granted
        self.request_id = request_id
        self.tally = tally

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._source

    async def aclose(self) -> None:
        """End the iteration where it stands; leaving the context does it."""
        await self._source.aclose()


async def events(
    response: aiohttp.ClientResponse,
    translation: Translation,
    tally: Tally,
    *,
    name: str,
    choices: int,
    deadline: float,
    stall_s: float,
) -> AsyncGenerator[bytes]:
    """The answer's events, as they come. `deadline` is in the event loop's time. Raises UpstreamError."""
    reader = EventReader()
    try:
        while not translation.done:
            chunk = await _next_bytes(response, tally, name=name, deadline=deadline, stall_s=stall_s)
            if not chunk:
                break
            if frames := _frames(reader.feed(chunk), translation, tally):
                yield frames
    except EventTooLargeError:
        raise faults.garbage(name, "an event that does not end") from None
    if (rest := reader.close()) and not translation.done and (frames := _frames([rest], translation, tally)):
        yield frames
    if not translation.done and tally.choices_finished < choices:
        raise faults.garbage(name, "the stream ended in the middle of the answer")


def _frames(payloads: list[bytes], translation: Translation, tally: Tally) -> bytes:
    out: list[bytes] = []
    for payload in payloads:
        if (frame := translation.event(payload, tally)) is not None:
            out += (b"data: ", frame, b"\n\n")
        if translation.done:
            break
    return b"".join(out)


async def _next_bytes(
    response: aiohttp.ClientResponse, tally: Tally, *, name: str, deadline: float, stall_s: float
) -> bytes:
    """The next bytes, b"" at the end. The first may take until the deadline: the model may be thinking."""
    stalls_at = asyncio.get_running_loop().time() + stall_s if tally.chunks else deadline
    try:
        async with asyncio.timeout_at(min(deadline, stalls_at)):
            return await response.content.readany()
    except TimeoutError:
        stalled = stalls_at < deadline
        raise faults.timeout(name, "stalled in the middle of a stream" if stalled else "took too long") from None
    except (aiohttp.ClientError, OSError) as error:
        raise faults.from_exception(error, name) from None
