"""Promises 1 and 2 for money that several tenants share: tenant within organisation, in one script each."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, multiple, rule

from router.errors import BudgetExhausted, Conflict, Forbidden, InvalidKey, NotFound, StoreUnavailable
from router.store import Hold, State, Store, Terms, Wanted, Window, embedded
from router.store.books import Proof
from router.store.cluster import slot_of
from router.store.names import of
from router.store.record import Entry
from router.store.scripts import Ask, ignore, text
from tests.router.store.machines import BooksMachine, drive

DOLLAR = 10**9
DIME = DOLLAR // 10
ALL: tuple[str, ...] = ("acme", "search@acme", "chat@acme")
STEPS = int(os.environ.get("RUNG_MACHINE_STEPS", "500"))


@pytest.fixture
async def acme(store: Store) -> Store:
    """An organisation of $5 a month with two tenants, the first of them with $3 of its own."""
    for tenant in ALL:
        await store.directory.create_tenant(tenant)
    await store.ledger.set_budget("acme", "month", 5 * DOLLAR, Window.MONTH)
    await store.ledger.set_budget("search@acme", "month", 3 * DOLLAR, Window.MONTH)
    return store


async def spent(store: Store, tenant: str) -> int:
    return (await store.ledger.standing(tenant)).month.spent_nano


async def admits(store: Store, tenant: str, number: int) -> bool:
    try:
        hold = await store.ledger.reserve(tenant, f"h{number}", DIME)
    except BudgetExhausted:
        return False
    await store.ledger.settle(hold, DIME)
    return True


async def test_a_thousand_requests_of_several_tenants_spend_what_their_organisation_has_and_no_more(
    acme: Store,
) -> None:
    asked = [ALL[number % 3] for number in range(1000)]
    admitted = await asyncio.gather(*(admits(acme, tenant, number) for number, tenant in enumerate(asked)))
    assert sum(admitted) == 50
    assert await spent(acme, "acme") == 5 * DOLLAR
    assert sum([await spent(acme, tenant) for tenant in ALL[1:]]) < 5 * DOLLAR, "the organisation's own key paid too"
    assert [(await acme.books.verify(tenant)).exact for tenant in ALL] == [True] * 3


async def test_the_tenants_own_budget_holds_beside_the_organisations(acme: Store) -> None:
    admitted = await asyncio.gather(*(admits(acme, "search@acme", number) for number in range(100)))
    assert sum(admitted) == 30
    assert (await spent(acme, "search@acme"), await spent(acme, "acme")) == (3 * DOLLAR, 3 * DOLLAR)


async def test_both_trips_of_a_request_charge_tenant_and_organisation(acme: Store) -> None:
    wanted = Wanted(amount_nano=2 * DOLLAR, state=State.CALL)
    opening = await acme.opening("search@acme", request_id="r1", scopes=["key:a"], wanted=wanted)
    assert [(b.name, b.scope, b.limit_nano) for b in opening.funds.budgets] == [
        ("month", "", 3 * DOLLAR),
        ("@acme month", "@acme", 5 * DOLLAR),
    ]
    assert opening.hold is not None
    assert (await acme.ledger.standing("acme")).month.held_nano == 2 * DOLLAR
    await acme.ledger.settle(opening.hold, DIME)
    standing = await acme.ledger.standing("acme")
    assert (standing.month.spent_nano, standing.month.held_nano) == (DIME, 0)
    (entry,) = [e async for e in acme.books.entries("acme") if e.kind == "settled"]
    assert (entry.id, entry.cost_nano, entry.scopes) == ("search:r1", DIME, ("",))


async def test_what_the_organisation_lacks_is_not_held_and_the_error_says_so(acme: Store) -> None:
    await acme.ledger.reserve("acme", "own", 4 * DOLLAR)
    wanted = Wanted(amount_nano=2 * DOLLAR, state=State.CALL)
    opening = await acme.opening("search@acme", request_id="r1", wanted=wanted)
    assert (opening.hold, opening.funds.purse.remaining_nano) == (None, DOLLAR)
    with pytest.raises(BudgetExhausted, match="@acme month") as caught:
        await acme.ledger.reserve("search@acme", "r1", 2 * DOLLAR)
    assert caught.value.remaining_nano == DOLLAR
    assert (await acme.ledger.standing("search@acme")).month.held_nano == 0


async def test_a_refund_of_a_tenant_is_one_of_its_organisation(acme: Store) -> None:
    assert await admits(acme, "chat@acme", 1)
    await acme.books.adjust("chat@acme", "r", -DIME // 2, reason="a bad answer", by="ops")
    assert (await spent(acme, "chat@acme"), await spent(acme, "acme")) == (DIME // 2, DIME // 2)


async def test_a_tenant_waits_for_its_organisations_books_and_its_siblings_for_nobody_elses(acme: Store) -> None:
    hold = await acme.ledger.reserve("search@acme", "h", DIME)
    await acme.ledger.close_account("acme")
    for call in (
        acme.ledger.reserve("chat@acme", "h", DIME),
        acme.ledger.settle(hold, 7),
        acme.ledger.standing("search@acme"),
    ):
        with pytest.raises(StoreUnavailable, match="organisation's account"):
            await call
    proof = await acme.books.rebuild("acme", acme.epoch)
    assert (proof.exact, proof.open_holds) == (True, 1)
    assert (await acme.ledger.settle(hold, 7)).outcome == "settled"
    await acme.ledger.close_account("search@acme")
    assert await admits(acme, "chat@acme", 1)
    assert (await acme.books.rebuild("search@acme", acme.epoch)).exact


async def test_an_organisations_lost_window_is_computed_from_its_record(acme: Store) -> None:
    for number in range(7):
        assert await admits(acme, ALL[number % 3], number)
    await acme.ledger.reserve("chat@acme", "open", 5)
    before = await acme.ledger.standing("acme")
    await acme.connection.ask(Ask(("DEL", "b:{acme}:w:t"), int))
    with pytest.raises(StoreUnavailable, match="rung ledger rebuild"):
        await acme.ledger.reserve("search@acme", "h", 1)
    assert (await acme.books.rebuild("acme", acme.epoch)).exact
    after = await acme.ledger.standing("acme")
    assert (after.total, after.month, after.budgets) == (before.total, before.month, before.budgets)


async def test_one_nano_dollar_of_difference_in_an_organisations_books_is_found(acme: Store) -> None:
    assert await admits(acme, "search@acme", 1)
    await acme.ledger.reserve("search@acme", "open", 5)
    assert (await acme.books.verify("acme")).exact
    await acme.connection.ask(Ask(("HINCRBY", "b:{acme}:w:t", "h|", 1), int))
    (difference,) = (await acme.books.verify("acme")).differences
    assert (difference.what, difference.counter_nano, difference.record_nano) == ("held", 6, 5)


async def test_an_emptied_store_is_restored_tenant_by_tenant_with_the_organisation(acme: Store) -> None:
    for number in range(6):
        assert await admits(acme, ALL[number % 3], number)
    saved = {tenant: [e.dump() async for e in acme.books.entries(tenant)] for tenant in ALL}
    await acme.connection.ask(Ask(("FLUSHALL",), ignore))
    await acme.enter(acme.epoch)
    for tenant in ALL:
        proof = await acme.books.rebuild(tenant, acme.epoch, [Entry.load(line) for line in saved[tenant]])
        assert proof.exact
    assert await members(acme) == {"search", "chat"}
    for tenant in ALL:
        await acme.directory.declare_tenant(tenant)
    await acme.ledger.reserve("chat@acme", "open", 5)
    proof = await acme.books.verify("acme")
    assert (proof.exact, proof.spent_nano, proof.open_holds) == (True, 6 * DIME, 1)


async def test_a_key_of_a_tenant_knows_the_organisation_and_is_refused_with_it(acme: Store) -> None:
    _, token = await acme.directory.create_key("search@acme")
    principal = await acme.directory.principal(token)
    assert principal.organisation is not None
    assert principal.organisation.id == "acme"
    await acme.directory.declare_tenant("acme", models=frozenset({"small"}))
    principal = await acme.directory.principal(token)
    assert (principal.may_use("small"), principal.may_use("large")) == (True, False)
    await acme.directory.set_disabled("acme", disabled=True)
    with pytest.raises(Forbidden, match="acme is disabled"):
        await acme.directory.principal(token)
    await acme.connection.ask(Ask(("DEL", "b:{acme}:rec"), int))
    await acme.directory.set_disabled("search@acme", disabled=False)
    with pytest.raises(InvalidKey):
        await acme.directory.principal(token)


async def test_an_organisation_comes_before_its_tenants_and_has_no_organisation_itself(store: Store) -> None:
    with pytest.raises(NotFound, match="rung tenants create acme"):
        await store.directory.create_tenant("search@acme")
    for wrong in ("a@b@c", "@acme", "search@", "{x}@acme"):
        with pytest.raises(ValueError, match="organisation"):
            await store.directory.create_tenant(wrong)
    await store.directory.create_tenant("acme")
    await store.directory.create_tenant("search@acme")
    with pytest.raises(Conflict):
        await store.directory.create_tenant("search@acme")


def test_all_keys_of_an_organisation_lie_in_one_slot_and_no_two_are_equal() -> None:
    keys = [of(tenant, *part) for tenant in ALL for part in (("acct",), ("w", "t"), ("h", "x"))]
    assert len({slot_of(("GET", key)) for key in keys}) == 1
    assert len(set(keys)) == len(keys)


class OrganisationMachine(BooksMachine):
    """Three sets of books, two of them within the first, against a model of them."""

    tenants = ALL
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.charged = dict.fromkeys(ALL, 0)  # by who asked
        self.cost: dict[str, int] = {}

    def proof(self, tenant: str) -> Proof:
        return self.do(self.books.verify(tenant))

    @rule(
        tenant=st.sampled_from(ALL),
        limit=st.integers(0, 3000),
        window=st.sampled_from(Window),
        rollover=st.sampled_from((0.0, 0.5, 1.0)),
    )
    def set_budget(self, tenant: str, limit: int, window: Window, rollover: float) -> None:
        terms = Terms(rollover=0.0 if window is Window.TOTAL else rollover)
        self.do(self.ledger.set_budget(tenant, window.word, limit, window, terms=terms))

    @rule(target=holds, tenant=st.sampled_from(ALL), amount=st.integers(0, 900), state=st.sampled_from(State))
    def reserve(self, tenant: str, amount: int, state: State) -> Any:
        self.counter += 1
        budgets = [b for t in {tenant, "acme"} for b in self.do(self.ledger.standing(t)).budgets]
        fits = all(amount <= b.limit_nano - b.spent_nano - b.held_nano for b in budgets)
        try:
            hold = self.do(self.ledger.reserve(tenant, f"h{self.counter}", amount, state=state))
        except BudgetExhausted:
            assert not fits
            return multiple()
        assert fits
        for above in {tenant, "acme"}:
            after = self.do(self.ledger.standing(above)).budgets
            assert all(b.spent_nano + b.held_nano <= b.limit_nano for b in after)
        self.open[hold.id] = hold
        return hold

    @rule(hold=holds, cost=st.integers(0, 1200))
    def settle(self, hold: Hold, cost: int) -> None:
        outcome = self.do(self.ledger.settle(hold, cost)).outcome
        if outcome in ("settled", "late"):
            self.charge(hold, cost)

    @rule(hold=holds)
    def void(self, hold: Hold) -> None:
        if self.do(self.ledger.void(hold)).outcome == "void":
            self.charge(hold, 0)

    def charge(self, hold: Hold, cost: int) -> None:
        self.open.pop(hold.id, None)
        self.charged[hold.tenant] += cost - self.cost.get(hold.id, 0)
        self.cost[hold.id] = cost

    @rule(share=st.sampled_from([0.3, 1.0, 40.0]))
    def time_passes(self, share: float) -> None:
        """By less than a lease, by a lease, by so much that midnight and the end of February come soon."""
        self.move_clock(share)

    @rule(tenant=st.sampled_from(ALL), keep=st.integers(0, 5))
    def compact(self, tenant: str, keep: int) -> None:
        self.settle_accounts_with_the_reaper()
        self.do(self.books.compact(tenant, keep=keep))

    @rule(tenant=st.sampled_from(ALL))
    def lose_the_counters_and_rebuild(self, tenant: str) -> None:
        before = self.do(self.ledger.standing(tenant))
        self.do(self.ledger.close_account(tenant))
        assert self.do(self.books.rebuild(tenant, "g")).exact
        assert self.do(self.ledger.standing(tenant)) == before

    @rule(tenant=st.sampled_from(ALL), change=st.integers(-500, 500))
    def adjust(self, tenant: str, change: int) -> None:
        self.counter += 1
        assert self.do(self.books.adjust(tenant, str(self.counter), change, reason="a test", by="the machine"))
        self.charged[tenant] += change

    def settle_accounts_with_the_reaper(self) -> None:
        for tenant in ALL:
            self.do(self.ledger.reap(tenant))
            for entry in self.do(self.entries(tenant)):
                hold = self.open.get(entry.id)
                if entry.kind == "reaped" and hold is not None and hold.tenant == tenant:
                    self.charge(hold, entry.cost_nano)

    async def entries(self, tenant: str) -> list[Entry]:
        return [entry async for entry in self.books.entries(tenant)]

    @invariant()
    def the_books_of_tenants_and_organisation_are_exact(self) -> None:
        self.settle_accounts_with_the_reaper()
        proofs = {tenant: self.proof(tenant) for tenant in ALL}
        assert all(proof.differences == () for proof in proofs.values())
        assert [proofs[tenant].spent_nano for tenant in ALL[1:]] == [self.charged[tenant] for tenant in ALL[1:]]
        assert proofs["acme"].spent_nano == sum(self.charged.values())
        assert proofs["acme"].open_holds == len(self.open)
        held = self.do(self.ledger.standing("acme")).total.held_nano
        assert held == sum(hold.amount_nano for hold in self.open.values())


def test_no_order_of_events_overruns_an_organisation_or_falsifies_its_books(server: embedded.EmbeddedServer) -> None:
    drive(OrganisationMachine, server.url, STEPS)


async def test_the_members_of_an_organisation_are_known_to_its_books(acme: Store) -> None:
    assert await members(acme) == {"search", "chat"}


async def members(store: Store) -> set[str]:
    return await store.connection.ask(Ask(("SMEMBERS", "b:{acme}:members"), lambda reply: {text(m) for m in reply}))
