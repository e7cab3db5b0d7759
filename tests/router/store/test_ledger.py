from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from router.errors import BudgetExhausted, Conflict, StoreUnavailable
from router.store import Hold, Ledger, State, Store, Terms, Window
from router.store.books import Books
from router.store.connection import Connection, Unanswered
from router.store.ledger import LEASE_S
from router.store.scripts import Ask, Reply
from tests.store_servers import PATIENT_S

DOLLAR = 10**9
DIME = DOLLAR // 10


@pytest.fixture
async def ledger(connection: Connection) -> Ledger:
    """A ledger whose clock stands at noon of 15 March 2026, with a tenant that has $5 a month."""
    ledger = Ledger(connection, frozen_ms=at(2026, 3, 15, 12))
    await ledger.open_account("acme", "g1")
    await ledger.set_budget("acme", "main", 5 * DOLLAR, Window.MONTH)
    return ledger


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]


async def test_a_reservation_is_held_until_it_is_settled_at_its_true_cost(ledger: Ledger) -> None:
    hold = await ledger.reserve("acme", "h1", DIME)
    during = await ledger.standing("acme")
    ending = await ledger.settle(hold, 123_456_789)
    after = await ledger.standing("acme")
    assert (during.month.held_nano, during.purse.remaining_nano) == (DIME, 5 * DOLLAR - DIME)
    assert (ending.outcome, ending.charged_nano) == ("settled", 123_456_789)
    assert (after.month.spent_nano, after.month.held_nano) == (123_456_789, 0)
    assert after.day.spent_nano == after.total.spent_nano == 123_456_789


async def test_day_month_and_all_are_told_apart(ledger: Ledger) -> None:
    for name, moment, cost in (("h1", (2026, 2, 15), 1), ("h2", (2026, 3, 14), 20), ("h3", (2026, 3, 15), 300)):
        ledger.frozen_ms = at(*moment)
        await ledger.settle(await ledger.reserve("acme", name, DIME), cost)
    await ledger.reserve("acme", "h4", 7)
    standing = await ledger.standing("acme")
    assert [meter.spent_nano for meter in (standing.day, standing.month, standing.total)] == [300, 320, 321]
    assert [meter.held_nano for meter in (standing.day, standing.month, standing.total)] == [7, 7, 7]


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


async def test_an_ended_hold_leaves_nothing_for_the_reaper(ledger: Ledger, connection: Connection) -> None:
    await ledger.settle(await ledger.reserve("acme", "h1", DIME), 7)
    await ledger.void(await ledger.reserve("acme", "h2", DIME))
    await ledger.reserve("acme", "h3", DIME)
    assert await connection.ask(Ask(("ZRANGE", "b:{acme}:exp", 0, -1), lambda reply: reply)) == [b"h3"]


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


async def test_an_exhausted_budget_says_what_is_missing_and_when_it_renews(ledger: Ledger) -> None:
    await ledger.reserve("acme", "h1", 4 * DOLLAR)
    with pytest.raises(BudgetExhausted) as caught:
        await ledger.reserve("acme", "h2", DOLLAR + 1)
    error = caught.value
    assert (error.needed_nano, error.remaining_nano) == (DOLLAR + 1, DOLLAR)
    assert error.retry_after_s == (at(2026, 4, 1) - at(2026, 3, 15, 12)) / 1000
    assert "'main' has $1.000000 of $5.000000" in error.message
    assert error.message.endswith(
        "It renews at 2026-04-01 00:00 UTC; or ask the operator for a larger one, or lower max_tokens."
    )


async def test_a_total_budget_never_renews_and_says_so(ledger: Ledger) -> None:
    await ledger.set_budget("acme", "trial", 1, Window.TOTAL)
    with pytest.raises(BudgetExhausted, match=r"\. It does not renew: ask the operator") as caught:
        await ledger.reserve("acme", "h1", 2)
    assert caught.value.retry_after_s is None


