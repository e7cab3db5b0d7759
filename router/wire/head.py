"""The head of a request on the socket: bounded in bytes and in time, and refused in our own error shape.

uvicorn hands over a request when its head is whole; how long that takes and how much memory it may fill is decided
here. Bodies have their own bounds (`router.wire.body`).
"""

from __future__ import annotations

import asyncio
import logging
import re
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from router.wire.body import WHOLE
from router.wire.errors import error_body

# What the server itself has to say. Its warnings are about what clients send, and anybody can send anything.
_SERVER = logging.getLogger("rung.server")
_SERVER.setLevel(logging.ERROR)
log = logging.getLogger("rung.head")

# Far above `router.middleware.MAX_HEADER_BYTES`, which answers a head that is only too large; this one ends a flood.
MAX_HEAD_BYTES = 128 * 1024
# An honest client sends its head in one packet; a slow line needs a few seconds.
HEAD_TIMEOUT_S = 15.0
# A wish for another protocol (Java's client asks for HTTP/2 beside its first request) may be ignored (RFC 9110, 7.8).
# The parser takes all that follows such a head for the other protocol, and the body with it; so the wish goes before.
_WISH = re.compile(rb"(?i)(?<=\r\n)upgrade(?=:)")
_IGNORED = b"ignored"


def _without_wish(data: bytes) -> bytes:
    head, end, rest = data.partition(b"\r\n\r\n")
    return _WISH.sub(_IGNORED, head) + end + rest if b"pgrade:" in head or b"PGRADE:" in head else data


class BoundedHead(HttpToolsProtocol):
    """uvicorn's fast HTTP protocol, without its trust in clients that never end their heads."""

    _incomplete = True  # a fresh connection owes a head
    _between = True  # no message is under way: a head begins the next bytes
    _bytes = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        self.logger = _SERVER
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came; where they do not end the head, they are counted and timed."""
        super().data_received(_without_wish(data) if self._between else data)
        if not self._incomplete:
            return
        self._bytes += len(data)
        if self._bytes > MAX_HEAD_BYTES:
            self._refuse(431, "headers_too_large", f"The request's head exceeds {MAX_HEAD_BYTES} bytes.")
        elif self._patience is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._incomplete = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes behind a body is none, and nobody in front of us has looked at it (RFC 9110 6.5.1)."""
        if self._incomplete:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._incomplete = self._between = False
        self._bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A message is whole."""
        self._between = True
        self.scope[WHOLE] = True  # type: ignore[typeddict-unknown-key] - the server's scopes have room for extensions
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets its answer in the shape of all errors."""
        log.debug("a client's bytes are no HTTP: %s", msg)
        self._refuse(400, "invalid_http", msg)

    def _await_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_TIMEOUT_S, self._late)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _late(self) -> None:
        self._patience = None
        if self._bytes:
            self._refuse(408, "request_timeout", f"The request's head did not arrive within {HEAD_TIMEOUT_S:g} s.")
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        if self.transport.is_closing():
            return
        body = orjson.dumps(error_body(message, "invalid_request_error", code))
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
