"""One streamed answer: a provider's bytes in, whole events in OpenAI's format out, and the account of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import aiohttp

from router.upstream import faults
from router.upstream.beat import Beat
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
    beat: Beat,
) -> AsyncGenerator[bytes]:
    """The answer's events, as they come. `deadline` is in the event loop's time. Raises UpstreamError."""
    reader = EventReader()
    silence = _Silence(response.content, tally, deadline=deadline, stall_s=stall_s)
    try:
        while not translation.done:
            if tally.chunks:
                await beat.rest(response.connection)
            chunk = await _next_bytes(response.content, silence, name)
            if not chunk:
                break
            if frames := _frames(reader.feed(chunk), translation, tally):
                yield frames
    except EventTooLargeError:
        raise faults.garbage(name, "an event that does not end") from None
    finally:
        silence.end()
    if (rest := reader.close()) and not translation.done and (frames := _frames([rest], translation, tally)):
        yield frames
    if not translation.done and tally.choices_finished < choices:
        raise faults.garbage(name, "the stream ended in the middle of the answer")
    if not tally.chunks:
        raise faults.garbage(name, "a stream without an answer")


def _frames(payloads: list[bytes], translation: Translation, tally: Tally) -> bytes:
    out: list[bytes] = []
    for payload in payloads:
        if (frame := translation.event(payload, tally)) is not None:
            out += (b"data: ", frame, b"\n\n")
        if translation.done:
            break
    return b"".join(out)


async def _next_bytes(content: aiohttp.StreamReader, silence: _Silence, name: str) -> bytes:
    """The next bytes, b"" at the end."""
    silence.begins()
    try:
        return await content.readany()
    except TimeoutError:
        raise faults.timeout(
            name, "stalled in the middle of a stream" if silence.stalled else "took too long"
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        raise faults.from_exception(error, name) from None
    finally:
        silence.is_broken()


class _Silence:
    """Ends the wait for a provider that has gone silent. One timer per stream: one per chunk costs more than its relay.

    Before the first events the model may be thinking, so that silence may last until the deadline; from then on it may
    last `stall_s` seconds. What passes while nobody waits for the provider is the client's time, and no silence.

    Attributes:
        stalled: whether it was `stall_s` that has passed, and not the deadline (in the event loop's time).
    """

    def __init__(self, content: aiohttp.StreamReader, tally: Tally, *, deadline: float, stall_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._content = content
        self._tally = tally
        self._deadline = deadline
        self._stall_s = stall_s
        self._ends_at: float | None = None
        self.stalled = False
        self._timer = self._loop.call_at(min(deadline, self._loop.time() + stall_s), self._look)

    def begins(self) -> None:
        """Somebody waits for the next bytes."""
        stalls_at = self._loop.time() + self._stall_s if self._tally.chunks else self._deadline
        self._ends_at = min(self._deadline, stalls_at)
        if self._loop.time() >= self._deadline:
            self._content.set_exception(TimeoutError())

    def is_broken(self) -> None:
        """They have come."""
        self._ends_at = None

    def end(self) -> None:
        """Nothing more is waited for."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if self._ends_at is not None and now >= self._ends_at:
            self.stalled = self._ends_at < self._deadline
            self._content.set_exception(TimeoutError())
            return
        # A wait that begins later, or that the first events shorten, ends in a whole `stall_s`, or at the deadline.
        known = [at for at in (self._ends_at, self._deadline) if at is not None and at > now]
        self._timer = self._loop.call_at(min(now + self._stall_s, *known), self._look)