async def test_the_last_nano_dollar_can_be_reserved_and_not_one_more(ledger: Ledger) -> None:
    await ledger.reserve("acme", "h1", 5 * DOLLAR - 1)
    await ledger.reserve("acme", "h2", 1)
    with pytest.raises(BudgetExhausted):
        await ledger.reserve("acme", "h3", 1)
    await ledger.reserve("acme", "free", 0)


async def test_several_budgets_are_reserved_together_or_not_at_all(ledger: Ledger) -> None:
    await ledger.set_budget("acme", "daily", DOLLAR, Window.DAY)
    await ledger.set_budget("acme", "one key", DIME, Window.MONTH, scope="key:k1")
    with pytest.raises(BudgetExhausted, match="one key"):
        await ledger.reserve("acme", "h1", DIME + 1, scopes=["key:k1"])
    assert (await ledger.standing("acme", ["key:k1"])).month.held_nano == 0
    await ledger.reserve("acme", "h2", DIME, scopes=["key:k1"])
    await ledger.reserve("acme", "h3", 9 * DIME, scopes=["key:k2"])
    with pytest.raises(BudgetExhausted, match="daily"):
        await ledger.reserve("acme", "h4", 1, scopes=["key:k2"])
    standing = await ledger.standing("acme", ["key:k1"])
    assert {b.name: b.held_nano for b in standing.budgets} == {"main": DOLLAR, "daily": DOLLAR, "one key": DIME}
    assert standing.tightest is not None
    assert standing.tightest.remaining_nano == 0


async def test_the_budget_of_each_scope_counts_what_it_has_spent_and_what_is_held(ledger: Ledger) -> None:
    scopes = ["key:k", "user:u"]
    for scope in scopes:
        await ledger.set_budget("acme", scope, DIME, Window.DAY, scope=scope)
    await ledger.settle(await ledger.reserve("acme", "h1", 60, scopes=scopes), 50)
    await ledger.settle(await ledger.reserve("acme", "h2", 60, scopes=scopes[:1]), 7)
    await ledger.reserve("acme", "h3", 20, scopes=scopes[1:])
    standing = await ledger.standing("acme", scopes)
    counted = {budget.name: (budget.spent_nano, budget.held_nano) for budget in standing.budgets}
    assert counted == {"main": (57, 20), "key:k": (57, 0), "user:u": (50, 20)}
    with pytest.raises(BudgetExhausted, match="key:k"):
        await ledger.reserve("acme", "h4", DIME - 56, scopes=scopes)
    await ledger.reserve("acme", "h5", DIME - 70, scopes=scopes)


async def test_a_tenant_without_a_budget_is_metered_and_unlimited(connection: Connection) -> None:
    ledger = Ledger(connection)
    await ledger.open_account("free", "g1")
    hold = await ledger.reserve("free", "h1", 10**15)
    await ledger.settle(hold, 10**15)
    standing = await ledger.standing("free")
    assert standing.purse.remaining_nano is None
    assert standing.total.spent_nano == 10**15


async def test_a_budget_that_is_set_late_counts_what_was_spent_before(ledger: Ledger) -> None:
    await ledger.settle(await ledger.reserve("acme", "h1", DOLLAR), DOLLAR)
    assert await ledger.set_budget("acme", "daily", DOLLAR, Window.DAY)
    assert not await ledger.set_budget("acme", "daily", DOLLAR, Window.DAY)
    with pytest.raises(BudgetExhausted, match="daily"):
        await ledger.reserve("acme", "h2", 1)
    assert await ledger.remove_budget("acme", "daily")
    assert not await ledger.remove_budget("acme", "daily")
    await ledger.reserve("acme", "h3", 1)
    assert await ledger.remove_budget("acme", "main")
    assert await ledger.budgets("acme") == []
    await ledger.reserve("acme", "h4", 10 * DOLLAR)


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


