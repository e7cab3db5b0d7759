"""`GET /healthz`, `/readyz` and `/metrics`: for the machines that watch the gateway; no key, no secrets."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from router.api.access import gateway_of, json_reply
from router.errors import StoreUnavailable


async def healthz(request: Request) -> Response:
    """Whether the process lives."""
    del request
    return json_reply({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether it can serve: the store answers, a model can be called, and it is not shutting down."""
    gateway = gateway_of(request)
    problems: list[str] = []
    if gateway.draining:
        problems.append("shutting down")
    try:
        await gateway.store.ping()
    except StoreUnavailable as error:
        problems.append(error.message)
    if not any(model.available for model in gateway.ladder.catalog.models):
        problems.append("no model has a key")
    body = {
        "status": "not ready" if problems else "ready",
        "problems": problems,
        "classifier": gateway.estimator.version,
        "catalog": gateway.ladder.catalog.version,
        "configuration_refused": gateway.live.refused or None,
    }
    return json_reply(body, 503 if problems else 200)


async def metrics(request: Request) -> Response:
    """The metrics in Prometheus' text format."""
    content, media_type = gateway_of(request).metrics.render()
    return Response(content, headers={"content-type": media_type})
