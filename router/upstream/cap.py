"""The cap on a stream's tokens where only `max_tokens` bounds the thinking: counted while it passes, cut at the cap.

A provider that keeps to `max_tokens` never meets this. One that thinks beyond it would spend more than was set aside:
its call is closed then, and the client's stream ends as any answer that reached its cap, with `length`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import orjson

from router.upstream.tally import Tally

# An event carries a token or more, and a token of English four characters, hardly ever six: so an answer that is within
# its cap by the provider's own count is not cut, and one that is beyond it by half always is.
MOST_CHARS_PER_TOKEN = 6
SPARE_EVENTS = 4  # per choice: the role, the finish, and what some providers say beside


async def capped(
    source: AsyncGenerator[bytes], tally: Tally, max_tokens: int, choices: int, end: Callable[[], None]
) -> AsyncGenerator[bytes]:
    """The frames, up to the cap; then one more that finishes every open choice with `length`.

    Args:
        source: of `UpstreamStream`; it is closed where it is cut. tally: its running account.
        max_tokens: of each choice, thinking included. choices: how many were asked for.
        end: closes the call at the provider, so that it produces no more.
    """
    most_events = choices * (max_tokens + SPARE_EVENTS)
    most_chars = choices * max_tokens * MOST_CHARS_PER_TOKEN
    head = b""
    async for frames in source:
        head = head or frames
        yield frames
        beyond = tally.chunks > most_events or tally.output_chars > most_chars
        if beyond and tally.choices_finished < choices:
            end()
            await source.aclose()
            yield _length(head, tally, choices)
            return


def _length(head: bytes, tally: Tally, choices: int) -> bytes:
    """The event that ends the open choices; it bears the id of the first one (`head`)."""
    first: object = orjson.loads(head.removeprefix(b"data: ").partition(b"\n\n")[0])
    known = cast("dict[str, Any]", first) if isinstance(first, dict) else {}
    named = {name: known[name] for name in ("id", "created", "model") if name in known}
    listed = [{"index": index, "delta": {}, "finish_reason": "length"} for index in tally.open_choices(choices)]
    event = {**named, "object": "chat.completion.chunk", "choices": listed}
    tally.chunk(event)
    return b"data: " + orjson.dumps(event) + b"\n\n"
