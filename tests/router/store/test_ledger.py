"""Holds: made, settled and voided once, in amounts that are exact."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from router.errors import BudgetExhausted, Conflict, StoreUnavailable
from router.store import Hold, Ledger, Store, Window
from router.store.books import Books
from router.store.connection import Connection, Unanswered
from router.store.scripts import Ask, Reply
from tests.router.store.ledgers import DIME, DOLLAR
from tests.store_servers import PATIENT_S


async def test_a_reservation_is_held_until_it_is_settled_at_its_true_cost(ledger: Ledger) -> None:
    hold = await ledger.reserve("acme", "h1", DIME)
    during = await ledger.standing("acme")
    ending = await ledger.settle(hold, 123_456_789)
    after = await ledger.standing("acme")
    assert (during.month.held_nano, during.purse.remaining_nano) == (DIME, 5 * DOLLAR - DIME)
    assert (ending.outcome, ending.charged_nano) == ("settled", 123_456_789)
    assert (after.month.spent_nano, after.month.held_nano) == (123_456_789, 0)
    assert after.day.spent_nano == after.total.spent_nano == 123_456_789


async def test_a_void_costs_nothing(ledger: Ledger, connection: Connection) -> None:
    hold = await ledger.reserve("acme", "h1", DIME)
    assert (await ledger.void(hold)).outcome == "void"
    month = (await ledger.standing("acme")).month
    assert (month.spent_nano, month.held_nano) == (0, 0)
    entry = [entry async for entry in Books(connection).entries("acme")][-1]
    assert (entry.kind, entry.cost_nano, entry.estimated) == ("void", 0, False), "that is certain"


class Silent(Connection):
    """A connection whose answers nobody reads: the commands may have been executed."""

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        await super().run(*asks)
        raise Unanswered("lost on the way back")


async def test_a_reservation_that_nobody_has_read_is_told_with_enough_to_void_it(
    ledger: Ledger, connection: Connection
) -> None:
    silent, told = Silent(connection.address, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S), list[Hold]()
    await silent.open()
    doubtful = Ledger(silent, frozen_ms=ledger.frozen_ms)
    for hear in (None, told.append):
        doubtful.on_doubt = hear
        with pytest.raises(Unanswered):
            await doubtful.reserve("acme", "h1", DIME, scopes=["key:k"])
    await silent.close()
    (hold,) = told
    assert hold == Hold(tenant="acme", id="h1", amount_nano=DIME, windows="", scopes=("key:k",), reserved_at_ms=0), (
        "no window to charge it in"
    )
    assert (await ledger.void(hold)).outcome == "void"
    assert (await ledger.standing("acme")).total.held_nano == 0


async def test_a_reservation_whose_caller_leaves_is_told_too(ledger: Ledger) -> None:
    told = list[str]()
    ledger.on_doubt = lambda hold: told.append(hold.id)
    reserving = asyncio.create_task(ledger.reserve("acme", "h1", DIME))
    await asyncio.sleep(0)
    reserving.cancel()
    await asyncio.gather(reserving, return_exceptions=True)
    with pytest.raises(BudgetExhausted):
        await ledger.reserve("acme", "h2", 6 * DOLLAR)
    assert told == ["h1"], "a refusal leaves no doubt"


async def test_a_settlement_counts_once_however_often_it_is_sent(ledger: Ledger) -> None:
    hold = await ledger.reserve("acme", "h1", DIME)
    await ledger.settle(hold, 7)
    again = [await ledger.settle(hold, 9), await ledger.void(hold)]
    assert [(ending.outcome, ending.charged_nano) for ending in again] == [("already", 7)] * 2
    assert (await ledger.standing("acme")).total.spent_nano == 7


async def test_a_reservation_counts_once_however_often_it_is_sent(ledger: Ledger) -> None:
    first = await ledger.reserve("acme", "h1", DIME)
    assert await ledger.reserve("acme", "h1", DIME) == first
    assert (await ledger.standing("acme")).month.held_nano == DIME


async def test_the_id_of_an_ended_hold_cannot_be_reserved_again(ledger: Ledger) -> None:
    await ledger.settle(await ledger.reserve("acme", "h1", DIME), 7)
    with pytest.raises(Conflict, match="new id"):
        await ledger.reserve("acme", "h1", DIME)


async def test_an_account_is_opened_once_and_stays_as_it_is(ledger: Ledger, connection: Connection) -> None:
    await ledger.reserve("acme", "h1", DIME)
    assert [await ledger.open_account(tenant, "g2") for tenant in ("acme", "other", "other")] == [False, True, False]
    assert (await ledger.standing("acme")).total.held_nano == DIME
    assert await connection.ask(Ask(("HGET", "b:{acme}:acct", "gen"), lambda reply: reply)) == b"g1"


@pytest.mark.parametrize("amount", [-1, 2**53, 10**30])
async def test_amounts_that_cannot_be_counted_exactly_are_refused(ledger: Ledger, amount: int) -> None:
    with pytest.raises(ValueError, match="nano-dollars"):
        await ledger.reserve("acme", "h1", amount)


@pytest.mark.parametrize("amount", ["nan", "inf", "-1", "1.5", "1e17", "x", ""])
async def test_the_scripts_themselves_refuse_what_is_no_amount(
    ledger: Ledger, connection: Connection, amount: str
) -> None:
    hold = await ledger.reserve("acme", "h1", DIME)
    good = ledger.settle_ask(hold, 77)
    bad = tuple(amount if word == 77 else word for word in good.command)
    with pytest.raises(StoreUnavailable, match="BADAMOUNT"):
        await connection.ask(Ask(bad, int, good.source))
    assert (await ledger.standing("acme")).month.held_nano == DIME


async def test_amounts_stay_exact_at_the_edge_of_what_doubles_can_hold(connection: Connection) -> None:
    ledger = Ledger(connection)
    await ledger.open_account("rich", "g1")
    await ledger.set_budget("rich", "main", 2**53 - 1, Window.TOTAL)
    hold = await ledger.reserve("rich", "h1", 2**53 - 2)
    await ledger.settle(hold, 2**53 - 2)
    assert (await ledger.standing("rich")).purse.remaining_nano == 1


async def test_books_that_are_missing_fail_closed(ledger: Ledger, connection: Connection) -> None:
    with pytest.raises(StoreUnavailable, match="rung ledger rebuild"):
        await ledger.reserve("nobody", "h1", 1)
    await ledger.reserve("acme", "h1", 1)
    await connection.ask(Ask(("DEL", "b:{acme}:w:m:2026-03"), int))
    with pytest.raises(StoreUnavailable, match="m:2026-03 is missing"):
        await ledger.reserve("acme", "h2", 1)


async def test_the_clock_is_the_stores_own(store: Store) -> None:
    await store.directory.create_tenant("acme")
    hold = await store.ledger.reserve("acme", "h1", 1)
    standing = await store.ledger.standing("acme")
    assert 0 <= standing.now * 1000 - hold.reserved_at_ms < 60_000
    assert abs(standing.now - datetime.now(UTC).timestamp()) < 60


async def test_the_clock_counts_the_milliseconds_and_never_runs_back(store: Store) -> None:
    await store.directory.create_tenant("acme")
    told = Ask(("TIME",), lambda reply: int(reply[0]) * 1000 + int(reply[1]) // 1000)
    for number in range(20):
        before = await store.connection.ask(told)
        hold = await store.ledger.reserve("acme", f"h{number}", 1)
        assert before <= hold.reserved_at_ms <= await store.connection.ask(told)
