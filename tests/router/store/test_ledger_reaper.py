"""Holds whose holder has died, or that the store has lost: what becomes of their money."""

from __future__ import annotations

import pytest

from router.store import Hold, Ledger, State
from router.store.books import Books
from router.store.connection import Connection
from router.store.ledger import LEASE_S
from router.store.scripts import Ask
from tests.router.store.ledgers import DIME, DOLLAR, at
from tests.store_servers import PATIENT_S


@pytest.mark.parametrize(
    ("state", "renewed", "charged"),
    [(State.OPEN, None, 0), (State.CALL, None, DIME), (State.STREAM, None, 0), (State.STREAM, 777, 777)],
)
async def test_the_reaper_charges_what_a_dead_holder_may_have_bought(
    ledger: Ledger, connection: Connection, state: State, renewed: int | None, charged: int
) -> None:
    hold = await ledger.reserve("acme", "h1", DIME)
    assert await ledger.dispatched(hold, state)
    if renewed is not None:
        assert await ledger.renew(hold, if_dead_nano=renewed)
        assert await ledger.renew(hold, if_dead_nano=renewed - 1), "a renewal that was overtaken takes nothing back"
    assert await ledger.reap("acme") == 0
    ledger.frozen_ms = at(2026, 3, 15, 12) + int(LEASE_S * 1000)
    assert await ledger.reap("acme") == 1
    standing = await ledger.standing("acme")
    assert (standing.month.spent_nano, standing.month.held_nano) == (charged, 0)
    entry = [entry async for entry in Books(connection).entries("acme")][-1]
    assert (entry.kind, entry.cost_nano, entry.held_nano) == ("reaped", charged, DIME)
    assert entry.estimated == (state is not State.OPEN), "what was never dispatched has certainly cost nothing"
    assert not await ledger.renew(hold, if_dead_nano=1)


async def test_a_reservation_reaps_on_its_way(ledger: Ledger) -> None:
    for number in range(5):
        await ledger.reserve("acme", f"dead{number}", DOLLAR)
    assert ledger.frozen_ms is not None
    ledger.frozen_ms += int(LEASE_S * 1000)
    await ledger.reserve("acme", "h1", 5 * DOLLAR)
    assert (await ledger.standing("acme")).month.held_nano == 5 * DOLLAR


async def test_a_hold_that_is_lost_or_ended_stands_in_nobody_s_way_among_the_open_ones(
    ledger: Ledger, connection: Connection
) -> None:
    """Or every request of the tenant would fail on it, for each reaps on its way."""
    ended = await ledger.reserve("acme", "ended", DIME)
    await ledger.settle(ended, 7)
    await connection.ask(Ask(("ZADD", "b:{acme}:exp", 1, "ended", 2, "lost"), int))
    proof = await Books(connection, frozen_ms=ledger.frozen_ms).verify("acme")
    assert (proof.exact, proof.open_holds) == (True, 0)
    await ledger.reserve("acme", "h1", DIME)
    assert await connection.ask(Ask(("ZRANGE", "b:{acme}:exp", 0, -1), lambda reply: reply)) == [b"h1"]
    standing = await ledger.standing("acme")
    assert (standing.total.spent_nano, standing.total.held_nano) == (7, DIME)


async def test_ended_holds_are_remembered_for_a_quarter_of_an_hour_and_reaped_ones_for_a_day(
    ledger: Ledger, connection: Connection
) -> None:
    await ledger.settle(await ledger.reserve("acme", "settled", DIME), 7)
    await ledger.void(await ledger.reserve("acme", "void", DIME))
    await ledger.reserve("acme", "reaped", DIME, lease_s=0)
    assert await ledger.reap("acme") == 1
    for name, minutes in (("settled", 15), ("void", 15), ("reaped", 24 * 60)):
        left_s = await connection.ask(Ask(("PTTL", f"b:{{acme}}:h:{name}"), int)) / 1000
        assert 60 * minutes - PATIENT_S < left_s <= 60 * minutes, name


