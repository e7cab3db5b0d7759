from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from router.errors import BudgetExhausted, StoreUnavailable
from router.store import (
    Answer,
    Ledger,
    Limits,
    Places,
    Receipt,
    Role,
    Settlement,
    State,
    Store,
    Window,
    answer_key,
    embedded,
    outbox,
    rules,
    upkeep,
)
from router.store.connection import Connection, Executor
from router.store.scripts import Ask, Reply, ignore, text
from tests.patience import PATIENCE_S
from tests.router.store.conftest import immortal
from tests.store_servers import PATIENT, opened, running, until

KEY = answer_key(b"p" * 32, "acme", "", b"{}")
RULES = rules(("", Limits(requests_per_minute=10, tokens_per_minute=1000, concurrency=1)))


class Counting(Connection):
    """A connection that counts its round trips and keeps the commands."""

    trips: int = 0

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        self.trips += 1
        return await super().run(*asks)


@pytest.fixture
async def acme(store: Store) -> Store:
    """A store with a tenant that has $1 in all."""
    await store.directory.create_tenant("acme")
    await store.ledger.set_budget("acme", "main", 10**9, Window.TOTAL)
    return store


async def test_a_request_takes_two_round_trips_before_its_dispatch_and_one_after(acme: Store) -> None:
    connection = Counting(f"unix://{acme.connection.address.path}")
    await connection.open()
    store = Store(connection, b"p" * 32)
    opening = await store.opening("acme", request_id="r1", rules=RULES, tokens=100, cache_key=KEY)
    hold = await store.ledger.reserve("acme", "h1", 5, state=State.CALL)
    assert connection.trips == 2
    ending = await store.closing(
        "acme",
        settlement=Settlement(hold=hold, cost_nano=3),
        answer=Answer(key=KEY, content=b"42"),
        receipt=Receipt(decision_id="d1", content=b"{}"),
        places=Places(request_id="r1", rules=RULES, extra_tokens=-40),
    )
    assert connection.trips == 3
    assert (opening.answer, opening.verdict.refused, opening.funds.purse.remaining_nano) == (None, None, 10**9)
    assert ending is not None
    assert ending.outcome == "settled"
    again = await store.opening("acme", request_id="r2", rules=RULES, tokens=0, cache_key=KEY)
    assert (again.answer, again.role) == (b"42", Role.HIT)
    assert again.verdict.refused is None, "the place among the concurrent ones came back"
    assert again.verdict.headers()["x-ratelimit-remaining-tokens"] == "940"
    assert (await store.ledger.standing("acme")).total.spent_nano == 3
    assert await store.decisions.get("acme", "d1") == b"{}"
    await store.close()


async def test_a_cache_that_fails_alone_is_a_miss_and_money_goes_on(acme: Store) -> None:
    await acme.connection.ask(Ask(("LPUSH", f"b:{{acme}}:c:{KEY}", "not a string"), int))
    opening = await acme.opening("acme", request_id="r", cache_key=KEY)
    assert opening.answer is None
    assert opening.funds.purse.remaining_nano == 10**9
    await acme.connection.ask(Ask(("DEL", f"b:{{acme}}:c:{KEY}"), int))


async def test_a_closing_with_nothing_to_write_asks_nothing(acme: Store) -> None:
    assert await acme.closing("acme") is None
    assert await acme.closing("acme", places=Places(request_id="r", rules=())) is None
    assert await acme.closing("acme", receipt=Receipt(decision_id="d", content=b"{}")) is None
    assert await acme.decisions.get("acme", "d") == b"{}"


