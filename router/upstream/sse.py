"""Server-sent events out of bytes that may be split anywhere, also inside a UTF-8 character."""

from __future__ import annotations

import re

# Two of the three line ends that the specification allows; atomic, because `\r\n` is one line end and not
# two.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
# One event larger than this is not a chunk of an answer: without a bound, an upstream could fill our memory.
MAX_EVENT_BYTES = 16 * 1024 * 1024


class EventTooLargeError(ValueError):
    """An event grew past `MAX_EVENT_BYTES` without ending."""


class EventReader:
    """Cuts a byte stream into the data payloads of its events; comments and other fields are dropped.

    A payload is the event's `data` lines joined by newlines, as bytes: decoding happens on whole payloads
    only.
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that this chunk completes, in order. Raises EventTooLargeError."""
        buffer = self._buffer + chunk if self._buffer else chunk
        blocks = buffer.split(b"\n\n") if b"\r" not in buffer else _BLANK_LINE.split(buffer)
        self._buffer = blocks.pop()
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise EventTooLargeError
        return [payload for block in blocks if (payload := _payload(block)) is not None]

    def close(self) -> bytes | None:
        """The payload of an event that ended with the stream instead of a blank line, or None."""
        block, self._buffer = self._buffer, b""
        return _payload(block)


def _payload(block: bytes) -> bytes | None:
    if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
