"""`GET /healthz`, `/readyz` and `/metrics`: for the machines that watch the gateway; no key, no secrets."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from router import __version__
from router.api.access import gateway_of, json_reply
from router.errors import StoreUnavailable


async def root(request: Request) -> Response:
    """What this is, for whoever opens its address in a browser."""
    del request
    body = {
        "name": "rung",
        "what": "a difficulty-aware gateway in front of LLM providers",
        "version": __version__,
        "base_url": "/v1 (OpenAI's format; Authorization: Bearer <key>)",
        "endpoints": {
            "chat": "/v1/chat/completions",
            "models": "/v1/models",
            "dry_run": "/v1/route",
            "description": "/openapi.json",
            "alive": "/healthz",
            "ready": "/readyz",
            "metrics": "/metrics",
        },
        "docs": "docs/README.md in the distribution; `rung --help` lists the commands",
    }
    return json_reply(body)


async def healthz(request: Request) -> Response:
    """Whether the process lives."""
    del request
    return json_reply({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether it can serve at once: warmed up, the store answers, a model can be called, it is not shutting down."""
    gateway = gateway_of(request)
    problems: list[str] = []
    if gateway.draining:
        problems.append("shutting down")
    if not gateway.warmed.is_set():
        problems.append("warming up: the providers' library is being loaded (some seconds)")
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
