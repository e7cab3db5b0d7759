"""One gateway: the parts that the requests of a process share, how they are opened in order, and what runs beside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import classifier
from policies.types import Attempt
from router.configuration import settings as configuration
from router.configuration.ladder import Ladder
from router.configuration.live import Live, configure
from router.configuration.settings import Settings
from router.decision_log.entry import Logging
from router.decision_log.place import log_url
from router.dispatch.dispatcher import Dispatcher
from router.dispatch.health import Health
from router.errors import StoreUnavailable, UpstreamError
from router.estimation.estimator import Estimator
from router.estimation.second_look import SecondLooks, load_second_look
from router.estimation.swap import ClassifierWatch
from router.money.settlement import Settler
from router.outcomes.aftermath import Aftermath
from router.outcomes.checkers import make_checkers
from router.resources.pepper import read_pepper
from router.resources.resources import Resources
from router.service.answering import Answering
from router.service.deciding import Deciding
from router.service.intake import Intake
from router.service.looking import Looking
from router.service.once import Once
from router.service.semantics import Semantics, may_be_asked
from router.service.service import Service
from router.service.shadowing import Shadowing
from router.store import Store
from router.telemetry import Metrics
from router.tenants.alerting import Alerting
from router.tenants.declared import declare_tenants
from router.upstream.client import UpstreamClient
from router.wire.body import Coming

# The collector's default wakes every 700 allocations and walks everything that start-up left: p99 pays for it.
GC_THRESHOLD = 50_000
# The log's writer may be away for as long as the records live (a week): 100 MB a tenant at the very most.
LISTED_FOR_THE_LOG = 1_000_000

# A leak of tasks takes minutes to matter; counting thousands of them takes a millisecond.
TASKS_COUNTED_EVERY_S = 2.0


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
    coming: Coming
    aftermath: Aftermath | None = None
    classifiers: ClassifierWatch | None = None
    looking: Looking | None = None
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


async def open_gateway(settings: Settings, resources: Resources, metrics: Metrics, stack: AsyncExitStack) -> Gateway:
    """Open everything that a gateway needs, in order; `stack` closes it in reverse."""
    pepper = read_pepper(settings)
    live = Live(configure(settings, os.environ, resources.local_model), local=resources.local_model)
    store = await _open_store(settings, resources, pepper, stack)
    await declare_tenants(store, settings, demo_key=resources.demo_key)
    await store.decisions.keep_rules(live.current.rules_id, live.current.rules)
    estimator = await _open_estimator(settings, stack)
    watch, shadowing = await _follow_registry(settings, store, estimator, metrics, stack)
    upstream = await stack.enter_async_context(UpstreamClient(gather_s=settings.server.stream_gather_ms / 1000))
    settler = Settler(store)
    breakers = _breakers(live, metrics)
    dispatcher = Dispatcher(upstream, _failure_counter(metrics), breakers)
    aftermath = _aftermath(settings, store, metrics)
    alerting = Alerting(store, metrics, lambda: live.current.settings.alerts)
    answering = Answering(dispatcher=dispatcher, settler=settler, metrics=metrics, aftermath=aftermath)
    looking = await _open_looking(settings, metrics, stack)
    semantics = Semantics(pepper)
    service = Service(
        store=store,
        intake=Intake(live=live, pepper=pepper, semantics=semantics, logging=_logging(settings, pepper)),
        deciding=Deciding(
            estimator=estimator,
            health=breakers,
            metrics=metrics,
            answering=answering,
            shadowing=shadowing,
            looking=looking,
        ),
        answering=answering,
        metrics=metrics,
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
        coming=Coming(settings.server.max_coming_bytes),
        aftermath=aftermath,
        classifiers=watch,
        looking=looking,
    )
    if may_be_asked(settings):
        reader = await asyncio.to_thread(lambda: semantics.reader)
        await store.search_near(reader.dimensions)
    stack.push_async_callback(_drain, gateway)
    stack.callback(_thaw, gc.get_threshold())
    for work in (*_works(gateway, upstream, resources.demo_key), alerting.run()):
        task = asyncio.create_task(work)
        stack.push_async_callback(_cancel, task)
    return gateway


async def _open_store(settings: Settings, resources: Resources, pepper: bytes, stack: AsyncExitStack) -> Store:
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
    return store


async def _open_estimator(settings: Settings, stack: AsyncExitStack) -> Estimator:
    estimator = Estimator(
        await asyncio.to_thread(classifier.load, settings.classifier.artefact, encoder=settings.classifier.encoder),
        timeout_s=settings.classifier.timeout_ms / 1000,
        recent=settings.classifier.recent_scores,
    )
    stack.callback(estimator.close)
    return estimator


async def _open_looking(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Looking | None:
    """The second look, or None where it is not switched on."""
    chosen = settings.classifier.second_look
    if chosen is None:
        return None
    second = await asyncio.to_thread(load_second_look, chosen)
    looks = SecondLooks(second, within_s=chosen.within_ms / 1000, recent=settings.classifier.recent_scores)
    stack.callback(looks.close)
    return Looking(looks, metrics, margin=chosen.margin)


def _logging(settings: Settings, pepper: bytes) -> dict[bool, Logging]:
    """What the decision log keeps, by whether a tenant allows texts; nothing where there is no log."""
    kept = () if log_url(settings) is None else (False, True)
    return {text: Logging(pepper=pepper, keep_text=text, hash_runs=settings.log.word_runs) for text in kept}


def _breakers(live: Live, metrics: Metrics) -> Health:
    return Health(
        threshold=lambda: live.current.settings.breaker_failures,
        on_open=lambda model: metrics.breakers.labels(model).inc(),
    )


def _works(gateway: Gateway, upstream: UpstreamClient, demo_key: str | None) -> Sequence[Coroutine[Any, Any, None]]:
    """What goes on beside the requests until the gateway closes."""
    works = [
        gateway.settler.keep_alive(),
        _warm(upstream, gateway.warmed),
        gateway.health.share(gateway.store.health),
        _count_tasks(gateway.metrics),
    ]
    if gateway.aftermath is not None:
        works.append(gateway.aftermath.run())
    if gateway.classifiers is not None:
        works.append(gateway.classifiers.run())
    path = configuration.configured_path(os.environ)
    if path is not None:
        changed = _after_reload(gateway.live, gateway.store, gateway.metrics, demo_key)
        works.append(gateway.live.watch(path, changed))
    return works


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


def _thaw(threshold: tuple[int, int, int]) -> None:
    """Give the collector back what `_warm` has put out of its sight: this process may go on without a gateway.

    What is frozen when a process ends is never freed; libraries that watch over their objects then tell of leaks.
    """
    gc.unfreeze()
    gc.set_threshold(*threshold)


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