async def test_spend_belongs_to_the_window_of_its_reservation(ledger: Ledger) -> None:
    ledger.frozen_ms = at(2026, 3, 31, 23, 59)
    hold = await ledger.reserve("acme", "h1", DOLLAR)
    ledger.frozen_ms = at(2026, 4, 1, 0, 1)
    await ledger.renew(hold, if_dead_nano=0, lease_s=600)
    april = await ledger.standing("acme")
    await ledger.settle(hold, DOLLAR)
    assert (april.month.held_nano, april.day.held_nano, april.total.held_nano) == (0, 0, DOLLAR)
    assert (await ledger.standing("acme")).month.spent_nano == 0
    ledger.frozen_ms = at(2026, 3, 31, 23, 59)
    march = await ledger.standing("acme")
    assert (march.month.spent_nano, march.month.held_nano, march.day.spent_nano) == (DOLLAR, 0, DOLLAR)


async def test_a_window_that_had_expired_comes_back_for_a_late_charge_and_for_a_while(
    ledger: Ledger, connection: Connection
) -> None:
    hold = await ledger.reserve("acme", "h1", DOLLAR)
    ledger.frozen_ms = at(2026, 7, 1)
    await ledger.renew(hold, if_dead_nano=0)
    await ledger.reserve("acme", "h2", 1)  # opens July
    await connection.ask(Ask(("DEL", "b:{acme}:w:d:2026-03-15", "b:{acme}:w:m:2026-03"), int))
    await ledger.settle(hold, 42)
    for window in ("d:2026-03-15", "m:2026-03"):
        fields = await connection.ask(Ask(("HMGET", f"b:{{acme}}:w:{window}", "s|", "h|"), lambda reply: reply))
        assert fields == [b"42", b"0"]
        assert await connection.ask(Ask(("TTL", f"b:{{acme}}:w:{window}"), int)) > 0


@pytest.mark.parametrize(
    ("now", "day", "month_start", "month_end"),
    [
        ((2024, 2, 29, 23, 59, 59), (2024, 2, 29), (2024, 2, 1), (2024, 3, 1)),
        ((2026, 2, 28), (2026, 2, 28), (2026, 2, 1), (2026, 3, 1)),
        ((2026, 3, 29, 1, 30), (2026, 3, 29), (2026, 3, 1), (2026, 4, 1)),  # Europe's clocks change
        ((2026, 11, 1, 6, 30), (2026, 11, 1), (2026, 11, 1), (2026, 12, 1)),  # America's clocks change
        ((2026, 4, 30, 12), (2026, 4, 30), (2026, 4, 1), (2026, 5, 1)),
        ((2026, 6, 30, 12), (2026, 6, 30), (2026, 6, 1), (2026, 7, 1)),
        ((2026, 9, 1), (2026, 9, 1), (2026, 9, 1), (2026, 10, 1)),
        ((2026, 11, 30, 12), (2026, 11, 30), (2026, 11, 1), (2026, 12, 1)),
        ((2026, 12, 31, 23, 59, 59), (2026, 12, 31), (2026, 12, 1), (2027, 1, 1)),
        ((2100, 2, 28, 12), (2100, 2, 28), (2100, 2, 1), (2100, 3, 1)),  # no leap year
    ],
)
async def test_windows_are_those_of_the_utc_calendar(
    ledger: Ledger,
    now: tuple[int, ...],
    day: tuple[int, ...],
    month_start: tuple[int, ...],
    month_end: tuple[int, ...],
) -> None:
    ledger.frozen_ms = at(*now)
    await ledger.set_budget("acme", "daily", 1, Window.DAY)
    await ledger.set_budget("acme", "ever", 1, Window.TOTAL)
    budgets = {budget.name: budget for budget in (await ledger.standing("acme")).budgets}
    assert budgets["daily"].starts_at * 1000 == at(*day)
    assert budgets["daily"].ends_at == budgets["daily"].starts_at + 86_400
    assert (budgets["ever"].starts_at, budgets["ever"].ends_at) == (0, None)
    assert (budgets["main"].starts_at * 1000, (budgets["main"].ends_at or 0) * 1000) == (
        at(*month_start),
        at(*month_end),
    )


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


async def test_a_budget_s_name_has_a_letter_at_least_and_64_at_most(ledger: Ledger) -> None:
    assert await ledger.set_budget("acme", "n" * 64, 1, Window.DAY)
    for name in ("", "n" * 65):
        with pytest.raises(ValueError, match="1 to 64"):
            await ledger.set_budget("acme", name, 1, Window.DAY)


