"""The process that writes the log: one of all that share a store, beside the gateway and never in its way.

`rung serve` starts it as a child with a low priority. It holds the lease while it works; where its machine dies,
another gateway's takes the lease over within a minute. On any trouble it says so once and tries again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from router.configuration.settings import ConfigError, Settings
from router.decision_log import parquet
from router.decision_log.erasure import expire
from router.decision_log.place import Place, log_url
from router.decision_log.shipper import Shipper
from router.decision_log.vigilance import Vigilance
from router.errors import StoreUnavailable
from router.store import Store, Tenant
from router.tenants.policy import rules_of

log = logging.getLogger("rung.log")

LEASE_S = 45  # a writer that died is replaced within a minute
RENEW_S = 15
STORE_PATIENCE_S = 5.0  # this process waits where a request would not
RESTART_S = 5.0  # after an end that nobody ordered
END_S = 5.0  # it ends at once when it is told to; one that is stuck is killed
COMMAND = (sys.executable, "-m", "router.decision_log")
NICENESS = 10  # requests first
_STORE_URL = "RUNG_INTERNAL_LOG_STORE_URL"


async def follow(store: Store, settings: Settings) -> None:
    """Write the log for as long as this runs.

    Raises:
        ConfigError: there is no log, or its libraries are missing.
    """
    url = log_url(settings)
    if url is None:
        raise ConfigError("log.url: is off; name a folder or an fsspec URL")
    parquet.require()
    place, who = Place(url), secrets.token_hex(8)
    vigilance = Vigilance(store, settings.registry)
    shipper = Shipper(store, place, reliability=settings.log.reliability, vigilance=vigilance)
    lead = asyncio.create_task(_keep_leading(store, who))
    swept: str | None = None
    try:
        while True:
            today = datetime.now(UTC).date()
            try:
                if await store.log_book.lead(who, LEASE_S):
                    await shipper.ship()
                    if swept != today.isoformat():
                        expire(place, today, keep_days(await store.directory.tenants()), settings.log.keep_days)
                        swept = today.isoformat()
            except (StoreUnavailable, OSError) as error:
                log.warning("the decision log is not written for now: %s", error)
            await asyncio.sleep(settings.log.ship_every_s)
    finally:
        lead.cancel()


async def _keep_leading(store: Store, who: str) -> None:
    """Renew the lease during a long pass."""
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            await store.log_book.lead(who, LEASE_S)
        except StoreUnavailable as error:
            log.debug("the lease of the log's writer is not renewed: %s", error)


def keep_days(tenants: list[Tenant]) -> Mapping[str, int]:
    """How many days the log of each tenant that says so is kept."""
    said = {tenant.id: rules_of(tenant).log_days for tenant in tenants}
    return {tenant: days for tenant, days in said.items() if days is not None}


def store_url(environ: Mapping[str, str]) -> str | None:
    """The store that this process was started for, or None where it was not started by a gateway."""
    return environ.get(_STORE_URL)


class WriterChild:
    """The writing process as a child of `rung serve`, started again where it ends. A context manager.

    Args:
        settings: where they have no log, or its libraries are missing, nothing is started (and the log says so).
        store_url: the gateway's store.
        command: what the process runs.
        end_s: how long it has to end when it is told to, before it is killed.
    """

    def __init__(
        self, settings: Settings, store_url: str, *, command: Sequence[str] = COMMAND, end_s: float = END_S
    ) -> None:
        self._command = command
        self._end_s = end_s
        self._environment = {**os.environ, _STORE_URL: store_url}
        self._wanted = _is_possible(settings)
        self._stopping = threading.Event()
        self._starting = threading.Lock()  # held while a child is made, so that none is made after the end
        self._child: subprocess.Popen[bytes] | None = None
        # The kernel ends the child with the thread that started it, so this one lives as long as the gateway.
        self._keeper = threading.Thread(target=self._keep, name="rung-log-keeper", daemon=True)

    def __enter__(self) -> Self:
        if self._wanted:
            self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        if not self._wanted:
            return
        with self._starting:
            child = self._child
        if child is not None:
            child.terminate()
            self._keeper.join(self._end_s)
            child.kill()  # does nothing to one that has ended
        self._keeper.join()

    def _keep(self) -> None:
        while (child := self._start()) is not None:
            with child:  # waits, and closes its standard input
                child.wait()
            if not self._stopping.wait(RESTART_S):
                log.warning("the writer of the decision log ended by itself and is started again")

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._starting:
            if self._stopping.is_set():
                return None
            self._child = subprocess.Popen(  # noqa: S603 - our own
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the gateway, which then ends us
            )
            return self._child


def _is_possible(settings: Settings) -> bool:
    if log_url(settings) is None:
        return False
    try:
        parquet.require()
    except ConfigError as error:
        log.warning("no decision log is written: %s", error)
        return False
    return True
