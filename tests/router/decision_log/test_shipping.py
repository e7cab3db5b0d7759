"""Every record lands in one file, once: whatever dies, whenever, and however many write."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import secrets
import signal
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as sized
from hypothesis import strategies as st

from policies.log_schema import DECISIONS, OUTCOMES
from router.decision_log import parquet, shipper
from router.decision_log.erasure import erase, expire
from router.decision_log.place import Place
from router.decision_log.shipper import Shipped, Shipper
from router.store import Store, embedded
from tests.patience import PATIENCE_S
from tests.router.decision_log.records import NOON, PACKED, RULES, RULES_ID, record
from tests.router.store import conftest as store_fixtures
from tests.store_servers import opened

pytest.importorskip("pyarrow")

connection = store_fixtures.connection
store = store_fixtures.store
DAY_S = 86_400.0


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> object:
    with embedded.start(tmp_path_factory.mktemp("log-store")) as running:
        yield running


async def told(store: Store, numbers: range, *, tenant: str = "acme", days: int = 1) -> None:
    await store.directory.declare_tenant(tenant)
    await store.decisions.keep_rules(RULES_ID, RULES)
    for number in numbers:
        made = record(number, tenant=tenant, created=NOON + DAY_S * (number % days))
        await store.decisions.append(tenant, made["id"], orjson.dumps(made), PACKED)


def logged(place: Place, table: str = DECISIONS, tenant: str | None = None) -> Counter[str]:
    name = "decision_id" if table == DECISIONS else "outcome_id"
    parts = place.parts(table=table, tenant=tenant)
    return Counter(row[name] for part in parts for row in parquet.decode(place.read(part.path)))


def once(numbers: range) -> Counter[str]:
    return Counter(f"dec_{number:05d}" for number in numbers)


def writer(store: Store, place: Place) -> Shipper:
    return Shipper(store, place, reliability={})


async def test_records_are_written_once_by_tenant_and_day(store: Store, tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    await told(store, range(7), days=2)
    await told(store, range(100, 103), tenant="other")
    assert await writer(store, place).ship() == Shipped(decisions=10)
    assert await writer(store, place).ship() == Shipped()
    assert logged(place, tenant="acme") == once(range(7))
    assert logged(place, tenant="other") == once(range(100, 103))
    assert {part.day for part in place.parts(tenant="acme")} == {"2025-10-09", "2025-10-10"}
    assert "tmp" not in {name.rpartition(".")[2] for _, _, names in os.walk(tmp_path) for name in names}


async def test_what_a_dead_writer_began_is_written_as_it_began_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(str(tmp_path))
    await told(store, range(5))
    with monkeypatch.context() as patched:
        patched.setattr(store.log_book, "commit", _dies)
        with pytest.raises(RuntimeError, match="died"):
            await writer(store, place).ship()
    await told(store, range(5, 9))  # comes after the part that was begun, and belongs to the next
    assert await writer(store, place).ship() == Shipped(decisions=9)
    assert logged(place) == once(range(9))


async def _dies(*_: object) -> bool:
    raise RuntimeError("died")


async def test_two_writers_at_once_write_each_record_once(store: Store, tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    await told(store, range(40), days=3)
    await asyncio.gather(*(writer(store, place).ship() for _ in range(4)))
    assert logged(place) == once(range(40))


@given(st.lists(st.sampled_from(["tell", "ship", "die early", "die late"]), min_size=1, max_size=12))
@sized(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_in_whatever_order_nothing_is_lost_or_doubled(
    server: embedded.EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    asyncio.run(_history(server.url, Place(str(tmp_path_factory.mktemp("log"))), steps))


async def _history(url: str, place: Place, steps: list[str]) -> None:
    tenant, so_far = f"t{secrets.token_hex(8)}", 0
    async with opened(url) as store:
        for step in steps:
            if step == "tell":
                await told(store, range(so_far, so_far + 3), tenant=tenant, days=2)
                so_far += 3
                continue
            made = writer(store, place)
            if step == "die early":
                made._write = _die  # type: ignore[method-assign]
            with contextlib.suppress(RuntimeError), pytest.MonkeyPatch.context() as patched:
                if step == "die late":
                    patched.setattr(store.log_book, "commit", _dies)
                await made.ship()
        await writer(store, place).ship()
    assert logged(place, tenant=tenant) == once(range(so_far))


def _die(*_: object) -> None:
    raise RuntimeError("died")


def _ship_in_pieces(url: str, folder: str, begun: Callable[[], None]) -> None:
    async def work() -> None:
        async with opened(url) as store:
            shipper.PART = 10
            begun()
            while True:
                await writer(store, Place(folder)).ship()

    asyncio.run(work())


async def test_a_writer_that_is_killed_at_any_moment_loses_and_doubles_nothing(
    store: Store, server: embedded.EmbeddedServer, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    so_far = 0
    for pause_ms in (2, 15, 60):
        await told(store, range(so_far, so_far + 200), days=2)
        so_far += 200
        begun = context.Event()
        process = context.Process(target=_ship_in_pieces, args=(server.url, str(tmp_path), begun.set))
        process.start()
        assert await asyncio.to_thread(begun.wait, 60)
        await asyncio.sleep(pause_ms / 1000)  # the moment of the kill is what is tried
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.join)
    await writer(store, Place(str(tmp_path))).ship()
    assert logged(Place(str(tmp_path))) == once(range(so_far))


async def test_any_fsspec_url_will_do(store: Store) -> None:
    place = Place("memory://rung-log")
    await told(store, range(3))
    await writer(store, place).ship()
    assert logged(place) == once(range(3))
    for part in list(place.parts()):
        place.delete(part.path)
    assert list(place.parts()) == []


async def test_a_user_is_erased_from_the_store_the_files_and_the_outcomes_and_nobody_else_is(
    store: Store, tmp_path: Path
) -> None:
    place = Place(str(tmp_path))
    await store.directory.declare_tenant("acme")
    await store.decisions.keep_rules(RULES_ID, RULES)
    for number, user in enumerate(["u1", "u2", "u1", "u2", "u1"]):
        cut = record(number, log={"text_hash": str(number), "characters": 1, "user": user})
        cut["served"]["finish_reason"] = "length"
        await store.decisions.append("acme", cut["id"], orjson.dumps(cut), PACKED)
        if number == 2:
            await writer(store, place).ship()
    done = await erase(store, place, "acme", "u1")
    assert (done.records, done.rows) == (3, 4)  # two decisions and two outcomes were in files
    await writer(store, place).ship()
    assert logged(place) == Counter(["dec_00001", "dec_00003"])
    files = [place.read(part.path) for part in place.parts(table=OUTCOMES)]
    about = [row["decision_id"] for content in files for row in parquet.decode(content)]
    assert sorted(about) == ["dec_00001", "dec_00003"]


async def test_an_erased_tenant_leaves_nothing(store: Store, tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    await told(store, range(4))
    await told(store, range(100, 102), tenant="other")
    await writer(store, place).ship()
    await erase(store, place, "acme")
    assert logged(place, tenant="acme") == Counter()
    assert await store.decisions.read("acme", await store.decisions.entries("acme")) == []
    assert logged(place, tenant="other") == once(range(100, 102))


async def test_days_that_a_tenant_keeps_no_longer_are_deleted(store: Store, tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    await told(store, range(4), days=2)
    await told(store, range(100, 102), tenant="other")
    await writer(store, place).ship()
    assert expire(place, date(2025, 11, 8), {"acme": 29}, 400) == 1
    assert {part.day for part in place.parts(tenant="acme")} == {"2025-10-10"}
    assert logged(place, tenant="other") == once(range(100, 102))


async def test_only_one_process_leads_and_another_takes_over_when_it_is_gone(store: Store) -> None:
    assert await store.log_book.lead("a", 60)
    assert await store.log_book.lead("a", 60)
    assert not await store.log_book.lead("b", 60)
    assert await store.log_book.lead("a", 1)
    async with asyncio.timeout(PATIENCE_S):
        while not await store.log_book.lead("b", 60):  # noqa: ASYNC110 - the server's clock ends it: there is no event
            await asyncio.sleep(0.05)
