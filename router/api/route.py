"""`POST /v1/route`: a dry run. The whole ladder as a priced menu, and what would be chosen, before a token is spent."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from router.api.access import gateway_of, json_object, json_reply, principal_of
from router.wire.reading import headers_of


async def route(request: Request) -> Response:
    """Quote a chat request: the same body as for a completion, no call made, nothing reserved."""
    principal = await principal_of(request)
    body = await json_object(request)
    body.setdefault("model", "auto")
    quote = await gateway_of(request).service.quote(
        principal, body, headers_of(request.scope["headers"]), request.scope["rung.request_id"]
    )
    return json_reply(quote)
