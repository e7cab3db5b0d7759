"""`POST /v1/chat/completions`: OpenAI's chat surface, streaming and not."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from router.api.access import gateway_of, json_object, principal_of
from router.errors import RungError
from router.service.once import KEY
from router.service.streaming import ClientDeparted, unless_client_leaves
from router.wire.body import ClientGone
from router.wire.errors import CLIENT_CLOSED_REQUEST
from router.wire.reading import headers_of


async def chat_completions(request: Request) -> ASGIApp:
    """Answer with the rung that the query deserves."""
    gateway = gateway_of(request)
    started = time.perf_counter()
    status, tier, cache, tenant = 500, "none", "none", ""
    try:
        principal = await principal_of(request)
        tenant = principal.tenant.id
        body = await json_object(request)
        headers = headers_of(request.scope["headers"])
        serving = gateway.once if KEY in headers else gateway.service
        work = serving.chat(principal, body, headers, request.scope["rung.request_id"])
        reply = await unless_client_leaves(work, request.receive)
        status, tier, cache = 200, reply.headers["x-rung-tier"], reply.headers["x-rung-cache"]
    except (ClientDeparted, ClientGone):
        status = CLIENT_CLOSED_REQUEST
        return Response(status_code=status)
    except RungError as error:
        status = error.status
        raise
    else:
        return reply
    finally:
        took_s = time.perf_counter() - started
        gateway.metrics.answered("chat", tier=tier, status=status, cache=cache, tenant=tenant, seconds=took_s)
