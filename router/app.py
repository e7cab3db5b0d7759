"""`create_app(settings)`: wiring and lifespan. Nothing is global: what requests share hangs off the application."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

import classifier
from policies.types import Attempt
from router import __version__
from router import settings as configuration
from router.alerting import Alerting
from router.answering import Answering
from router.api import admin, chat, decisions, feedback, health, models, route, tenants
from router.api.openapi import describe
from router.decision_log.place import log_url
from router.dispatch import Dispatcher
from router.errors import RungError, StoreUnavailable, UpstreamError
from router.estimation import Estimator
from router.health import Health
from router.ladder import Ladder
from router.live import Live, configure
from router.middleware import Envelope, HotPath
from router.once import Once
from router.outcomes.aftermath import Aftermath
from router.outcomes.checkers import make_checkers
from router.pepper import read_pepper
from router.resources import Resources, start_resources
from router.semantics import may_be_asked
from router.service import Service
from router.settings import Settings
from router.settlement import Settler
from router.shadowing import Shadowing
from router.store import Store
from router.swap import ClassifierWatch
from router.telemetry import Metrics
from router.tenants import declare_tenants
from router.upstream.client import UpstreamClient
from router.wire.body import ClientGone
from router.wire.errors import on_client_gone, on_http_error, on_rung_error, on_unexpected

log = logging.getLogger("rung")

# The collector's default wakes every 700 allocations and walks everything that start-up left: p99 pays for it.
GC_THRESHOLD = 50_000
# The log's writer may be away for as long as the records live (a week): 100 MB a tenant at the very most.
LISTED_FOR_THE_LOG = 1_000_000

# A leak of tasks takes minutes to matter; counting thousands of them takes a millisecond.
TASKS_COUNTED_EVERY_S = 2.0

CHAT_PATH = "/v1/chat/completions"


@dataclass(slots=True, kw_only=True)
class Gateway:
    """The parts that the requests of one process share."""

    live: Live
    store: Store
    estimator: Estimator
    service: Service
    once: Once
    metrics: Metrics
    settler: Settler
    health: Health
    aftermath: Aftermath | None = None
    classifiers: ClassifierWatch | None = None
    draining: bool = False
    warmed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.live.current.settings

    @property
    def ladder(self) -> Ladder:
        """The ladder in force."""
        return self.live.current.ladder


def create_app(settings: Settings | None = None, resources: Resources | None = None) -> FastAPI:
    """The application.

    Args:
        settings: the configuration; read from the environment and `rung.yaml` where it is absent.
        resources: a store and a local model that somebody else has started (`rung serve` does, before it starts worker
            processes); otherwise the application starts what it needs and stops it at its end.
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
            app.state.gateway = await _open(settings, owned, metrics, stack)
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


