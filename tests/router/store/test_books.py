from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from router.errors import StoreUnavailable
from router.store import Connection, State, Store, Terms, Window, epoch
from router.store import books as books_module
from router.store.books import Books, complete
from router.store.record import Entry
from router.store.scripts import Ask, Reply, ignore, text
from tests.store_servers import PATIENT_S, until


@pytest.fixture
async def acme(store: Store) -> Store:
    """A tenant with a budget, 30 settlements of a thousand and some nano-dollars, one void and one open hold."""
    await store.directory.create_tenant("acme")
    await store.ledger.set_budget("acme", "main", 10**9, Window.MONTH)
    for number in range(30):
        hold = await store.ledger.reserve("acme", f"h{number}", 5000, scopes=[f"key:{number % 2}"])
        await store.ledger.settle(hold, 1000 + number, estimated=number == 3, facts=b'{"model": "m"}')
    await store.ledger.void(await store.ledger.reserve("acme", "void", 5000))
    await store.ledger.reserve("acme", "open", 777, scopes=["key:0"])
    return store


async def exported(store: Store) -> list[Entry]:
    return [entry async for entry in store.books.entries("acme")]


async def test_the_record_tells_everything_that_moved_money(acme: Store) -> None:
    entries = await exported(acme)
    assert [entry.kind for entry in entries] == ["budget", *["settled"] * 30, "void"]
    third = entries[4]
    assert (third.id, third.cost_nano, third.held_nano, third.estimated, third.facts) == (
        ("h3", 1003, 5000, True, b'{"model": "m"}')
    )
    assert third.scopes == ("", "key:1")
    assert (entries[0].cost_nano, entries[0].held_nano, entries[0].windows) == (0, 0, ())
    assert [Entry.load(entry.dump()) for entry in entries] == entries


async def test_exact_books_prove_exact(acme: Store) -> None:
    proof = await acme.books.verify("acme")
    assert proof.exact
    assert (proof.open_holds, proof.spent_nano) == (1, sum(range(1000, 1030)))


@pytest.mark.parametrize("field", ["s|", "h|", "s|key:1", "h|key:9"])
async def test_one_nano_dollar_of_difference_is_found(acme: Store, field: str) -> None:
    await acme.connection.ask(Ask(("HINCRBY", "b:{acme}:w:t", field, 1), int))
    proof = await acme.books.verify("acme")
    assert not proof.exact
    (difference,) = proof.differences
    assert (difference.window, difference.scope) == ("t", field[2:])
    assert difference.what == {"s": "spent", "h": "held"}[field[0]]
    assert difference.counter_nano == difference.record_nano + 1


@pytest.mark.parametrize(("field", "record"), [("s|", sum(range(1000, 1030))), ("h|key:0", 777)])
async def test_a_counter_that_is_gone_is_found(acme: Store, field: str, record: int) -> None:
    await acme.connection.ask(Ask(("HDEL", "b:{acme}:w:t", field), int))
    (difference,) = (await acme.books.verify("acme")).differences
    assert (difference.window, difference.scope, difference.counter_nano) == ("t", field[2:], 0)
    assert difference.record_nano == record


