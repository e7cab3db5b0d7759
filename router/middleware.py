"""What happens around every request: its id, its bounds on headers, and the count of those in flight."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable

import orjson
from prometheus_client import Gauge
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.errors import DRAINING, Draining, RungError
from router.wire.errors import error_body, on_rung_error, on_unexpected, reply_to

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# uvicorn's own limit on the head is 64 KB; ours is on what honest clients send.
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
_KEYS = frozenset({b"authorization", b"x-api-key"})


class HotPath:
    """Pure ASGI middleware: serves one route without the framework's layers, which cost a tenth of a request's time.

    What the framework would do for it is done here: the errors of the endpoint become replies in the same way.

    Args:
        app: what serves everything else.
        method, path: of the one route.
        endpoint: answers it.
    """

    def __init__(
        self, app: ASGIApp, *, method: str, path: str, endpoint: Callable[[Request], Awaitable[ASGIApp]]
    ) -> None:
        self._app = app
        self._method = method
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the route, or pass the request on."""
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != self._method:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            reply = await self._endpoint(request)
        except RungError as error:
            reply = await on_rung_error(request, error)
        except Exception as error:  # noqa: BLE001 - the handler of last resort logs it
            reply = await on_unexpected(request, error)
        await reply(scope, receive, send)


class Envelope:
    """Pure ASGI middleware: gives each request an id, refuses swollen heads, and counts what is in flight.

    `scope["rung.request_id"]` holds the id; every reply bears it as `x-request-id`.
    """

    def __init__(self, app: ASGIApp, *, in_flight: Gauge) -> None:
        self._app = app
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on inside its envelope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["rung.request_id"] = request_id

        answered = False

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers = message.setdefault("headers", [])
                if not any(name == b"x-request-id" for name, _ in headers):
                    message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            return send(message)

        if _swollen(scope):
            await _refuse(send_with_id)
            return
        self._in_flight.inc()
        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the process ends and may wait no longer; streams see to it themselves
            if answered:
                raise
            await reply_to(Draining(DRAINING, retry_after_s=1))(scope, receive, send_with_id)
        finally:
            self._in_flight.dec()


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode()
    return "req_" + secrets.token_hex(12)


def _swollen(scope: Scope) -> bool:
    """Whether there are too many headers, or too long ones. An endless key is no key, which its reader says (401)."""
    headers = scope["headers"]
    return len(headers) > MAX_HEADERS or sum(len(n) + len(v) for n, v in headers if n not in _KEYS) > MAX_HEADER_BYTES


async def _refuse(send: Send) -> None:
    message = f"The request's headers exceed {MAX_HEADERS} lines or {MAX_HEADER_BYTES} bytes."
    body = orjson.dumps(error_body(message, "invalid_request_error", "headers_too_large"))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
