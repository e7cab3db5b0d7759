"""Reading a request's body: bounded, in time, and as one JSON object; every way that it can be wrong has its error."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any, cast

import jiter
import orjson
from starlette.types import Message, Receive

from router.errors import BodyTooLarge, BodyTooSlow, InvalidJSON, Overloaded, UnsupportedMedia

# Keys and values of one body. A parser makes an object of each while the event loop stands still, half a second for so
# many; ten thousand messages of several parts have a third of them.
MAX_VALUES = 600_000
# In the scope of a request whose last byte has come: its body is there, and nothing has to be waited for.
WHOLE = "rung.body_is_whole"
_NO_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'",:[{')


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class Coming:
    """The bodies of a process that are not whole yet, in bytes: their senders take their time, and memory.

    Args:
        most: bytes that may be held of all together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def take(self, size: int) -> None:
        """Make room for some bytes more. Raises Overloaded."""
        if self.held + size > self._most:
            raise Overloaded(
                f"More than {self._most} bytes of bodies are on their way (setting `server.max_coming_bytes`); send it"
                " again in a moment.",
                retry_after_s=1,
            )
        self.held += size


async def read_body(
    headers: Mapping[bytes, bytes],
    receive: Receive,
    *,
    max_bytes: int,
    timeout_s: float,
    coming: Coming,
    whole: bool = False,
) -> bytes:
    """The whole body.

    Args:
        headers: the request's headers, names in lower case.
        receive: ASGI's receive.
        max_bytes: the largest body that is taken.
        timeout_s: seconds within which all of it must have arrived. whole: it has arrived; no clock is set.
        coming: what else is on its way to this process.

    Raises:
        UnsupportedMedia: not JSON by its content type, or compressed.
        BodyTooLarge: over the limit, by its declared length or by its bytes.
        BodyTooSlow: not whole in time.
        Overloaded: too much is on its way already.
        ClientGone: the connection was closed.
    """
    _check_headers(headers, max_bytes)
    message = await receive() if whole else await _in_time(receive, timeout_s)
    if message["type"] == "http.disconnect":
        raise ClientGone
    if not message.get("more_body", False):
        return _within(message.get("body", b""), max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(message, receive, max_bytes, coming)
    except TimeoutError:
        raise BodyTooSlow(f"The body did not arrive within {timeout_s:g} s.") from None


def _check_headers(headers: Mapping[bytes, bytes], max_bytes: int) -> None:
    media = headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    if media != b"application/json" and not (media.startswith(b"application/") and media.endswith(b"+json")):
        raise UnsupportedMedia("Send the body as JSON, with `content-type: application/json`.")
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise UnsupportedMedia("Compressed bodies are not taken; send plain JSON without `content-encoding`.")
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {max_bytes} bytes (setting `server.max_body_bytes`).")


def _within(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


async def _in_time(receive: Receive, timeout_s: float) -> Message:
    try:
        async with asyncio.timeout(timeout_s):
            return await receive()
    except TimeoutError:
        raise BodyTooSlow(f"The body did not arrive within {timeout_s:g} s.") from None


async def _collect(message: Message, receive: Receive, max_bytes: int, coming: Coming) -> bytes:
    parts = bytearray()
    try:
        while True:
            part = message.get("body", b"")
            coming.take(len(part))
            parts += part
            if len(parts) > max_bytes:
                raise _too_large(max_bytes)
            if not message.get("more_body", False):
                return bytes(parts)
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
    finally:
        coming.held -= len(parts)


def parse_object(body: bytes) -> dict[str, Any]:
    """One JSON object in UTF-8, without duplicate keys, NaN, infinity, a byte-order mark or absurd depth.

    Raises:
        InvalidJSON: what is wrong and where (line and column).
        BodyTooLarge: more than `MAX_VALUES` parts.
    """
    if not body.strip():
        raise InvalidJSON("The body is empty; send one JSON object.")
    if len(body) > 2 * MAX_VALUES and _count_parts(body) > MAX_VALUES:  # each takes two bytes or more
        raise BodyTooLarge(f"The body holds more than {MAX_VALUES} keys and values; send fewer, or longer ones.")
    try:
        value = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise InvalidJSON(f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidJSON("The body must be one JSON object, not an array or a bare value.")
    try:
        written = orjson.dumps(value)  # what cannot be written again cannot be passed on; 25 us for 100 KB
    except TypeError:
        raise InvalidJSON("The body holds an integer of more than 64 bits, which few JSON parsers take.") from None
    # What no double can hold is written as null; a look at every number is worth its time only where nulls are new.
    if written.count(b"null") != body.count(b"null") and _holds_infinity(value):
        raise InvalidJSON("The body holds a number beyond all that JSON parsers can take (1.8e308).")
    return cast("dict[str, Any]", value)


def _count_parts(body: bytes) -> int:
    """How many keys and values a JSON object holds, an empty list or object being one; 3 ms a megabyte.

    What stands inside of strings is none. Of more than `MAX_VALUES` strings, their number.
    """
    skeleton = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NO_STRUCTURE)
    strings = skeleton.count(b'"') // 2
    return strings if strings > MAX_VALUES else sum(map(len, skeleton.split(b'"')[::2]))


def _holds_infinity(value: object) -> bool:
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and math.isinf(item):
            return True
        if isinstance(item, dict):
            waiting.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            waiting.extend(cast("list[Any]", item))
    return False