@pytest.mark.parametrize(
    ("window", "began"), [("d:2026-03-31", (2026, 3, 31)), ("m:2026-03", (2026, 3, 1))], ids=["day", "month"]
)
def test_the_record_holds_all_of_a_window_that_began_after_what_is_folded(window: str, began: tuple[int, ...]) -> None:
    began_ms = int(datetime(*began, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]
    assert complete(window, {})
    assert complete(window, {"upto": f"{began_ms - 1}-7"})
    assert not complete(window, {"upto": f"{began_ms}-0"}), "it may have lost its first entry"
    assert not complete(window, {"upto": f"{began_ms + 10**9}-0"})
    assert complete(window, {"upto": f"{began_ms + 10**9}-0", f"{window}|": "5"}), "its sum is in the checkpoint"


@pytest.mark.parametrize("window", ["d:2026-03-31", "m:2026-03", "t"])
@pytest.mark.parametrize("asked_on", [(2026, 3, 31), (2026, 4, 3)], ids=["at once", "days later"])
async def test_every_window_is_proved_whether_or_not_money_is_held_in_it(
    store: Store, window: str, asked_on: tuple[int, ...]
) -> None:
    """Also those that were opened last, when nobody has asked since, and their entries have been folded."""
    await store.directory.create_tenant("acme")
    freeze(store, 2026, 3, 31)
    await store.ledger.settle(await store.ledger.reserve("acme", "h", 10), 7)
    freeze(store, *asked_on)
    await store.books.compact("acme", keep=0)
    assert (await store.books.verify("acme")).exact
    await store.connection.ask(Ask(("HINCRBY", f"b:{{acme}}:w:{window}", "s|", 1), int))
    (difference,) = (await store.books.verify("acme")).differences
    assert (difference.window, difference.counter_nano, difference.record_nano) == (window, 8, 7)


async def test_books_are_proved_under_traffic(acme: Store) -> None:
    async def spend(worker: int) -> None:
        for number in range(50):
            hold = await acme.ledger.reserve("acme", f"w{worker}-{number}", 10)
            await acme.ledger.settle(hold, 7)

    spending = [asyncio.create_task(spend(worker)) for worker in range(8)]
    proofs = [await acme.books.verify("acme") for _ in range(10)]
    await asyncio.gather(*spending)
    assert all(proof.exact for proof in proofs)
    assert (await acme.books.verify("acme")).entries == 32 + 400


async def test_an_account_that_was_lost_fails_closed_until_it_is_rebuilt_from_the_record(acme: Store) -> None:
    before = await acme.ledger.standing("acme", ["key:0"])
    for key in ("acct", "w:t"):
        await acme.connection.ask(Ask(("DEL", f"b:{{acme}}:{key}"), int))
    with pytest.raises(StoreUnavailable, match="rung ledger rebuild"):
        await acme.ledger.reserve("acme", "h", 1)
    proof = await acme.books.rebuild("acme", acme.epoch)
    after = await acme.ledger.standing("acme", ["key:0"])
    assert proof.exact
    generation = (await acme.directory.tenant("acme")).generation
    assert await acme.connection.ask(Ask(("HGET", "b:{acme}:acct", "gen"), text)) == generation
    assert (after.total, after.budgets) == (before.total, before.budgets)
    await acme.ledger.reserve("acme", "h", 1)


async def test_an_emptied_store_is_rebuilt_from_an_export_and_late_settlements_still_charge(acme: Store) -> None:
    hold = await acme.ledger.reserve("acme", "flying", 50)
    saved = [entry.dump() for entry in await exported(acme)]
    await acme.connection.ask(Ask(("FLUSHALL",), ignore))
    with pytest.raises(StoreUnavailable):
        await acme.ledger.reserve("acme", "h", 1)
    await epoch.restore(acme.connection, acme.epoch)
    proof = await acme.books.rebuild("acme", acme.epoch, [Entry.load(line) for line in saved])
    await acme.directory.declare_tenant("acme")
    assert proof.exact
    assert proof.spent_nano == sum(range(1000, 1030))
    assert (await acme.ledger.settle(hold, 7)).outcome == "late"
    standing = await acme.ledger.standing("acme")
    assert [budget.limit_nano for budget in standing.budgets] == [10**9]
    assert standing.month.spent_nano == proof.spent_nano + 7
    assert (await acme.books.verify("acme")).exact


async def test_a_shortened_record_proves_and_rebuilds_the_same_books(acme: Store) -> None:
    before = await acme.ledger.standing("acme", ["key:0"])
    assert [await acme.books.compact("acme", keep=5) for _ in range(2)] == [27, 0]
    assert len(await exported(acme)) == 5
    assert (await acme.books.verify("acme")).exact
    for key in ("acct", "w:t"):
        await acme.connection.ask(Ask(("DEL", f"b:{{acme}}:{key}"), int))
    assert (await acme.books.rebuild("acme", acme.epoch)).exact
    assert (await acme.ledger.standing("acme", ["key:0"])).total == before.total


async def test_many_entries_are_shortened_and_read_in_pieces(acme: Store) -> None:
    async def spend(number: int) -> None:
        await acme.ledger.settle(await acme.ledger.reserve("acme", f"m{number}", 10), 7)

    await asyncio.gather(*(spend(number) for number in range(1200)))
    assert len(await exported(acme)) == 32 + 1200
    assert (await acme.books.verify("acme")).entries == 32 + 1200
    assert await acme.books.compact("acme", keep=10) == 32 + 1190
    proof = await acme.books.verify("acme")
    assert (proof.exact, proof.entries) == (True, 10)


async def test_a_refund_is_booked_once_with_who_and_why(acme: Store) -> None:
    before = (await acme.ledger.standing("acme")).total.spent_nano
    for expected in (True, False):
        assert await acme.books.adjust("acme", "r-1", -500, reason="bad answer", by="ops") == expected
    left_s = await acme.connection.ask(Ask(("TTL", "b:{acme}:h:adj-r-1"), int))
    assert 86_400 - PATIENT_S < left_s <= 86_400, "it is known for a day"
    entry = (await exported(acme))[-1]
    assert (entry.kind, entry.cost_nano, entry.held_nano) == ("adjust", -500, 0)
    assert entry.facts == b'{"reason":"bad answer","by":"ops"}'
    assert (await acme.ledger.standing("acme")).total.spent_nano == before - 500
    assert (await acme.books.verify("acme")).exact


async def test_books_are_never_restored_under_an_open_account(acme: Store) -> None:
    restore = books_module._RESTORE.ask(["b:{acme}:acct"], ["g", ""], int)  # pyright: ignore[reportPrivateUsage] # the door under test
    with pytest.raises(StoreUnavailable, match="OPENBOOKS"):
        await acme.connection.ask(restore)
    assert (await acme.books.verify("acme")).exact


async def test_a_correction_after_the_reaper_is_recorded_as_the_difference(acme: Store) -> None:
    before = (await acme.books.verify("acme")).spent_nano
    hold = await acme.ledger.reserve("acme", "slow", 5000, state=State.CALL, lease_s=0.001)
    await until(lambda: reaped(acme))
    assert (await acme.ledger.settle(hold, 4200)).outcome == "late"
    told = [(entry.kind, entry.cost_nano, entry.held_nano) for entry in (await exported(acme))[-2:]]
    assert told == [("reaped", 5000, 5000), ("late", -800, 0)]
    proof = await acme.books.verify("acme")
    assert (proof.exact, proof.spent_nano) == (True, before + 4200)


async def reaped(store: Store) -> bool:
    return await store.ledger.reap("acme") == 1


async def test_nothing_moves_in_closed_books(acme: Store) -> None:
    hold = await acme.ledger.reserve("acme", "h", 5000)
    await acme.ledger.close_account("acme")
    for call in (
        acme.ledger.settle(hold, 1),
        acme.ledger.void(hold),
        acme.ledger.renew(hold, if_dead_nano=1),
        acme.ledger.reap("acme"),
        acme.ledger.standing("acme"),
        acme.ledger.set_budget("acme", "x", 1, Window.DAY),
        acme.books.adjust("acme", "a", 1, reason="r", by="b"),
    ):
        with pytest.raises(StoreUnavailable, match="rung ledger rebuild"):
            await call
    proof = await acme.books.rebuild("acme", acme.epoch)
    assert (proof.exact, proof.open_holds) == (True, 2)


async def test_a_shortened_record_knows_which_windows_it_still_holds_whole(store: Store) -> None:
    """A hold of March that ends in April is folded; what April spends afterwards is rebuilt all the same."""
    await store.directory.create_tenant("acme")
    freeze(store, 2026, 3, 31)
    old = await store.ledger.reserve("acme", "old", 100)
    await store.ledger.settle(await store.ledger.reserve("acme", "older", 100), 50)
    freeze(store, 2026, 4, 2)
    await store.ledger.reserve("acme", "opens April", 1)
    assert (await store.ledger.settle(old, 70)).outcome == "late"
    assert await store.books.compact("acme", keep=0) > 0
    windows = await store.connection.ask(Ask(("HKEYS", "b:{acme}:ckpt"), lambda reply: {key[:2] for key in reply}))
    assert windows == {b"d:", b"m:", b"t|", b"up"}
    sums = await store.connection.ask(Ask(("HMGET", "b:{acme}:ckpt", "m:2026-03|", "m:2026-04|"), lambda reply: reply))
    assert sums == [None, b"0"], "March is over: only its sum in all is kept"
    freeze(store, 2026, 4, 3)
    await store.ledger.settle(await store.ledger.reserve("acme", "new", 100), 9)
    for key in ("acct", "w:t", "w:m:2026-04"):
        await store.connection.ask(Ask(("DEL", f"b:{{acme}}:{key}"), int))
    proof = await store.books.rebuild("acme", store.epoch)
    standing = await store.ledger.standing("acme")
    assert (proof.exact, proof.spent_nano) == (True, 50 + 70 + 9)
    assert (standing.month.spent_nano, standing.total.spent_nano) == (9, 50 + 70 + 9)


def freeze(store: Store, *moment: int) -> None:
    now_ms = int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]
    store.ledger.frozen_ms = store.books.frozen_ms = now_ms


