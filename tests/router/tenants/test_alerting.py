"""Alerts are told: in the log, as a metric, and to a webhook that may be slow, refuse, or answer nonsense."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from router.configuration.serving import AlertSettings
from router.store import Store, Terms, Window
from router.telemetry import Metrics
from router.tenants.alerting import Alerting
from tests.store_servers import opened, running, until

SECRET = "a secret of the operator's"


class Receiver:
    """A webhook's other end. `statuses`: what it answers, the last one for ever."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.seen: list[tuple[bytes, str | None]] = []
        self.url = ""
        self.when_told: Callable[[], None] = lambda: None

    async def take(self, request: web.Request) -> web.Response:
        self.when_told()
        self.seen.append((await request.read(), request.headers.get("x-rung-signature")))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, headers={"location": self.url} if 300 <= status < 400 else {})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A tenant that has spent 80 % of a dollar."""
    with running("valkey", tmp_path) as server:
        async with opened(server.url) as store:
            await store.directory.create_tenant("acme")
            await store.ledger.set_budget("acme", "month", 10**9, Window.MONTH, terms=Terms(alerts=(0.5, 0.8)))
            await store.ledger.settle(await store.ledger.reserve("acme", "h", 8 * 10**8), 8 * 10**8)
            yield store


def alerting(store: Store, url: str | None = None, **more: object) -> Alerting:
    settings = AlertSettings.model_validate({"webhook_url": url, "every_s": 0.1, **more})
    return Alerting(store, Metrics(), lambda: settings)


async def test_what_is_found_is_logged_and_counted_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rung.alerts")
    metrics = Metrics(tenant_label=True)
    watch = Alerting(store, metrics, lambda: AlertSettings(every_s=0.1))
    await watch.step()
    await until(lambda: taken(store))
    await watch.step()
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith("tenant acme: budget month has reached 80%: $0.80 of $1.00 in 20")
    told = metrics.render()[0].decode()
    assert 'rung_budget_alerts_total{tenant="acme",threshold="0.8"} 1.0' in told


async def taken(store: Store) -> bool:
    """Whether the lease of the last look has run out."""
    return await store.alerts.lease(0.001)


async def test_the_webhook_gets_what_was_found_signed_by_the_operators_secret(store: Store, receiver: Receiver) -> None:
    await alerting(store, receiver.url, webhook_secret=SECRET).step()
    assert len(receiver.seen) == 2
    for body, signature in receiver.seen:
        assert signature == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    told = sorted((json.loads(body) for body, _ in receiver.seen), key=lambda alert: alert["threshold"])
    assert [alert["threshold"] for alert in told] == [0.5, 0.8]
    assert told[1]["spent_nano"] == 8 * 10**8
    assert told[1]["text"].startswith("tenant acme: budget month has reached 80%")
    assert [alert.waiting for alert in await store.alerts.alerts("acme")] == [False, False]


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_a_webhook_that_refuses_is_told_again_and_nobody_waits_for_it(
    store: Store, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses = [status]
    await alerting(store, receiver.url).step()
    assert len(receiver.seen) == 2, "a redirection is not followed"
    assert [alert.waiting for alert in await store.alerts.alerts("acme")] == [True, True]
    assert f"status {status}" in caplog.text
    assert receiver.url not in caplog.text, "the URL is a secret"


async def test_a_webhook_that_is_away_costs_its_timeout_and_is_tried_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await alerting(store, "http://127.0.0.1:9/gone", timeout_s=2).step()
    assert [alert.waiting for alert in await store.alerts.alerts("acme")] == [True, True]
    assert "did not take an alert" in caplog.text
    assert "gone" not in caplog.text


async def test_a_refused_tenant_is_looked_at_by_the_process_that_refused_it(store: Store) -> None:
    await store.ledger.set_budget("acme", "month", 81 * 10**7, Window.MONTH)
    assert await store.alerts.lease(60), "another process looks at all of them"
    watch = alerting(store)
    await watch.step()
    assert await store.alerts.alerts("acme") == []
    watch.refused("acme")
    await watch.step()
    assert [alert.threshold for alert in await store.alerts.alerts("acme")] == [1.0, 0.8, 0.5]


async def test_closed_books_of_one_tenant_do_not_hide_the_others(store: Store) -> None:
    await store.directory.create_tenant("aaa")
    await store.ledger.close_account("aaa")
    await alerting(store).step()
    assert len(await store.alerts.alerts("acme")) == 2


async def test_a_store_that_goes_while_an_alert_is_told_leaves_no_traceback(tmp_path: Path, receiver: Receiver) -> None:
    with running("valkey", tmp_path) as server:
        async with opened(server.url) as store:
            await store.directory.create_tenant("acme")
            await store.ledger.set_budget("acme", "month", 10**9, Window.MONTH, terms=Terms(alerts=(0.5,)))
            await store.ledger.settle(await store.ledger.reserve("acme", "h", 8 * 10**8), 8 * 10**8)
            receiver.when_told = server.stop
            await alerting(store, receiver.url).step()
            assert len(receiver.seen) == 1


@pytest.mark.parametrize("url", ["ftp://x/y", "hooks.example", "http:///x"])
def test_a_webhook_is_an_http_url(url: str) -> None:
    with pytest.raises(ValueError, match="must begin with"):
        AlertSettings.model_validate({"webhook_url": url})
