"""Tells of budgets that reach their thresholds: a log line, a metric, and a webhook where the operator has one.

    every few seconds, in one process of all: look at every tenant's budgets (one script each) -> tell what is new
    -> send the webhooks that are due, each with a time-out; what is not taken is tried again, up to a limit

Nothing of it is on a request's path, but for the note that a request was refused for want of money.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
from collections.abc import Callable

import aiohttp
import orjson

from router.configuration.serving import AlertSettings
from router.errors import StoreUnavailable
from router.store import Errand, Store
from router.telemetry import Metrics
from router.tenants.alert_words import sentence, told

log = logging.getLogger("rung.alerts")

# A look takes some 50 microseconds of the store's time; with so long a pause for each it stays under 5 % of that.
PAUSE_S = 0.001
SHARE = (
    0.9  # of a pause for which nobody else looks: after a whole one, this process might find its own lease still there
)
SUCCESS = 2  # the first digit of a status
AT_ONCE = 4  # webhooks under way: they are few, and a receiver that hangs must not hold up the others for long


class Alerting:
    """One per process; of all that run, one looks at a time.

    Args:
        store: where the budgets are. metrics: which count the alerts.
        settings: those in force now.
    """

    def __init__(self, store: Store, metrics: Metrics, settings: Callable[[], AlertSettings]) -> None:
        self._store = store
        self._metrics = metrics
        self._settings = settings
        self._refused: set[str] = set()

    def refused(self, tenant: str) -> None:
        """Note that a tenant's request was refused for want of money; it is looked at soon."""
        self._refused.add(tenant)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            looked_at = 0
            try:
                looked_at = await self.step()
            except StoreUnavailable:
                pass  # the connection reports outages
            except Exception:
                log.exception("looking at the budgets failed; it goes on")
            await asyncio.sleep(self._pause_s(looked_at))

    def _pause_s(self, looked_at: int) -> float:
        return max(self._settings().every_s, PAUSE_S * looked_at)

    async def step(self) -> int:
        """One round; returns how many tenants were looked at. Raises StoreUnavailable."""
        refused, self._refused = self._refused, set()
        mine = await self._store.alerts.lease(self._settings().every_s * SHARE)
        tenants = await self._store.alerts.tenants() if mine else sorted(refused)
        errands: list[Errand] = []
        for tenant in tenants:
            errands += await self._look(tenant, refused=tenant in refused)
        if mine:
            await self._store.alerts.prolong(self._pause_s(len(tenants)) * SHARE)
        if errands:
            await self._send(errands)
        return len(tenants)

    async def _look(self, tenant: str, *, refused: bool) -> tuple[Errand, ...]:
        try:
            found = await self._store.alerts.look(
                tenant, refused=refused, webhook=self._settings().webhook_url is not None
            )
        except StoreUnavailable as error:  # one tenant's books may be closed; the others' are not
            log.debug("no look at the budgets of %s: %s", tenant, error)
            return ()
        for alert in found.fresh:
            log.warning("%s", sentence(alert))
            self._metrics.count_alert(tenant, alert.threshold)
        return found.errands

    async def _send(self, errands: list[Errand]) -> None:
        settings = self._settings()
        if settings.webhook_url is None:
            return
        gate = asyncio.Semaphore(AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for errand in errands:
                group.create_task(self._deliver(session, gate, settings, errand))

    async def _deliver(
        self, session: aiohttp.ClientSession, gate: asyncio.Semaphore, settings: AlertSettings, errand: Errand
    ) -> None:
        assert settings.webhook_url is not None  # noqa: S101 - asked before
        body = orjson.dumps({**told(errand.alert), "webhook_waits": False, "text": sentence(errand.alert)})
        try:
            async with (
                gate,
                session.post(
                    settings.webhook_url.get_secret_value(),
                    data=body,
                    headers=_headers(body, settings),
                    allow_redirects=False,
                ) as reply,
            ):
                problem = "" if reply.status // 100 == SUCCESS else f"status {reply.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            problem = type(error).__name__  # its text may hold the URL, which is a secret
        if not problem:
            with contextlib.suppress(StoreUnavailable):  # it stays in the queue, and comes again
                await self._store.alerts.delivered(errand)
        else:
            log.warning("the webhook did not take an alert (%s, try %d)", problem, errand.tries + 1)


def _headers(body: bytes, settings: AlertSettings) -> dict[str, str]:
    headers = {"content-type": "application/json", "user-agent": "rung"}
    if settings.webhook_secret is not None:
        key = settings.webhook_secret.get_secret_value().encode()
        headers["x-rung-signature"] = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    return headers