async def test_sums_of_windows_that_are_over_leave_the_checkpoint(store: Store) -> None:
    await store.directory.create_tenant("acme")
    for moment, cost in (((2026, 3, 31), 5), ((2026, 4, 2), 7)):
        freeze(store, *moment)
        await store.ledger.settle(await store.ledger.reserve("acme", f"h{cost}", 10), cost)
        await store.books.compact("acme", keep=0)
    kept = await store.connection.ask(Ask(("HGETALL", "b:{acme}:ckpt"), list))
    sums = dict(zip(kept[::2], kept[1::2], strict=True))
    del sums[b"upto"]
    assert sums == {b"t|": b"12", b"m:2026-04|": b"7", b"d:2026-04-02|": b"7"}


async def test_a_counter_that_is_gone_is_found_though_its_payer_was_last_seen_in_a_window_that_is_over(
    store: Store,
) -> None:
    await store.directory.create_tenant("acme")
    for moment, scope, cost in (((2026, 3, 31), "key:a", 5), ((2026, 4, 2), "key:b", 7)):
        freeze(store, *moment)
        await store.ledger.settle(await store.ledger.reserve("acme", scope[-1], 10, scopes=[scope]), cost)
        await store.books.compact("acme", keep=0)
    await store.connection.ask(Ask(("HDEL", "b:{acme}:w:t", "s|key:a"), int))
    (difference,) = (await store.books.verify("acme")).differences
    assert (difference.scope, difference.counter_nano, difference.record_nano) == ("key:a", 0, 5)


