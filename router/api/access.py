"""What every endpoint starts with: the gateway behind the application, the principal behind the key, the body."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from router.auth import authenticate
from router.errors import DRAINING, Draining
from router.gateway import Gateway
from router.store import INFERENCE, Principal
from router.wire.body import WHOLE, parse_object, read_body


def gateway_of(request: Request) -> Gateway:
    """The parts that this process' requests share."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def principal_of(request: Request, scope: str = INFERENCE) -> Principal:
    """Who asks; comes before any work on the body. Raises InvalidKey, Forbidden, StoreUnavailable, Draining."""
    gateway = gateway_of(request)
    if gateway.draining:
        raise Draining(DRAINING, retry_after_s=1)
    return await authenticate(gateway.store.directory, request.scope["headers"], scope=scope)


async def json_object(request: Request, *, max_bytes: int | None = None) -> dict[str, Any]:
    """The body as one JSON object, of `max_bytes` where that is less than the setting.

    Raises the errors of `router.wire.body`.
    """
    server = gateway_of(request).settings.server
    limit = server.max_body_bytes if max_bytes is None else min(max_bytes, server.max_body_bytes)
    headers: dict[bytes, bytes] = dict(request.scope["headers"])
    whole = WHOLE in request.scope
    body = await read_body(
        headers,
        request.receive,
        max_bytes=limit,
        timeout_s=server.body_timeout_s,
        coming=gateway_of(request).coming,
        whole=whole,
    )
    return parse_object(body)


def json_reply(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON reply."""
    return Response(orjson.dumps(content), status, headers=headers, media_type="application/json")
