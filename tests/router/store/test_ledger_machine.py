"""Promise 1 and 2 as a machine: whatever happens in whatever order, no budget is overrun and the books are exact.

RUNG_MACHINE_STEPS=10000 runs it at the length that the promise names.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, multiple, rule

from router.errors import BudgetExhausted
from router.store import Hold, State, Terms, Window, embedded
from tests.router.store.machines import BooksMachine, drive

STEPS = int(os.environ.get("RUNG_MACHINE_STEPS", "600"))
SCOPES = ("", "key:a", "key:b")
AMOUNTS = st.integers(0, 1000)


class LedgerMachine(BooksMachine):
    """The ledger against a model of it that fits in one dictionary."""

    tenants = ("t",)
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.charged: dict[str, int] = {}  # by hold, what the model says that it has cost
        self.settled: set[str] = set()
        self.adjusted = 0

    @rule(
        name=st.sampled_from("xy"),
        limit=st.integers(0, 3000),
        window=st.sampled_from(Window),
        scope=st.sampled_from(SCOPES),
        terms=st.sampled_from((Terms(), Terms(rollover=0.5), Terms(rollover=1.0, rollover_cap_nano=2000, soft=0.1))),
    )
    def set_budget(self, name: str, limit: int, window: Window, scope: str, terms: Terms) -> None:
        terms = Terms() if window is Window.TOTAL else terms
        self.do(self.ledger.set_budget("t", name, limit, window, scope=scope, terms=terms))

    @rule(name=st.sampled_from("xy"))
    def remove_budget(self, name: str) -> None:
        self.do(self.ledger.remove_budget("t", name))

    @rule(target=holds, amount=AMOUNTS, scope=st.sampled_from(SCOPES[1:]), state=st.sampled_from(State))
    def reserve(self, amount: int, scope: str, state: State) -> Any:
        self.counter += 1
        budgets = self.do(self.ledger.standing("t", [scope])).budgets
        fits = all(amount <= budget.limit_nano - budget.spent_nano - budget.held_nano for budget in budgets)
        try:
            hold = self.do(self.ledger.reserve("t", f"h{self.counter}", amount, scopes=[scope], state=state))
        except BudgetExhausted:
            assert not fits
            return multiple()
        assert fits
        after = self.do(self.ledger.standing("t", [scope])).budgets
        assert all(budget.spent_nano + budget.held_nano <= budget.limit_nano for budget in after)
        self.open[hold.id] = hold
        return hold

    @rule(hold=holds, cost=st.integers(0, 1500), times=st.integers(1, 2))
    def settle(self, hold: Hold, cost: int, times: int) -> None:
        first = hold.id not in self.settled
        for _ in range(times):
            ending = self.do(self.ledger.settle(hold, cost))
            if first:
                self.charged[hold.id] = cost
            assert ending.charged_nano == self.charged[hold.id]
            assert (ending.outcome == "already") == (not first)
            first = False
        self.settled.add(hold.id)
        self.open.pop(hold.id, None)

    @rule(hold=holds)
    def void(self, hold: Hold) -> None:
        ending = self.do(self.ledger.void(hold))
        assert (ending.outcome == "void") == (hold.id in self.open)
        if hold.id in self.open:
            self.charged[hold.id] = 0
            del self.open[hold.id]

    @rule(hold=holds, seen=AMOUNTS)
    def renew(self, hold: Hold, seen: int) -> None:
        assert self.do(self.ledger.renew(hold, if_dead_nano=seen)) == (hold.id in self.open)

    @rule(share=st.sampled_from([0.3, 1.0, 40.0, -0.7, -900.0]))
    def time_passes(self, share: float) -> None:
        """By less than a lease, by a lease, by so much that midnight and the end of February come soon; or it is set
        back, by less than a lease or by half a day, as a failover to a server with another clock does."""
        self.move_clock(share)
        self.do(self.ledger.reap("t"))
        self.settle_accounts_with_the_reaper()

    @rule(keep=st.integers(0, 5))
    def compact(self, keep: int) -> None:
        self.do(self.books.compact("t", keep=keep))

    @rule()
    def lose_the_counters_and_rebuild(self) -> None:
        before = self.do(self.ledger.standing("t", SCOPES[1:]))
        self.do(self.ledger.close_account("t"))
        assert self.do(self.books.rebuild("t", "g")).exact
        assert self.do(self.ledger.standing("t", SCOPES[1:])) == before

    @rule(change=st.integers(-500, 500))
    def adjust(self, change: int) -> None:
        self.counter += 1
        assert self.do(self.books.adjust("t", str(self.counter), change, reason="a test", by="the machine"))
        self.adjusted += change

    def settle_accounts_with_the_reaper(self) -> None:
        """Ask of each open hold whether it was reaped; the record says at what price."""

        async def reaped() -> dict[str, int]:
            return {e.id: e.cost_nano async for e in self.books.entries("t") if e.kind == "reaped"}

        for hold_id, cost in self.do(reaped()).items():
            if hold_id in self.open:
                hold = self.open.pop(hold_id)
                assert 0 <= cost <= hold.amount_nano
                self.charged[hold_id] = cost

    @invariant()
    def the_books_are_exact(self) -> None:
        self.settle_accounts_with_the_reaper()
        proof = self.do(self.books.verify("t"))
        assert proof.differences == ()
        assert proof.spent_nano == sum(self.charged.values()) + self.adjusted
        assert proof.open_holds == len(self.open)
        assert self.do(self.ledger.standing("t")).total.held_nano == sum(h.amount_nano for h in self.open.values())


def test_no_order_of_events_overruns_a_budget_or_falsifies_the_books(server: embedded.EmbeddedServer) -> None:
    drive(LedgerMachine, server.url, STEPS)