async def test_a_window_that_the_record_holds_in_part_is_left_as_it_is(store: Store) -> None:
    await store.directory.create_tenant("acme")
    freeze(store, 2026, 3, 31)
    for name, cost in (("a", 50), ("b", 60)):
        await store.ledger.settle(await store.ledger.reserve("acme", name, 100), cost)
    freeze(store, 2026, 4, 2)
    await store.ledger.settle(await store.ledger.reserve("acme", "c", 100), 9)
    assert await store.books.compact("acme", keep=2) == 1
    await store.ledger.close_account("acme")
    assert (await store.books.rebuild("acme", store.epoch)).exact
    freeze(store, 2026, 3, 31)
    assert (await store.ledger.standing("acme")).month.spent_nano == 110


class Compacting(Connection):
    """A connection on which the record is shortened between two pieces of a reading."""

    def __init__(self, url: str, store: Store, keep: int) -> None:
        super().__init__(url, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
        self._store = store
        self._keep = keep
        self.pieces = 0

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        replies = await super().run(*asks)
        self.pieces += 1
        if self.pieces == 1:
            await self._store.books.compact("acme", keep=self._keep)
        return replies


@pytest.mark.parametrize("keep", [10, 199, 200, 201], ids=lambda keep: f"{keep} left")
async def test_a_record_that_is_shortened_while_it_is_read_still_proves(store: Store, keep: int) -> None:
    await store.directory.create_tenant("acme")

    async def spend(number: int) -> None:
        await store.ledger.settle(await store.ledger.reserve("acme", f"m{number}", 10), 7)

    await asyncio.gather(*(spend(number) for number in range(700)))
    connection = Compacting(f"unix://{store.connection.address.path}", store, keep)
    await connection.open()
    proof = await Books(connection).verify("acme")
    await connection.close()
    assert connection.pieces > 1
    assert (proof.exact, proof.spent_nano) == (True, 4900)


async def test_the_name_of_the_books_is_remembered_where_no_folder_was_yet(acme: Store, tmp_path: Path) -> None:
    memory = tmp_path / "data" / "store" / "epoch"
    assert await epoch.enter(acme.connection, memory) == acme.epoch
    assert memory.read_text("utf-8") == acme.epoch


async def test_a_disk_that_takes_nothing_costs_a_warning_and_not_the_start(
    acme: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert await epoch.enter(acme.connection, tmp_path / "file" / "epoch") == acme.epoch
    assert "cannot be written" in caplog.text


async def test_an_export_adds_nothing_to_a_record_that_is_whole_and_what_is_missing_to_one_that_is_not(
    acme: Store,
) -> None:
    saved = await exported(acme)
    assert (await acme.books.rebuild("acme", acme.epoch, saved)).exact
    assert await exported(acme) == saved
    await acme.connection.ask(Ask(("DEL", "b:{acme}:led"), int))
    for there in (saved[:-2], saved):
        proof = await acme.books.rebuild("acme", acme.epoch, there)
        assert (proof.exact, proof.entries) == (True, len(there))
    assert await exported(acme) == saved


async def test_a_budget_that_was_removed_does_not_come_back_with_an_export(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "gone", 5, Window.DAY)
    await acme.ledger.remove_budget("acme", "gone")
    saved = await exported(acme)
    await acme.connection.ask(Ask(("FLUSHALL",), ignore))
    await epoch.restore(acme.connection, acme.epoch)
    await acme.books.rebuild("acme", acme.epoch, saved)
    await acme.directory.declare_tenant("acme")
    assert "gone" not in {budget.name for budget in (await acme.ledger.standing("acme")).budgets}


@pytest.mark.parametrize("terms", [Terms(), Terms(rollover=0.5)])
async def test_a_budget_that_was_removed_does_not_come_back_from_a_shortened_record(acme: Store, terms: Terms) -> None:
    for name in ("gone", "kept|apart"):
        await acme.ledger.set_budget("acme", name, 5, Window.DAY, terms=terms)
    await acme.ledger.remove_budget("acme", "gone")
    before = await acme.ledger.budgets("acme")
    await acme.books.compact("acme", keep=0)
    await acme.connection.ask(Ask(("DEL", "b:{acme}:acct"), int))
    assert (await acme.books.rebuild("acme", acme.epoch)).exact
    assert await acme.ledger.budgets("acme") == before
    assert {grant.name for grant in before} == {"main", "kept|apart"}


async def test_what_is_said_of_a_budget_after_its_record_was_shortened_is_what_holds(acme: Store) -> None:
    for name in ("gone", "changed"):
        await acme.ledger.set_budget("acme", name, 5, Window.DAY)
    await acme.books.compact("acme", keep=0)
    await acme.ledger.remove_budget("acme", "gone")
    await acme.ledger.set_budget("acme", "changed", 6, Window.DAY)
    await acme.connection.ask(Ask(("DEL", "b:{acme}:acct"), int))
    assert (await acme.books.rebuild("acme", acme.epoch)).exact
    budgets = await acme.ledger.budgets("acme")
    assert [(grant.name, grant.limit_nano) for grant in budgets] == [("changed", 6), ("main", 10**9)]


async def test_windows_in_which_money_is_held_and_none_was_spent_are_rebuilt_too(store: Store) -> None:
    await store.directory.create_tenant("acme")
    await store.ledger.reserve("acme", "h", 5)
    before = await store.ledger.standing("acme")
    await store.ledger.close_account("acme")
    assert (await store.books.rebuild("acme", store.epoch)).exact
    after = await store.ledger.standing("acme")
    assert (after.day, after.month, after.total) == (before.day, before.month, before.total)
    assert after.day.held_nano == 5


async def test_rebuilding_undoes_whatever_else_stood_in_the_counters(acme: Store) -> None:
    keys = await acme.connection.ask(Ask(("KEYS", "b:{acme}:w:*"), lambda reply: [text(key) for key in reply]))
    for key in keys:
        await acme.connection.ask(Ask(("HSET", key, "s|key:9", 7, "h|key:0", 9), int))
    assert len((await acme.books.verify("acme")).differences) == 2 * len(keys) == 6
    assert (await acme.books.rebuild("acme", acme.epoch)).exact


async def test_rebuilt_windows_are_kept_as_long_as_others(acme: Store) -> None:
    await acme.books.rebuild("acme", acme.epoch)
    keys = await acme.connection.ask(Ask(("KEYS", "b:{acme}:w:[dm]:*"), lambda reply: [text(key) for key in reply]))
    days = {key.split(":")[3]: await acme.connection.ask(Ask(("TTL", key), int)) / 86_400 for key in keys}
    assert 99 < days["d"] <= 101
    assert 799 < days["m"] <= 831


async def test_the_proof_of_a_tenant_that_bought_nothing_is_zero(store: Store) -> None:
    await store.directory.create_tenant("frugal")
    proof = await store.books.verify("frugal")
    assert (proof.spent_nano, proof.entries, proof.differences) == (0, 0, ())
