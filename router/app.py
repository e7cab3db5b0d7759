"""`create_app(settings)`: wiring and lifespan. Nothing is global: what requests share hangs off the application."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from router import __version__
from router.api import admin, chat, decisions, feedback, health, models, route, tenants
from router.api.openapi import describe
from router.configuration import settings as configuration
from router.configuration.settings import Settings
from router.errors import RungError
from router.gateway import open_gateway
from router.middleware import Envelope, HotPath
from router.resources.resources import Resources, start_resources
from router.telemetry import Metrics
from router.wire.body import ClientGone
from router.wire.errors import on_client_gone, on_http_error, on_rung_error, on_unexpected

CHAT_PATH = "/v1/chat/completions"


def create_app(
    settings: Settings | None = None,
    resources: Resources | None = None,
    *,
    on_ready: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The application.

    Args:
        settings: the configuration; read from the environment and `rung.yaml` where it is absent.
        resources: a store and a local model that somebody else has started (`rung serve` does, before it starts worker
            processes); otherwise the application starts what it needs and stops it at its end.
        on_ready: called once, when a request would not wait any more.
    """
    settings = settings or configuration.load()
    metrics = Metrics(
        tenant_label=settings.metrics_tenant_label,
        multiprocess_dir=os.environ.get("PROMETHEUS_MULTIPROC_DIR"),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            owned = resources
            if owned is None:
                owned = await asyncio.to_thread(start_resources, settings)
                stack.callback(owned.stop)
            app.state.gateway = await open_gateway(settings, owned, metrics, stack)
            telling = asyncio.create_task(_tell(app.state.gateway.warmed, on_ready))
            stack.callback(telling.cancel)
            yield

    app = _Application(
        title="Rung",
        version=__version__,
        summary="A difficulty-aware gateway in front of LLM providers.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,  # the redirect would be made of the client's Host header
    )
    app.router.routes.extend(_routes())
    app.add_exception_handler(RungError, on_rung_error)
    app.add_exception_handler(ClientGone, on_client_gone)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_unexpected)
    describe(app)
    # Outside of the framework's own layers, which each wrap every message that is sent.
    hot = HotPath(app.build_middleware_stack(), method="POST", path=CHAT_PATH, endpoint=chat.chat_completions)
    app.middleware_stack = Envelope(hot, in_flight=metrics.in_flight)
    return app


async def _tell(warmed: asyncio.Event, on_ready: Callable[[], None]) -> None:
    await warmed.wait()
    on_ready()


class _Application(FastAPI):
    """The framework without what it does around every request: of that, ours have their own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the process' beginning and end."""
        scope["app"] = self
        assert self.middleware_stack is not None  # noqa: S101 - `create_app` has built it
        await self.middleware_stack(scope, receive, send)


def _routes() -> list[BaseRoute]:
    return [
        Route(CHAT_PATH, chat.chat_completions, methods=["POST"]),
        Route("/v1/models", models.list_models, methods=["GET"]),
        Route("/v1/models/{model:path}", models.get_model, methods=["GET"]),
        Route("/v1/route", route.route, methods=["POST"]),
        Route("/v1/decisions/{decision_id}", decisions.get_decision, methods=["GET"]),
        Route("/v1/feedback", feedback.feedback, methods=["POST"]),
        Route("/v1/admin/tenants", tenants.list_tenants, methods=["GET"]),
        Route("/v1/admin/tenants/{tenant}", tenants.get_tenant, methods=["GET"]),
        Route("/v1/admin/alerts", tenants.list_alerts, methods=["GET"]),
        Route("/v1/admin/classifier", admin.get_classifier, methods=["GET"]),
        Route("/v1/admin/classifier/promote", admin.promote, methods=["POST"]),
        Route("/v1/admin/classifier/rollback", admin.rollback, methods=["POST"]),
        Route("/", health.root, methods=["GET"]),
        Route("/healthz", health.healthz, methods=["GET"]),
        Route("/readyz", health.readyz, methods=["GET"]),
        Route("/metrics", health.metrics, methods=["GET"]),
    ]