@pytest.mark.parametrize(
    ("field", "bad", "good"),
    [
        ("soft", (-0.1, 1.1), (0.0, 1.0)),
        ("rollover", (-0.1, 1.1), (0.0, 1.0)),
        ("rollover_cap_nano", (-1, 2**53), (0, 2**53 - 1)),
        ("alerts", ((0.0,), (1.1,)), ((1.0,), ())),
    ],
)
def test_a_budget_s_terms_lie_within_their_bounds(field: str, bad: tuple[Any, ...], good: tuple[Any, ...]) -> None:
    for value in bad:
        with pytest.raises(ValueError, match=r"0|threshold"):
            Terms(**{field: value})
    assert [getattr(Terms(**{field: value}), field) for value in good] == list(good)


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


@pytest.mark.parametrize("rollover", [0.0, 0.5])
async def test_a_window_is_kept_by_day_for_a_quarter_and_by_month_for_two_years_whatever_is_booked(
    ledger: Ledger, connection: Connection, rollover: float
) -> None:
    await ledger.set_budget("acme", "main", 5 * DOLLAR, Window.MONTH, terms=Terms(rollover=rollover))
    await ledger.set_budget("acme", "day", DOLLAR, Window.DAY, terms=Terms(rollover=rollover))
    ledger.frozen_ms = at(2026, 4, 2, 12)
    for cost in (7, 8):
        await ledger.settle(await ledger.reserve("acme", f"h{cost}", DIME), cost)
    for window, days in (("d:2026-04-02", 0.5 + 100), ("m:2026-04", 28.5 + 800)):
        left_s = await connection.ask(Ask(("PTTL", f"b:{{acme}}:w:{window}"), int)) / 1000
        assert 86_400 * days - PATIENT_S < left_s <= 86_400 * days, window


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


async def test_books_that_are_missing_fail_closed(ledger: Ledger, connection: Connection) -> None:
    with pytest.raises(StoreUnavailable, match="rung ledger rebuild"):
        await ledger.reserve("nobody", "h1", 1)
    await ledger.reserve("acme", "h1", 1)
    await connection.ask(Ask(("DEL", "b:{acme}:w:m:2026-03"), int))
    with pytest.raises(StoreUnavailable, match="m:2026-03 is missing"):
        await ledger.reserve("acme", "h2", 1)


async def test_of_a_thousand_parallel_dimes_five_dollars_admit_exactly_fifty(ledger: Ledger) -> None:
    async def attempt(number: int) -> bool:
        try:
            await ledger.reserve("acme", f"h{number}", DIME)
        except BudgetExhausted:
            return False
        return True

    admitted = await asyncio.gather(*(attempt(number) for number in range(1000)))
    assert sum(admitted) == 50


def test_windows_have_words() -> None:
    assert [Window.parse(word) for word in ("day", "month", "total")] == list(Window)
    assert [window.word for window in Window] == ["day", "month", "total"]
    with pytest.raises(ValueError, match="day, month or total"):
        Window.parse("week")


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


async def test_a_budgets_terms_are_kept_told_and_changed(ledger: Ledger) -> None:
    assert await ledger.set_budget("acme", "main", 5 * DOLLAR, Window.MONTH, terms=Terms(soft=0.8))
    assert not await ledger.set_budget("acme", "main", 5 * DOLLAR, Window.MONTH, terms=Terms(soft=0.8))
    (budget,) = (await ledger.standing("acme")).budgets
    assert (budget.soft, budget.is_past_soft) == (0.8, False)
    assert [grant.terms for grant in await ledger.budgets("acme")] == [Terms(soft=0.8)]
    await ledger.reserve("acme", "h1", 4 * DOLLAR)
    assert (await ledger.standing("acme")).budgets[0].is_past_soft
    assert await ledger.set_budget("acme", "main", 5 * DOLLAR, Window.MONTH)
    assert (await ledger.standing("acme")).budgets[0].soft is None
    assert await ledger.budgets("nobody") == []
    with pytest.raises(ValueError, match="0 to 1"):
        Terms(soft=80)