async def test_every_key_of_a_tenant_lies_in_its_slot_and_expires_or_says_why(acme: Store) -> None:
    await acme.directory.create_key("acme")
    hold = await acme.ledger.reserve("acme", "h1", 5, scopes=["key:k"])
    await acme.opening("acme", request_id="r", rules=RULES, tokens=1, cache_key=KEY)
    await acme.closing(
        "acme",
        settlement=Settlement(hold=hold, cost_nano=3),
        answer=Answer(key=KEY, content=b"42"),
        receipt=Receipt(decision_id="d1", content=b"{}"),
    )
    await acme.ledger.reserve("acme", "h2", 5)
    await acme.books.adjust("acme", "a1", -1, reason="r", by="b")
    await acme.books.compact("acme", keep=0)
    keys = await acme.connection.ask(Ask(("KEYS", "b:{*"), lambda reply: [text(key) for key in reply]))
    kinds = {key.partition("}:")[2].partition(":")[0] for key in keys}
    assert kinds == {"acct", "c", "ci", "ckpt", "d", "ds", "exp", "h", "keys", "led", "rec", "rl", "w"}
    assert {key_slot(key.encode()) for key in keys} == {key_slot(b"acme")}
    assert [key async for key in immortal(acme.connection)] == []


async def test_a_settlement_that_meets_an_outage_is_booked_when_the_store_is_back(tmp_path: Path) -> None:
    with running("valkey", tmp_path) as server:
        store = await Store.connect(server.url, pepper=b"p" * 32, upkeep=False, **PATIENT)
        await store.directory.create_tenant("acme")
        hold = await store.ledger.reserve("acme", "h1", 5)
        server.stop()
        ending = await store.closing("acme", settlement=Settlement(hold=hold, cost_nano=3))
        assert ending is not None
        assert (ending.outcome, ending.charged_nano, len(store.outbox)) == ("waiting", 3, 1)
        assert await store.outbox.flush() == 0
        returned = asyncio.Event()
        store.connection.on_return = returned.set
        with running("valkey", tmp_path):
            await asyncio.wait_for(returned.wait(), PATIENCE_S)
            assert await store.outbox.flush() == 1
            standing = await store.ledger.standing("acme")
            assert (standing.total.spent_nano, standing.total.held_nano, len(store.outbox)) == (3, 0, 0)
            await store.close()


async def test_what_a_failover_forgot_of_the_last_seconds_is_booked_again(acme: Store) -> None:
    """The simulated failover goes back to a state before reservation and settlement, as a lagging replica would."""
    kept = await dump(acme.connection)
    hold = await acme.ledger.reserve("acme", "h1", 5)
    await acme.closing("acme", settlement=Settlement(hold=hold, cost_nano=3))
    await restore(acme.connection, kept)
    assert (await acme.ledger.standing("acme")).total.spent_nano == 0
    acme.outbox.recall()
    assert await acme.outbox.flush() == 1
    assert (await acme.ledger.standing("acme")).total.spent_nano == 3
    acme.outbox.recall()
    assert await acme.outbox.flush() == 0, "it is said again once"
    assert (await acme.books.verify("acme")).exact


async def dump(connection: Executor) -> dict[bytes, bytes]:
    keys: list[bytes] = await connection.ask(Ask(("KEYS", "*"), lambda reply: reply))
    return {key: await connection.ask(Ask(("DUMP", key), lambda reply: reply)) for key in keys}


async def restore(connection: Executor, kept: dict[bytes, bytes]) -> None:
    await connection.ask(Ask(("FLUSHALL",), ignore))
    for key, value in kept.items():
        await connection.ask(Ask(("RESTORE", key, 0, value), ignore))


async def test_upkeep_ends_abandoned_holds_of_silent_tenants(server: embedded.EmbeddedServer, store: Store) -> None:
    await store.directory.create_tenant("acme")
    await store.directory.create_tenant("closed")
    await store.ledger.close_account("closed")
    await store.ledger.reserve("acme", "h1", 5, lease_s=0.001)
    async with opened(server.url, upkeep=True):
        await until(lambda: nothing_held(store))
    await store.books.rebuild("closed", store.epoch)


async def test_upkeep_survives_an_outage_and_a_mistake_of_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = [StoreUnavailable("away"), RuntimeError("a mistake"), None]
    survived = asyncio.Event()

    async def refresh() -> None:
        error = rounds.pop(0) if rounds else None
        if error is not None:
            raise error
        survived.set()

    monkeypatch.setattr(upkeep, "POLL_S", 0)
    monkeypatch.setattr(store.directory, "refresh", refresh)
    working = asyncio.create_task(store.upkeep.run())
    await asyncio.wait_for(survived.wait(), PATIENCE_S)
    working.cancel()
    assert [record.message for record in caplog.records] == ["the store's upkeep failed; it goes on"]


