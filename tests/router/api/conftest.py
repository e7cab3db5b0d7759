"""A gateway in front of a fake upstream, one for the module; each test gets the upstream with a clean log."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import httpx
import pytest

from router.resources.pepper import read_pepper
from router.store import Standing, Store, embedded
from router.tenants.declared import DEMO_TENANT
from router.testing import FakeUpstream
from tests.gateway import Running, fake_settings, running
from tests.patience import PATIENCE_S
from tests.store_servers import PATIENT_S


class Loop:
    """An event loop in a thread, for what a test needs to have running beside it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="upstream", daemon=True)
        self._thread.start()

    def run(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(PATIENCE_S)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shared_upstream(loop: Loop) -> Iterator[FakeUpstream]:
    made = FakeUpstream()
    loop.run(made.__aenter__())
    yield made
    loop.run(made.__aexit__(None, None, None))


@pytest.fixture
def upstream(shared_upstream: FakeUpstream) -> FakeUpstream:
    shared_upstream.hush()
    shared_upstream.received.clear()
    shared_upstream.bills.clear()
    return shared_upstream


@pytest.fixture(scope="module")
def running_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = fake_settings(shared_upstream.openai_base, tmp_path_factory.mktemp("gateway"))
    with running(settings) as gateway:
        yield gateway


class Books:
    """The gateway's books and limits, seen over a connection of their own."""

    def __init__(self, loop: Loop, gateway: Running) -> None:
        self._loop = loop
        url = f"unix://{embedded.socket_path(gateway.settings.store.data_dir)}"
        pepper = read_pepper(gateway.settings)
        self.store: Store = loop.run(
            Store.connect(url, pepper=pepper, upkeep=False, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
        )

    def run(self, work: Any) -> Any:
        return self._loop.run(work)

    def close(self) -> None:
        self._loop.run(self.store.close())

    def standing(self, tenant: str = DEMO_TENANT) -> Standing:
        return self._loop.run(self.store.ledger.standing(tenant))

    def spent(self) -> int:
        return self.standing().total.spent_nano

    def settled(self, within_s: float = PATIENCE_S, tenant: str = DEMO_TENANT) -> int:
        """What is spent in all, as soon as nothing is held any more."""
        deadline = time.monotonic() + within_s
        while (standing := self.standing(tenant)).total.held_nano:
            assert time.monotonic() < deadline, f"still held: {standing.total}"
            time.sleep(0.01)  # another process' books: there is no event to wait for
        return standing.total.spent_nano


@pytest.fixture(scope="module")
def books(loop: Loop, running_gateway: Running) -> Iterator[Books]:
    made = Books(loop, running_gateway)
    yield made
    made.close()


@pytest.fixture
def gateway(running_gateway: Running) -> Running:
    return running_gateway


@pytest.fixture
def client(gateway: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers=gateway.headers, timeout=30) as made:
        yield made