async def test_a_renewed_lease_outlives_the_first(ledger: Ledger) -> None:
    hold = await ledger.reserve("acme", "h1", DIME, state=State.STREAM)
    assert ledger.frozen_ms is not None
    for _ in range(3):
        ledger.frozen_ms += int(LEASE_S * 900)
        assert await ledger.renew(hold, if_dead_nano=1)
    assert (await ledger.standing("acme")).month.held_nano == DIME


@pytest.mark.parametrize("state", list(State))
async def test_a_settlement_after_the_reaper_corrects_its_estimate(
    ledger: Ledger, connection: Connection, state: State
) -> None:
    hold = await ledger.reserve("acme", "h1", DIME, state=state)
    assert ledger.frozen_ms is not None
    ledger.frozen_ms += int(LEASE_S * 1000)
    await ledger.reap("acme")
    ending = await ledger.settle(hold, 42)
    assert (ending.outcome, ending.charged_nano) == ("late", 42)
    assert (await ledger.settle(hold, 42)).outcome == "already"
    assert (await ledger.standing("acme")).total.spent_nano == 42
    left_ms = await connection.ask(Ask(("PTTL", "b:{acme}:h:h1"), int))
    assert 0 < left_ms <= 15 * 60_000, "what is settled is remembered for as long as any other settlement"


async def test_a_void_after_the_reaper_takes_nothing_back(ledger: Ledger) -> None:
    hold = await ledger.reserve("acme", "h1", DIME, state=State.CALL, lease_s=0)
    assert await ledger.reap("acme") == 1
    ending = await ledger.void(hold)
    assert (ending.outcome, ending.charged_nano) == ("already", DIME)
    assert (await ledger.standing("acme")).total.spent_nano == DIME


async def test_a_hold_that_the_store_has_lost_is_charged_when_it_is_settled(
    ledger: Ledger, connection: Connection
) -> None:
    lost = Hold(
        tenant="acme",
        id="lost",
        amount_nano=DIME,
        windows="d:2026-03-15,m:2026-03,t",
        scopes=(),
        reserved_at_ms=at(2026, 3, 15, 11, 59),
    )
    assert (await ledger.void(lost)).outcome == "forgotten"
    assert (await ledger.settle(lost, 42)).outcome == "late"
    again = await ledger.settle(lost, 43)
    assert (again.outcome, again.charged_nano) == ("already", 42)
    (entry,) = [e async for e in Books(connection).entries("acme") if e.kind == "late"]
    assert (entry.id, entry.cost_nano, entry.held_nano) == ("lost", 42, 0)
    standing = await ledger.standing("acme")
    assert (standing.month.spent_nano, standing.month.held_nano) == (42, 0)


@pytest.mark.parametrize(("age_ms", "outcome"), [(15 * 60_000, "late"), (15 * 60_000 + 1, "forgotten")])
async def test_an_unknown_hold_is_charged_while_a_tombstone_would_tell_of_it(
    ledger: Ledger, age_ms: int, outcome: str
) -> None:
    asked_at = at(2026, 3, 15, 12) - age_ms
    lost = Hold(tenant="acme", id="h", amount_nano=1, windows="t", scopes=(), reserved_at_ms=asked_at)
    assert (await ledger.settle(lost, 42)).outcome == outcome


async def test_an_unknown_hold_that_is_older_than_its_tombstone_is_not_charged_again(ledger: Ledger) -> None:
    old = Hold(tenant="acme", id="old", amount_nano=1, windows="t", scopes=(), reserved_at_ms=at(2026, 3, 15, 10, 59))
    ending = await ledger.settle(old, 42)
    assert (ending.outcome, ending.charged_nano) == ("forgotten", 0)
    assert (await ledger.standing("acme")).total.spent_nano == 0


async def test_an_ended_hold_leaves_nothing_for_the_reaper(ledger: Ledger, connection: Connection) -> None:
    await ledger.settle(await ledger.reserve("acme", "h1", DIME), 7)
    await ledger.void(await ledger.reserve("acme", "h2", DIME))
    await ledger.reserve("acme", "h3", DIME)
    assert await connection.ask(Ask(("ZRANGE", "b:{acme}:exp", 0, -1), lambda reply: reply)) == [b"h3"]