async def nothing_held(store: Store) -> bool:
    """What the counters say, without the reaping that a look at the standing does."""
    return await store.connection.ask(Ask(("HGET", "b:{acme}:w:t", "h|"), lambda reply: reply == b"0"))


async def test_a_short_pepper_is_refused(server: embedded.EmbeddedServer) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        await Store.connect(server.url, pepper=b"short")


async def test_a_store_that_is_away_refuses_money_and_says_so(acme: Store) -> None:
    ledger = Ledger(Connection("unix:///nowhere.sock"))
    with pytest.raises(StoreUnavailable):
        await ledger.reserve("acme", "h", 1)
    with pytest.raises(StoreUnavailable):
        await Store(Connection("unix:///nowhere.sock"), b"p" * 32).opening("acme", request_id="r")
    await acme.ping()
    with pytest.raises(BudgetExhausted):
        await acme.ledger.reserve("acme", "h", 10**9 + 1)


async def test_a_tenant_whose_books_are_closed_keeps_nobody_else_waiting(acme: Store) -> None:
    await acme.directory.create_tenant("other")
    for tenant in ("acme", "other"):
        for number in range(2):
            hold = await acme.ledger.reserve(tenant, f"h{number}", 5)
            acme.outbox.failed(Settlement(hold=hold, cost_nano=4))
    await acme.ledger.close_account("acme")
    assert await acme.outbox.flush() == 2
    await acme.books.rebuild("acme", acme.epoch)
    assert await acme.outbox.flush() == 2
    assert (await acme.ledger.standing("acme")).total.spent_nano == 8


async def test_holds_of_the_same_id_in_two_tenants_wait_apart(acme: Store) -> None:
    await acme.directory.create_tenant("other")
    for tenant, cost in (("acme", 3), ("other", 4)):
        acme.outbox.failed(Settlement(hold=await acme.ledger.reserve(tenant, "h", 5), cost_nano=cost))
    assert await acme.outbox.flush() == 2
    assert (await acme.ledger.standing("acme")).total.spent_nano == 3
    assert (await acme.ledger.standing("other")).total.spent_nano == 4


async def test_an_outbox_without_room_gives_up_the_oldest_and_says_so(
    acme: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox, "CAPACITY", 2)
    for number in range(3):
        acme.outbox.failed(Settlement(hold=await acme.ledger.reserve("acme", f"h{number}", 5), cost_nano=1))
    assert "hold h0 of acme is left to its lease's estimate" in caplog.text
    assert await acme.outbox.flush() == 2


async def test_tokens_beyond_the_estimate_are_booked_by_the_last_trip_also_where_the_bucket_was_full(
    acme: Store,
) -> None:
    limit = rules(("", Limits(tokens_per_minute=1000)))
    acme.ledger.frozen_ms = 1_800_000_000_000  # the bucket does not fill again meanwhile
    await acme.closing("acme", places=Places(request_id="r1", rules=limit, extra_tokens=500))
    opening = await acme.opening("acme", request_id="r2", rules=limit, tokens=100)
    assert opening.verdict.quotas[0].remaining == 400


async def test_a_reservation_in_doubt_is_released_when_the_outbox_is_sent(acme: Store) -> None:
    hold = await acme.ledger.reserve("acme", "h1", 5)
    acme.ledger.doubt("acme", "h1", 5, ())
    assert await acme.outbox.flush() == 1
    assert (await acme.ledger.standing("acme")).total.held_nano == 0
    assert (await acme.ledger.settle(hold, 0)).charged_nano == 0


async def test_an_answer_that_is_too_large_to_be_kept_is_settled_all_the_same(acme: Store) -> None:
    hold = await acme.ledger.reserve("acme", "h1", 5)
    noise = Answer(key=KEY, content=os.urandom(300_000))
    ending = await acme.closing("acme", settlement=Settlement(hold=hold, cost_nano=3), answer=noise)
    assert ending is not None
    assert (ending.outcome, ending.charged_nano) == ("settled", 3)
    assert await acme.cache.get("acme", KEY) is None
    assert await acme.closing("acme", answer=noise) is None
