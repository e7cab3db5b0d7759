"""What is left of a window goes on into the next: to the nano-dollar, once, and proven by the record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from router.errors import BudgetExhausted
from router.store import Budget, Store, Terms, Window, embedded
from router.store.scripts import Ask, Reply, ignore
from tests.store_servers import opened

HALF = Terms(rollover=0.5)
ALL = Terms(rollover=1.0)


@pytest.fixture
async def acme(store: Store) -> Store:
    """A tenant whose clock stands at the first of March."""
    await store.directory.create_tenant("acme")
    freeze(store, 2026, 3, 1)
    return store


def freeze(store: Store, *moment: int) -> None:
    now_ms = int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]
    store.ledger.frozen_ms = store.books.frozen_ms = now_ms


async def spend(store: Store, name: str, nano: int, tenant: str = "acme") -> None:
    await store.ledger.settle(await store.ledger.reserve(tenant, name, nano), nano)


async def budget(store: Store, tenant: str = "acme") -> Budget:
    return (await store.ledger.standing(tenant)).budgets[0]


async def exact(store: Store, tenant: str = "acme") -> bool:
    return (await store.books.verify(tenant)).differences == ()


async def test_a_share_of_what_is_left_is_in_the_next_windows_limit(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=HALF)
    await spend(acme, "a", 399)
    await acme.ledger.reserve("acme", "open", 1, lease_s=90_000)
    freeze(acme, 2026, 3, 2)
    today = await budget(acme)
    assert (today.limit_nano, today.rolled_nano, today.spent_nano, today.soft) == (1300, 300, 0, None)
    await spend(acme, "b", 1300)
    with pytest.raises(BudgetExhausted, match=r"\$0.000001"):
        await spend(acme, "c", 1)
    assert await exact(acme)
    (entry,) = [e async for e in acme.books.entries("acme") if e.kind == "roll"]
    assert (entry.id, entry.cost_nano, entry.held_nano, entry.windows) == ("day", 0, 300, ("d:2026-03-02",))
    assert orjson.loads(entry.facts) == {
        "from": "d:2026-03-01",
        "windows": "1",
        "limit": "1000",
        "rolled": "0",
        "spent": "399",
        "held": "1",
        "roll": "0.5",
    }


async def test_nothing_rolls_over_into_the_window_in_which_a_budget_is_set(acme: Store) -> None:
    await spend(acme, "a", 1)
    freeze(acme, 2026, 3, 2)
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    assert (await budget(acme)).limit_nano == 1000
    freeze(acme, 2026, 3, 3)
    assert (await budget(acme)).limit_nano == 2000
    assert await exact(acme)


async def test_a_cap_bounds_what_is_kept_and_idle_windows_add_up_to_it(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=Terms(rollover=1.0, rollover_cap_nano=2500))
    await spend(acme, "a", 400)
    freeze(acme, 2026, 3, 3)
    assert (await budget(acme)).rolled_nano == 1600
    freeze(acme, 2026, 3, 31)
    assert (await budget(acme)).rolled_nano == 2500
    assert await exact(acme)


async def test_a_month_rolls_over_the_turn_of_the_year(acme: Store) -> None:
    freeze(acme, 2026, 11, 30)
    await acme.ledger.set_budget("acme", "month", 1000, Window.MONTH, terms=ALL)
    freeze(acme, 2027, 2, 1)
    assert (await budget(acme)).rolled_nano == 3000
    assert await exact(acme)


async def test_a_day_s_rest_goes_on_over_every_turn_of_a_month_and_over_leap_days(acme: Store) -> None:
    freeze(acme, 2027, 12, 1)
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    turns = [datetime(2028, month, 1, tzinfo=UTC) for month in range(1, 13)] + [datetime(2028, 2, 29, tzinfo=UTC)]
    for first in sorted(turns):
        last = first - timedelta(days=1)
        freeze(acme, last.year, last.month, last.day)
        await spend(acme, f"on {last:%F}", (await budget(acme)).limit_nano - 7)
        freeze(acme, first.year, first.month, first.day)
        assert (await budget(acme)).rolled_nano == 7, first


async def test_a_window_s_turn_moves_the_budgets_of_its_kind_alone_and_of_those_that_roll_over(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    await acme.ledger.set_budget("acme", "plain", 1000, Window.DAY)
    await acme.ledger.set_budget("acme", "month", 5000, Window.MONTH, terms=HALF)
    freeze(acme, 2026, 4, 1)
    await budget(acme)
    carried = {
        window: await acme.connection.ask(Ask(("HGETALL", f"b:{{acme}}:w:{window}"), fields_of))
        for window in ("d:2026-04-01", "m:2026-04", "t")
    }
    assert carried == {"d:2026-04-01": {b"r|day"}, "m:2026-04": {b"r|month"}, "t": set()}
    assert await exact(acme)


def fields_of(reply: Reply) -> set[bytes]:
    return {field for field in reply[::2] if field.startswith(b"r|")}


async def test_what_is_held_at_the_turn_counts_as_spent_and_settles_where_it_was_reserved(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    hold = await acme.ledger.reserve("acme", "over midnight", 400)
    freeze(acme, 2026, 3, 1, 23, 59, 59)
    await acme.ledger.renew(hold, if_dead_nano=0, lease_s=100)
    freeze(acme, 2026, 3, 2)
    assert (await budget(acme)).rolled_nano == 600
    await acme.ledger.settle(hold, 100)
    assert (await budget(acme)).rolled_nano == 600
    assert await exact(acme)


async def test_an_overshoot_is_not_carried_over(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 100, Window.DAY, terms=ALL)
    await acme.ledger.settle(await acme.ledger.reserve("acme", "a", 100), 250)
    freeze(acme, 2026, 3, 2)
    assert (await budget(acme)).limit_nano == 100
    assert "roll" not in {entry.kind async for entry in acme.books.entries("acme")}, "nothing went on"


async def test_a_limit_that_changes_after_the_turn_does_not_change_what_was_left(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    freeze(acme, 2026, 3, 2)
    await acme.ledger.set_budget("acme", "day", 50, Window.DAY, terms=HALF)
    assert (await budget(acme)).limit_nano == 1050
    freeze(acme, 2026, 3, 3)
    assert (await budget(acme)).limit_nano == 50 + 525
    assert await exact(acme)


async def test_a_budget_that_stops_rolling_over_loses_what_it_had_and_begins_anew(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    freeze(acme, 2026, 3, 2)
    assert (await budget(acme)).limit_nano == 2000
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY)
    assert (await budget(acme)).limit_nano == 1000
    assert await exact(acme)
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    assert (await budget(acme)).limit_nano == 1000
    assert await exact(acme)
    assert await acme.ledger.remove_budget("acme", "day")
    assert await exact(acme)
    ended = [e async for e in acme.books.entries("acme") if e.kind == "unbudget"]
    assert [(e.id, e.cost_nano, e.held_nano, e.windows) for e in ended] == [("day", 0, 0, ("d:2026-03-02",))] * 2


async def test_keys_and_organisations_roll_over_too(acme: Store) -> None:
    await acme.directory.create_tenant("search@acme")
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    await acme.ledger.set_budget("search@acme", "k", 100, Window.DAY, scope="key:k", terms=ALL)
    await acme.ledger.settle(await acme.ledger.reserve("search@acme", "a", 30, scopes=["key:k"]), 30)
    freeze(acme, 2026, 3, 2)
    hold = await acme.ledger.reserve("search@acme", "b", 170, scopes=["key:k"])
    assert [(b.name, b.limit_nano) for b in hold.budgets] == [("k", 170), ("@acme day", 1970)]
    assert await exact(acme)
    assert await exact(acme, "search@acme")


async def test_a_thousand_requests_at_the_turn_spend_the_limit_and_what_rolled_over(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=HALF)
    await spend(acme, "a", 500)
    freeze(acme, 2026, 3, 2)

    async def one(number: int) -> bool:
        try:
            await spend(acme, f"h{number}", 25)
        except BudgetExhausted:
            return False
        return True

    assert sum(await asyncio.gather(*(one(number) for number in range(1000)))) == 50
    assert (await budget(acme)).remaining_nano == 0
    assert await exact(acme)


@pytest.mark.parametrize("keep", [0, 2, 100])
async def test_lost_books_are_rebuilt_with_what_rolled_over_and_go_on_rolling(acme: Store, keep: int) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    await spend(acme, "a", 400)
    freeze(acme, 2026, 3, 2)
    await spend(acme, "b", 100)
    before = await budget(acme)
    assert before.limit_nano == 1600
    await acme.books.compact("acme", keep=keep)
    assert await exact(acme)
    for key in ("acct", "w:t", "w:d:2026-03-02"):
        await acme.connection.ask(Ask(("DEL", f"b:{{acme}}:{key}"), int))
    assert (await acme.books.rebuild("acme", acme.epoch)).exact
    assert await budget(acme) == before
    freeze(acme, 2026, 3, 3)
    assert (await budget(acme)).limit_nano == 2500
    assert await exact(acme)


async def test_books_that_are_rebuilt_right_after_a_turn_still_carry_over(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    await spend(acme, "a", 400)
    freeze(acme, 2026, 3, 2)
    await acme.ledger.close_account("acme")
    assert (await acme.books.rebuild("acme", acme.epoch)).exact
    assert (await budget(acme)).limit_nano == 1600


async def test_what_goes_on_never_passes_what_can_be_counted(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 2**53 - 11, Window.DAY, terms=ALL)
    for day in (2, 3):
        freeze(acme, 2026, 3, day)
        assert ((await budget(acme)).rolled_nano, (await budget(acme)).limit_nano) == (10, 2**53 - 1)
    assert await exact(acme)


async def test_books_that_have_lost_their_record_and_their_windows_carry_nothing_over(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    await acme.ledger.close_account("acme")
    for key in ("led", "w:t", "w:d:2026-03-01"):
        await acme.connection.ask(Ask(("DEL", f"b:{{acme}}:{key}"), int))
    assert (await acme.books.rebuild("acme", acme.epoch)).exact
    assert (await budget(acme)).limit_nano == 1000
    assert await exact(acme)


async def test_one_nano_dollar_too_much_carried_over_is_found(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    await spend(acme, "a", 400)
    freeze(acme, 2026, 3, 2)
    await budget(acme)
    await acme.connection.ask(Ask(("HINCRBY", "b:{acme}:w:d:2026-03-02", "r|day", 1), int))
    (difference,) = (await acme.books.verify("acme")).differences
    assert (difference.what, difference.scope, difference.counter_nano, difference.record_nano) == (
        ("rolled", "day", 601, 600)
    )


async def test_an_entry_that_carries_more_than_was_left_is_found(acme: Store) -> None:
    await acme.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=ALL)
    await spend(acme, "a", 400)
    await acme.connection.ask(Ask(("HINCRBY", "b:{acme}:w:d:2026-03-01", "s|", -50), int))
    freeze(acme, 2026, 3, 2)
    assert (await budget(acme)).rolled_nano == 650
    differences = (await acme.books.verify("acme")).differences
    assert [(d.what, d.window, d.counter_nano, d.record_nano) for d in differences] == [
        ("rolled", "d:2026-03-02", 650, 600)
    ]


async def test_a_budget_without_a_next_window_does_not_roll_over(acme: Store) -> None:
    with pytest.raises(ValueError, match="no next window"):
        await acme.ledger.set_budget("acme", "all", 1000, Window.TOTAL, terms=ALL)
    for wrong in ({"rollover": 1.5}, {"rollover": 0.5, "rollover_cap_nano": -1}):
        with pytest.raises(ValueError, match="rolls over"):
            Terms(**wrong)  # pyright: ignore[reportArgumentType] # wrong on purpose


@settings(max_examples=15, suppress_health_check=list(HealthCheck))  # pyright: ignore[reportArgumentType] # its metaclass iterates over it
@given(
    share=st.sampled_from([0.25, 1 / 3, 0.5, 0.9, 1.0]),
    cap=st.none() | st.integers(0, 3000),
    days=st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1), st.booleans()), min_size=1, max_size=12),
)
@example(share=1.0, cap=None, days=[(40, 0.5, True), (1, 0.5, False)])
def test_any_days_carry_over_what_a_model_of_one_line_says(
    server: embedded.EmbeddedServer, share: float, cap: int | None, days: list[tuple[int, float, bool]]
) -> None:
    asyncio.run(follow(server.url, share, cap, days))


async def follow(url: str, share: float, cap: int | None, days: list[tuple[int, float, bool]]) -> None:
    """Days some days apart, on each of which a share of the limit is spent; at some the books are shortened."""
    async with opened(url) as store:
        await store.connection.ask(Ask(("FLUSHALL",), ignore))
        await store.enter("again")
        await store.directory.create_tenant("acme")
        start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1000
        store.ledger.frozen_ms = store.books.frozen_ms = start
        terms = Terms(rollover=share, rollover_cap_nano=cap)
        await store.ledger.set_budget("acme", "day", 1000, Window.DAY, terms=terms)
        limit, spent = 1000, 0
        for number, (later, part, shorten) in enumerate(days):
            for _ in range(later):
                kept = int((limit - spent) * share)
                limit, spent = 1000 + (kept if cap is None else min(cap, kept)), 0
            store.ledger.frozen_ms += later * 86_400_000
            store.books.frozen_ms = store.ledger.frozen_ms
            spent = int(limit * part)
            await spend(store, f"h{number}", spent)
            assert (await budget(store)).limit_nano == limit
            if shorten:
                await store.books.compact("acme", keep=1)
            assert await exact(store)
