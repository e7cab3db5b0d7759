"""A whole answer on its way to the client: JSON bytes and headers, sent as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Reply:
    """An ASGI response; `headers` says everything but the body's type and length."""

    body: bytes
    headers: Mapping[str, str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            *raw_headers(self.headers),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As ASGI takes them; names are in lower case already."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
