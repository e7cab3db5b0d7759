"""Budgets and the windows that they count in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.errors import BudgetExhausted
from router.store import Ledger, Terms, Window
from router.store.connection import Connection
from router.store.scripts import Ask
from tests.router.store.ledgers import DIME, DOLLAR, at
from tests.store_servers import PATIENT_S


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


async def test_of_a_thousand_parallel_dimes_five_dollars_admit_exactly_fifty(ledger: Ledger) -> None:
    async def attempt(number: int) -> bool:
        try:
            await ledger.reserve("acme", f"h{number}", DIME)
        except BudgetExhausted:
            return False
        return True

    admitted = await asyncio.gather(*(attempt(number) for number in range(1000)))
    assert sum(admitted) == 50


async def test_day_month_and_all_are_told_apart(ledger: Ledger) -> None:
    for name, moment, cost in (("h1", (2026, 2, 15), 1), ("h2", (2026, 3, 14), 20), ("h3", (2026, 3, 15), 300)):
        ledger.frozen_ms = at(*moment)
        await ledger.settle(await ledger.reserve("acme", name, DIME), cost)
    await ledger.reserve("acme", "h4", 7)
    standing = await ledger.standing("acme")
    assert [meter.spent_nano for meter in (standing.day, standing.month, standing.total)] == [300, 320, 321]
    assert [meter.held_nano for meter in (standing.day, standing.month, standing.total)] == [7, 7, 7]


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


def test_windows_have_words() -> None:
    assert [Window.parse(word) for word in ("day", "month", "total")] == list(Window)
    assert [window.word for window in Window] == ["day", "month", "total"]
    with pytest.raises(ValueError, match="day, month or total"):
        Window.parse("week")
