"""A hundred reloads under load lose no request, and what they change is in force within a second, in every worker."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from router.configuration import settings as configuration
from router.resources.pepper import read_pepper
from router.resources.resources import start_resources
from router.store import INFERENCE, Store, Token
from router.testing import FakeUpstream
from tests.gateway import Running, fake_ladder, running
from tests.patience import Stopwatch
from tests.router.api.conftest import Loop
from tests.serving import until
from tests.store_servers import PATIENT

RELOADS = 100
WITHIN_S = 1.0


class Configured:
    """Two workers over one file and one store."""

    def __init__(self, path: Path, base_url: str, data_dir: Path) -> None:
        self.path = path
        self.base_url = base_url
        self.content: dict[str, Any] = {"store": {"data_dir": str(data_dir), "timeout_ms": 10_000}}
        self.workers: list[Running] = []
        self.key = Token.new().reveal()

    def write(self, **changes: Any) -> None:
        self.content |= changes
        fresh = self.path.with_suffix(".new")
        fresh.write_text(yaml.safe_dump({"models": fake_ladder(self.base_url), "breaker_failures": 0, **self.content}))
        fresh.replace(self.path)

    def in_force(self, seen: Callable[[Running], bool]) -> float:
        """Seconds until every worker shows it, without those that the machine withheld."""
        with Stopwatch() as watch:
            until(lambda: all(map(seen, self.workers)), "the change in force")
        return watch.own_s


@pytest.fixture(scope="module")
def configured(
    loop: Loop, shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Configured]:
    folder = tmp_path_factory.mktemp("reloads")
    made = Configured(folder / "rung.yaml", shared_upstream.openai_base, folder / "data")
    made.write(tenants=[{"id": "acme", "budgets": [{"limit_usd": 50}]}])
    before = os.environ.get("RUNG_CONFIG")
    os.environ["RUNG_CONFIG"] = str(made.path)
    settings = configuration.load()
    resources = start_resources(settings)
    try:
        with running(settings, resources) as one, running(settings, resources) as two:
            made.workers = [one, two]
            loop.run(_make_key(one, made.key, resources.store_url))
            yield made
    finally:
        resources.stop()
        if before is None:
            del os.environ["RUNG_CONFIG"]
        else:
            os.environ["RUNG_CONFIG"] = before


async def _make_key(gateway: Running, token: str, url: str) -> None:
    store = await Store.connect(url, pepper=read_pepper(gateway.settings), upkeep=False, **PATIENT)
    await store.directory.create_key("acme", scopes=frozenset({INFERENCE}), token=token)
    await store.close()


def quote(worker: Running, key: str) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(worker.url + "/v1/route", json=body, headers=headers, timeout=30).raise_for_status().json()


def test_a_change_of_price_policy_or_budget_is_in_force_in_every_worker_within_a_second(configured: Configured) -> None:
    ladder = fake_ladder(configured.base_url)
    ladder[0]["prices"] = {"input": 3, "output": 7}
    configured.write(models=ladder)
    dearer = configured.in_force(lambda worker: worker.gateway.ladder.models["small"].prices.output == 7_000_000_000)
    configured.write(policies={"version": "of-today"})
    policy = configured.in_force(lambda worker: quote(worker, configured.key)["policy_version"] == "of-today")
    configured.write(tenants=[{"id": "acme", "budgets": [{"limit_usd": 0.000001}]}])
    poorer = configured.in_force(lambda worker: _status(worker, configured.key) == 429)
    configured.write(tenants=[{"id": "acme", "budgets": [{"limit_usd": 50}]}])
    richer = configured.in_force(lambda worker: _status(worker, configured.key) == 200)
    # A busy machine may read the file late; the promise is kept on one that is not.
    assert max(dearer, policy, poorer, richer) < WITHIN_S + _lateness()


def _lateness() -> float:
    """What this machine adds by itself: how late short sleeps end, for the half a dozen waits of one change."""
    began = time.monotonic()
    for _ in range(5):
        time.sleep(0.02)
    return 6 * (time.monotonic() - began)


def _status(worker: Running, key: str) -> int:
    return _ask(worker, key).status_code


def _ask(worker: Running, key: str) -> httpx.Response:
    body = {"model": "large", "messages": [{"role": "user", "content": "Hi"}], "rung": {"cache": "off"}}
    return httpx.post(
        worker.url + "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=30
    )


def test_a_hundred_reloads_under_load_lose_no_request(configured: Configured) -> None:
    statuses: list[int] = []
    done = threading.Event()

    def load(worker: Running) -> None:
        body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "rung": {"cache": "off"}}
        headers = {"authorization": f"Bearer {configured.key}"}
        with httpx.Client(base_url=worker.url, headers=headers, timeout=30) as client:
            while not done.is_set():
                statuses.append(client.post("/v1/chat/completions", json=body).status_code)

    threads = [threading.Thread(target=load, args=(worker,)) for worker in configured.workers for _ in range(2)]
    before = [worker.gateway.live.reloads for worker in configured.workers]
    for thread in threads:
        thread.start()
    for number in range(RELOADS):
        ladder = fake_ladder(configured.base_url)
        ladder[number % 3]["prices"]["output"] = 1 + number % 7
        configured.write(models=ladder, quality=0.3 + 0.004 * number)
        for worker in configured.workers:  # each change is read by each worker, some by the watcher as well
            worker.gateway.live.reload(configured.path)
        until(lambda number=number: len(statuses) > number, "an answer between two reloads")
    done.set()
    for thread in threads:
        thread.join()
    assert all(
        worker.gateway.live.reloads - was >= RELOADS for worker, was in zip(configured.workers, before, strict=True)
    )
    assert set(statuses) == {200}
