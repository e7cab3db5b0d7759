"""The one place where an exception becomes a reply, in OpenAI's error shape."""

from __future__ import annotations

import logging
import math
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from router.errors import BudgetExhausted, RungError

log = logging.getLogger("rung.errors")

# nginx's code for a client that closed the connection: nobody reads it but the metrics.
CLIENT_CLOSED_REQUEST = 499

_HTTP_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
}


def error_body(message: str, kind: str, code: str, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def as_body(error: RungError) -> dict[str, Any]:
    """The error object for one of ours; people count from one, so a position says where it begins."""
    told = f"{error.message} (Positions begin at [0].)" if "[" in (error.param or "") else error.message
    return error_body(told, error.type, error.code, error.param)


def as_sse(error: RungError) -> bytes:
    """The one event that ends a stream which failed after its first byte."""
    return b"data: " + orjson.dumps(as_body(error)) + b"\n\n"


def headers_of(error: RungError) -> dict[str, str]:
    """`Retry-After` where waiting helps; `x-should-retry: false` where it does not (the clients' SDKs read it)."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, BudgetExhausted):
        headers["x-should-retry"] = "false"
    if error.status == 401:  # noqa: PLR2004 - the HTTP status that RFC 9110 ties to this header
        headers["www-authenticate"] = 'Bearer realm="rung"'
    return headers


def reply_to(error: RungError, extra: dict[str, str] | None = None) -> Response:
    """The reply for one of our own errors."""
    return Response(
        orjson.dumps(as_body(error)),
        status_code=error.status,
        headers={**(extra or {}), **headers_of(error)},
        media_type="application/json",
    )


async def on_rung_error(request: Request, error: Exception) -> Response:
    """Handler for the whole tree of `router.errors`."""
    assert isinstance(error, RungError)  # noqa: S101 - registered for this class only
    request_id = request.scope.get("rung.request_id", "")
    return reply_to(error, {"x-request-id": request_id} if request_id else None)


async def on_client_gone(request: Request, error: Exception) -> Response:
    """Handler for a client that left before its request was whole: nobody reads the reply."""
    del request, error
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler for the framework's own errors: unknown routes and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    status = error.status_code
    path = str(request.scope["path"])[:200]  # not `request.url`: that one parses the client's Host, and may raise
    message = {
        404: f"There is no {request.method} {path} here. GET /openapi.json lists the routes.",
        405: f"{path} does not take {request.method}.",
    }.get(status, str(error.detail))
    body = error_body(message, "invalid_request_error", _HTTP_CODES.get(status, "http_error"))
    return Response(orjson.dumps(body), status, headers=dict(error.headers or {}), media_type="application/json")


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Handler of last resort: the client learns nothing of the inside, the log everything."""
    log.error("unexpected error at %s %s", request.method, request.scope["path"][:200], exc_info=error)
    body = error_body("Rung failed unexpectedly; the operator's log has the details.", "server_error", "internal_error")
    return Response(orjson.dumps(body), 500, media_type="application/json")
