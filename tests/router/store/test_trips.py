"""The first trip of a request, with the hold in it."""

from __future__ import annotations

import asyncio

import pytest

from router.errors import BudgetExhausted
from router.store import Limits, Opening, Role, State, Store, Wanted, Window, answer_key, rules
from router.store.flights import LEASE_S
from router.store.scripts import Ask, ignore
from tests.store_servers import until

KEY = answer_key(b"p" * 32, "acme", "", b"{}")
ONE_AT_ONCE = rules(("", Limits(concurrency=1)))
LIMIT_NANO = 100


@pytest.fixture
async def acme(store: Store) -> Store:
    await store.directory.create_tenant("acme")
    await store.ledger.set_budget("acme", "main", LIMIT_NANO, Window.TOTAL)
    return store


async def ask(store: Store, number: str, nano: int, *, key: str | None = None, limited: bool = False) -> Opening:
    wanted = Wanted(amount_nano=nano, state=State.CALL)
    return await store.opening(
        "acme",
        request_id=number,
        rules=ONE_AT_ONCE if limited else (),
        cache_key=key,
        single_flight=True,
        wanted=wanted,
    )


async def held(store: Store) -> int:
    return (await store.ledger.standing("acme")).total.held_nano


async def test_the_hold_is_made_in_the_first_trip_and_settles_like_any_other(acme: Store) -> None:
    opening = await ask(acme, "r1", 60)
    assert opening.hold is not None
    assert (opening.hold.id, opening.hold.amount_nano, await held(acme)) == ("r1", 60, 60)
    assert opening.funds.budgets[0].held_nano == 0, "the budgets stand as they were before"
    await acme.ledger.settle(opening.hold, 7)
    assert ((await acme.ledger.standing("acme")).total.spent_nano, await held(acme)) == (7, 0)
    assert (await acme.books.verify("acme")).exact


async def test_a_first_trip_tells_the_store_s_time(acme: Store) -> None:
    acme.ledger.frozen_ms = 1_800_000_000_500
    opening = await ask(acme, "r1", 60)
    assert opening.hold is not None
    assert (opening.funds.now, opening.hold.reserved_at_ms) == (1_800_000_000.5, 1_800_000_000_500)


async def test_what_does_not_fit_is_not_held_and_the_reply_says_what_is_left(acme: Store) -> None:
    await ask(acme, "r1", 60)
    opening = await ask(acme, "r2", 41)
    assert opening.hold is None
    assert opening.funds.budgets[0].remaining_nano == 40
    with pytest.raises(BudgetExhausted):
        await acme.ledger.reserve("acme", "r2", 41)
    assert (await ask(acme, "r3", 40)).hold is not None
    assert await held(acme) == LIMIT_NANO


async def test_no_money_is_held_for_an_answer_that_is_there_or_under_way(acme: Store) -> None:
    leader = await ask(acme, "r1", 1, key=KEY)
    assert (leader.role, leader.hold is not None) == (Role.LEAD, True)
    lease_ms = await acme.connection.ask(Ask(("PTTL", f"b:{{acme}}:f:{KEY}"), int))
    assert 1000 * (LEASE_S - 10) < lease_ms <= 1000 * LEASE_S
    follower = await ask(acme, "r2", 1, key=KEY)
    assert (follower.role, follower.hold) == (Role.FOLLOW, None)
    await acme.cache.put("acme", KEY, b"42")
    hit = await ask(acme, "r3", 1, key=KEY)
    assert (hit.role, hit.answer, hit.hold) == (Role.HIT, b"42", None)
    assert await held(acme) == 1


async def test_no_money_is_held_where_a_limit_refuses(acme: Store) -> None:
    assert (await ask(acme, "r1", 1, limited=True)).hold is not None
    refused = await ask(acme, "r2", 1, key=KEY, limited=True)
    assert refused.verdict.refused is not None
    assert (refused.hold, refused.role, await held(acme)) == (None, Role.ALONE, 1)


async def test_the_first_trip_tells_how_the_pacing_stands_of_the_tenant_and_of_its_organisation(acme: Store) -> None:
    await acme.directory.create_tenant("search@acme")
    opening = await acme.opening("search@acme", request_id="r1")
    assert opening.pace == (b"", b"")
    await acme.connection.run(
        *(
            Ask(("SET", f"b:{{acme}}{whose}:pace", value, "EX", 9), ignore)
            for whose, value in (("", "1"), ("@search", "2"))
        )
    )
    assert (await acme.opening("search@acme", request_id="r2")).pace == (b"2", b"1")
    assert (await acme.opening("acme", request_id="r3")).pace == (b"1",)


async def test_a_caller_that_goes_away_leaves_nothing_held(acme: Store) -> None:
    asking = asyncio.create_task(ask(acme, "r1", 60))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await acme.outbox.flush()

    async def free() -> bool:
        return await held(acme) == 0

    await until(free)
    assert (await acme.books.verify("acme")).exact