async def _open(settings: Settings, resources: Resources, metrics: Metrics, stack: AsyncExitStack) -> Gateway:
    """Open everything that a gateway needs, in order; `stack` closes it in reverse."""
    pepper = read_pepper(settings)
    live = Live(configure(settings, os.environ, resources.local_model), local=resources.local_model)
    patience_s = settings.store.timeout_ms / 1000
    store = await Store.connect(
        resources.store_url,
        pepper=pepper,
        memory=settings.store.data_dir / "store" / "epoch",
        reply_timeout_s=patience_s,
        connect_timeout_s=patience_s,
    )
    stack.push_async_callback(store.close)
    if log_url(settings) is not None:
        store.decisions.listed = LISTED_FOR_THE_LOG
    await declare_tenants(store, settings, demo_key=resources.demo_key)
    await store.decisions.keep_rules(live.current.rules_id, live.current.rules)
    estimator = Estimator(
        await asyncio.to_thread(classifier.load, settings.classifier.artefact, encoder=settings.classifier.encoder),
        timeout_s=settings.classifier.timeout_ms / 1000,
        recent=settings.classifier.recent_scores,
    )
    stack.callback(estimator.close)
    watch, shadowing = await _follow_registry(settings, store, estimator, metrics, stack)
    upstream = await stack.enter_async_context(UpstreamClient(gather_s=settings.server.stream_gather_ms / 1000))
    settler = Settler(store)
    breakers = Health(
        threshold=lambda: live.current.settings.breaker_failures,
        on_open=lambda model: metrics.breakers.labels(model).inc(),
    )
    dispatcher = Dispatcher(upstream, _failure_counter(metrics), breakers)
    aftermath = _aftermath(settings, store, metrics)
    answering = Answering(dispatcher=dispatcher, settler=settler, metrics=metrics, aftermath=aftermath)
    alerting = Alerting(store, metrics, lambda: live.current.settings.alerts)
    service = Service(
        live=live,
        store=store,
        estimator=estimator,
        answering=answering,
        metrics=metrics,
        health=breakers,
        pepper=pepper,
        logging=log_url(settings) is not None,
        shadowing=shadowing,
        refused=alerting.refused,
    )
    gateway = Gateway(
        live=live,
        store=store,
        estimator=estimator,
        service=service,
        once=Once(service, store, settler, live, pepper),
        metrics=metrics,
        settler=settler,
        health=breakers,
        aftermath=aftermath,
        classifiers=watch,
    )
    if may_be_asked(settings):
        reader = await asyncio.to_thread(lambda: service.semantics.reader)
        await store.search_near(reader.dimensions)
    stack.push_async_callback(_drain, gateway)
    works = [settler.keep_alive(), _warm(upstream, gateway.warmed), breakers.share(store.health), _count_tasks(metrics)]
    if aftermath is not None:
        works.append(aftermath.run())
    if watch is not None:
        works.append(watch.run())
    works.append(alerting.run())
    path = configuration.configured_path(os.environ)
    if path is not None:
        works.append(live.watch(path, _after_reload(live, store, metrics, resources.demo_key)))
    for work in works:
        task = asyncio.create_task(work)
        stack.push_async_callback(_cancel, task)
    return gateway


async def _follow_registry(
    settings: Settings, store: Store, estimator: Estimator, metrics: Metrics, stack: AsyncExitStack
) -> tuple[ClassifierWatch | None, Shadowing | None]:
    """Put the registry's classifiers in force before the first request, and follow it from then on."""
    metrics.show_classifiers({"active": estimator.version}, 0)
    if settings.registry.folder is None:
        return None, None
    shipped = estimator.arrangement.everyone.active
    watch = ClassifierWatch(settings.registry, store.classifiers, estimator, metrics, shipped=shipped)
    await watch.look()
    shadowing = Shadowing(estimator, metrics, sample=settings.registry.shadow_sample)
    stack.callback(shadowing.close)
    return watch, shadowing


def _aftermath(settings: Settings, store: Store, metrics: Metrics) -> Aftermath | None:
    """What looks at answers afterwards, where there is a log to tell it to."""
    if log_url(settings) is None:
        return None
    checkers = make_checkers(settings.log.checkers)
    return Aftermath(store, metrics, checkers=checkers, reliability=settings.log.reliability)


def _failure_counter(metrics: Metrics) -> Callable[[Attempt, UpstreamError], None]:
    def count(attempt: Attempt, error: UpstreamError) -> None:
        metrics.upstream_errors.labels(attempt.model, error.code).inc()

    return count


def _after_reload(
    live: Live, store: Store, metrics: Metrics, demo_key: str | None
) -> Callable[[Settings | None], Awaitable[None]]:
    async def changed(settings: Settings | None) -> None:
        metrics.reloads.labels("refused" if settings is None else "in force").inc()
        if settings is not None:
            with contextlib.suppress(StoreUnavailable):  # the tenants of before go on; the next change tries again
                await store.decisions.keep_rules(live.current.rules_id, live.current.rules)
                await declare_tenants(store, settings, demo_key=demo_key)

    return changed


async def _warm(upstream: UpstreamClient, warmed: asyncio.Event) -> None:
    """Import LiteLLM behind the open door, then put all that start-up left out of the collector's sight.

    Requests that come before are answered, but wait; so the gateway is not called ready.
    """
    await upstream.warm()
    warmed.set()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


async def _count_tasks(metrics: Metrics) -> None:
    while True:
        metrics.tasks.set(len(asyncio.all_tasks()))
        await asyncio.sleep(TASKS_COUNTED_EVERY_S)


async def _drain(gateway: Gateway) -> None:
    gateway.draining = True
    await gateway.settler.drain(gateway.settings.server.drain_timeout_s)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
