"""The end of every hold, over a real store that goes away and comes back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from router.errors import StoreUnavailable
from router.money import settlement
from router.money.settlement import Ending, Settler
from router.resources.kept_store import KeptStore
from router.store import Connection, Hold, Places, Receipt, SessionNote, State, Store
from router.store.ledger import LEASE_S
from tests.patience import PATIENCE_S
from tests.store_servers import PEPPER, until

TENANT = "acme"


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[KeptStore]:
    made = await asyncio.to_thread(KeptStore, tmp_path)
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
async def store(kept: KeptStore) -> AsyncIterator[Store]:
    made = await Store.connect(kept.url, pepper=PEPPER, reply_timeout_s=2, connect_timeout_s=2)
    await made.directory.create_tenant(TENANT)
    yield made
    await made.close()


async def reserved(store: Store, hold_id: str = "h1", nano: int = 1000) -> Hold:
    return await store.ledger.reserve(TENANT, hold_id, nano, state=State.CALL)


def ending(cost_nano: int) -> Ending:
    receipt = Receipt(decision_id="dec_1", content=b"{}")
    return Ending(cost_nano=cost_nano, estimated=False, receipt=receipt, places=Places(request_id="h1", rules=()))


async def money(store: Store) -> tuple[int, int]:
    total = (await store.ledger.standing(TENANT)).total
    return total.spent_nano, total.held_nano


async def test_a_settlement_books_the_cost_and_releases_the_rest(store: Store) -> None:
    settler = Settler(store)
    settler.end_soon(await reserved(store), lambda: ending(300))
    await settler.drain(10)
    assert await money(store) == (300, 0)
    assert settler.under_way == 0


async def test_an_outage_delays_a_settlement_and_loses_nothing(store: Store, kept: KeptStore) -> None:
    settler = Settler(store)
    hold = await reserved(store)
    assert kept.pid is not None
    os.kill(kept.pid, signal.SIGKILL)
    settler.end_soon(hold, lambda: ending(300))

    async def booked() -> bool:
        try:
            return await money(store) == (300, 0)
        except Exception:  # noqa: BLE001 - away
            return False

    await until(booked, within_s=PATIENCE_S)


async def test_the_drain_waits_for_open_holds_but_not_for_ever(store: Store) -> None:
    settler = Settler(store)
    hold = await reserved(store)
    settler.watch(hold, lambda: 1)
    draining = asyncio.create_task(settler.drain(30))
    settler.end_soon(hold, lambda: ending(7))
    await asyncio.wait_for(draining, PATIENCE_S)
    assert await money(store) == (7, 0)
    settler.watch(hold, lambda: 1)
    await asyncio.wait_for(settler.drain(0.05), PATIENCE_S)


async def test_open_holds_are_renewed_with_what_they_have_cost_so_far_but_no_more_than_is_held(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "RENEW_EVERY_S", 0.01)
    settler, rounds, twice = Settler(store), Counter[str](), asyncio.Event()
    store.ledger.frozen_ms = 1_800_000_000_000

    def told(name: str, nano: int) -> int:
        rounds[name] += 1
        if rounds["cheap"] > 1 and rounds["dear"] > 1:
            twice.set()  # so the first round's renewals have been answered
        return nano

    for name, cost in (("cheap", 40), ("dear", 5000)):
        hold = await store.ledger.reserve(TENANT, name, 1000, state=State.STREAM, lease_s=1)
        settler.watch(hold, partial(told, name, cost))
    alive = asyncio.create_task(settler.keep_alive())
    await asyncio.wait_for(twice.wait(), PATIENCE_S)
    alive.cancel()
    await asyncio.gather(alive, return_exceptions=True)
    store.ledger.frozen_ms += int(1000 * LEASE_S) - 1
    assert await store.ledger.reap(TENANT) == 0, "each renewal is for a whole lease"
    store.ledger.frozen_ms += 2
    assert await store.ledger.reap(TENANT) == 2
    assert await money(store) == (1040, 0)


async def test_a_hold_is_renewed_only_after_its_interval(store: Store) -> None:
    settler, renewed = Settler(store), list[str]()
    settler.watch(await reserved(store), lambda: renewed.append("too soon") or 0)
    alive = asyncio.create_task(settler.keep_alive())
    await money(store)
    alive.cancel()
    assert renewed == []


async def test_an_outage_stops_no_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "RENEW_EVERY_S", 0.001)
    away = Settler(Store(Connection("unix:///nowhere.sock"), PEPPER))
    rounds = asyncio.Queue[int]()
    hold = Hold(tenant=TENANT, id="h1", amount_nano=1000, windows="", scopes=(), reserved_at_ms=0)
    away.watch(hold, lambda: rounds.put_nowait(1) or 0)
    alive = asyncio.create_task(away.keep_alive())
    for _ in range(3):
        await asyncio.wait_for(rounds.get(), PATIENCE_S)
    alive.cancel()


async def test_an_ending_that_cannot_be_computed_is_told_and_left_to_the_reaper(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    settler = Settler(store)
    settler.end_soon(await reserved(store), lambda: 1 // 0)  # pyright: ignore[reportArgumentType] # a mistake of ours
    await settler.drain(10)
    assert settler.under_way == 0
    assert "the settlement of h1 failed" in caplog.text
    assert await money(store) == (0, 1000)


async def test_what_a_session_spends_without_a_call_is_noted(store: Store) -> None:
    settler = Settler(store)
    settler.note_session(TENANT, SessionNote(name="s", ttl_s=60, state=b"kept", extra_nano=7))
    await settler.drain(10)
    found = await store.opening(TENANT, request_id="r", session="s")
    assert (found.session.state, found.session.spent_nano) == (b"kept", 7)


async def test_what_nobody_can_store_is_told_as_lost_and_the_rest_is_quiet() -> None:
    settler, lost = Settler(Store(Connection("unix:///nowhere.sock"), PEPPER)), list[str]()
    settler.keep_pace(TENANT, before=b"", after=b"one", lost=lambda: lost.append("step"))
    settler.note(TENANT, Receipt(decision_id="d", content=b"{}"), Places(request_id="r", rules=()))
    settler.note_session(TENANT, SessionNote(name="s", ttl_s=60))
    await settler.drain(10)
    assert (lost, settler.under_way) == (["step"], 0)


async def test_a_request_without_a_call_leaves_its_receipt(store: Store) -> None:
    settler = Settler(store)
    settler.note(TENANT, Receipt(decision_id="dec_2", content=b'{"a":1}'), Places(request_id="r", rules=()))
    await settler.drain(10)
    assert await store.decisions.get(TENANT, "dec_2") == b'{"a":1}'


async def test_a_step_of_the_pacing_that_another_process_took_first_is_told_as_lost(store: Store) -> None:
    settler, lost = Settler(store), list[str]()
    settler.keep_pace(TENANT, before=b"", after=b"one", lost=lambda: lost.append("first"))
    await settler.drain(10)
    settler.keep_pace(TENANT, before=b"", after=b"two", lost=lambda: lost.append("second"))
    await settler.drain(10)
    assert lost == ["second"]


async def test_what_is_under_way_are_open_holds_and_endings(store: Store) -> None:
    settler, gate = Settler(store), asyncio.Event()
    settler.watch(await reserved(store), lambda: 0)
    settler.watch(await reserved(store, "h2"), lambda: 0)
    settler.afterwards(gate.wait())
    assert settler.under_way == 3
    gate.set()


async def test_spare_holds_are_released_at_no_cost_with_the_settlement(store: Store) -> None:
    settler = Settler(store)
    first = await reserved(store)
    more = await settler.reserve_more(first, 500, 1)
    assert more is not None
    assert settler.under_way == 1, "it is renewed from now on"
    assert await money(store) == (0, 1500)
    settler.end_soon(first, lambda: ending(300), (more,))
    assert settler.under_way == 1, "one settlement, and no open hold"
    await settler.drain(10)
    assert await money(store) == (300, 0)


async def test_a_hold_whose_client_left_while_it_was_made_is_released_at_no_cost(store: Store) -> None:
    settler = Settler(store)
    settler.release(reserved(store))
    await settler.drain(10)
    assert await money(store) == (0, 0)


async def test_what_a_drain_does_not_wait_for_is_cancelled(store: Store) -> None:
    settler, began, ended = Settler(store), asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    settler.afterwards(endless())
    await began.wait()
    await settler.drain(0.05)
    await asyncio.wait_for(ended.wait(), PATIENCE_S)


async def test_kills_of_the_store_in_the_middle_of_endings_lose_nothing_and_book_nothing_twice(
    store: Store, kept: KeptStore
) -> None:
    chance = random.Random(3)  # noqa: S311 - the same moments at every run
    settler, total = Settler(store), 0
    for round_ in range(2):
        holds = await asyncio.gather(*(reserved(store, f"h{round_}-{number}") for number in range(100)))
        for number, hold in enumerate(holds):
            asyncio.get_running_loop().call_later(
                chance.uniform(0, 0.02), settler.end_soon, hold, partial(ending, number)
            )
            total += number
        await asyncio.sleep(0.01)  # somewhere among the endings: the moment is the fault
        assert kept.pid is not None
        os.kill(kept.pid, signal.SIGKILL)

        async def booked(expected: tuple[int, int] = (total, 0)) -> bool:
            try:
                return await money(store) == expected
            except StoreUnavailable:
                return False

        await until(booked, within_s=PATIENCE_S)
    assert (await store.books.verify(TENANT)).exact
