"""The tenants' money: alone reserves, charges and releases it. docs/ledger.md tells the protocol.

    reserve -> (dispatched) -> (renew)* -> settle or void; the reaper ends what its holder has abandoned

Amounts are integers of nano-dollars. Every operation is one script over one hash slot; the clock is the
store's own.
After every admission, spent + held <= limit in each budget that covers the request. Settle and void are
idempotent, and must be shielded from the cancellation of the request that they end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import orjson

from router.errors import BudgetExhausted, Conflict
from router.store import names
from router.store.connection import Executor, Unanswered
from router.store.ledger_types import (
    LARGEST_NANO,
    Budget,
    Ending,
    Grant,
    Hold,
    Meter,
    Standing,
    State,
    Terms,
    Window,
    read_budgets,
)
from router.store.scripts import Argument, Ask, Reply, Script, text

LEASE_S = 60.0  # a dead holder's money is back within a minute; holders renew three times in it
SEPARATOR = "\x1f"  # between scopes; no scope may contain it

_PLAIN = Terms()

_PURSE = Script("core.lua", "holds.lua", "rollover.lua", "windows.lua", "purse.lua")
_RESERVE = Script("core.lua", "holds.lua", "rollover.lua", "windows.lua", "reserve.lua")
_RENEW = Script("core.lua", "holds.lua", "renew.lua")
_SETTLE = Script("core.lua", "holds.lua", "settling.lua", "settle.lua")
_REAP = Script("core.lua", "holds.lua", "reap.lua")
_ACCOUNT = Script("core.lua", "rollover.lua", "windows.lua", "account.lua")


class Ledger:
    """The books in the store.

    Args:
        executor: what carries the scripts.
        frozen_ms: a test's clock in milliseconds since 1970; None for the store's.

    Attributes:
        on_doubt: called with the hold of a reservation whose answer nobody has read: it may exist, and nobody will
            use it. `Store` has it voided; without that its lease would charge for a call that never was.
    """

    def __init__(self, executor: Executor, *, frozen_ms: int | None = None) -> None:
        self._executor = executor
        self.frozen_ms = frozen_ms
        self.on_doubt: Callable[[Hold], None] | None = None

    async def open_account(self, tenant: str, generation: str) -> bool:
        """Open a tenant's books unless they are open; True where this call opened them."""
        return await self._executor.ask(self._account(tenant, "open", generation))

    async def set_budget(
        self, tenant: str, name: str, limit_nano: int, window: Window, *, scope: str = "", terms: Terms = _PLAIN
    ) -> bool:
        """Set or change a budget; what the window's scope has spent already counts.

        Returns:
            whether anything changed.

        Raises:
            ValueError: a limit that the store cannot count exactly, an empty name, or a rollover without a next window.
        """
        if not name or len(name) > 64 or SEPARATOR in scope:  # noqa: PLR2004 - a name, not an essay
            raise ValueError("A budget needs a name of 1 to 64 characters.")
        if terms.rollover and window is Window.TOTAL:
            raise ValueError("A budget that never ends has no next window to roll over into: take day or month.")
        budget = Grant(name=name, scope=scope, window=window, limit_nano=_exact(limit_nano), terms=terms)
        return await self._executor.ask(self._account(tenant, "budget", name, budget.dump()))

    async def budgets(self, tenant: str) -> list[Grant]:
        """The tenant's budgets as they were set. Raises StoreUnavailable."""
        return await self._executor.ask(Ask(("HGET", names.of(tenant, "acct"), "bud"), _grants))

    async def remove_budget(self, tenant: str, name: str) -> bool:
        """Remove a budget; its windows' spend stays in the books. False where there was none."""
        return await self._executor.ask(self._account(tenant, "unbudget", name))

    async def close_account(self, tenant: str) -> None:
        """Refuse every movement of a tenant's money until `Books.rebuild`. Raises StoreUnavailable."""
        await self._executor.ask(Ask(("HDEL", names.of(tenant, "acct"), "gen"), int))

    def standing_ask(self, tenant: str, scopes: Sequence[str] = ()) -> Ask[Standing]:
        """The tenant's money now, for a pipeline; `scopes` beside the tenant itself."""
        return _PURSE.ask([names.of(tenant, "acct")], [self.clock(), scopes_word(scopes)], _standing)

    async def standing(self, tenant: str, scopes: Sequence[str] = ()) -> Standing:
        """The tenant's money now. Raises StoreUnavailable."""
        return await self._executor.ask(self.standing_ask(tenant, scopes))

    async def reserve(
        self,
        tenant: str,
        hold_id: str,
        amount_nano: int,
        *,
        scopes: Sequence[str] = (),
        lease_s: float = LEASE_S,
        state: State = State.OPEN,
    ) -> Hold:
        """Set money aside in every budget that covers the request, or in none. Idempotent on `hold_id`.

        Args:
            tenant: who pays.
            hold_id: new for each request, of letters, digits, `-` and `_`.
            amount_nano: the worst case of the request.
            scopes: other payers than the tenant itself, such as `key:ab12`.
            lease_s: after so long without renewal the reaper ends the hold.
            state: OPEN, or straight away what the request will be, which saves `dispatched`.

        Raises:
            BudgetExhausted: a budget has less left than `amount_nano`.
            Conflict: a hold of this id has ended already.
            StoreUnavailable: the store is away, or the tenant's books are missing.
        """
        ask = _RESERVE.ask(
            [names.of(tenant, "acct")],
            [self.clock(), hold_id, *reservation_words(amount_nano, state, lease_s), scopes_word(scopes)],
            lambda reply: _held(reply, tenant, hold_id, amount_nano, scopes),
        )
        try:
            (reply,) = await self._executor.run(ask)
        except (Unanswered, asyncio.CancelledError):
            self.doubt(tenant, hold_id, amount_nano, scopes)
            raise
        return ask.read(reply)

    def doubt(self, tenant: str, hold_id: str, amount_nano: int, scopes: Sequence[str]) -> None:
        """Tell `on_doubt` of a hold that may exist: enough of it to be voided, and nothing to charge it by."""
        if self.on_doubt is not None:
            self.on_doubt(
                Hold(
                    tenant=tenant,
                    id=hold_id,
                    amount_nano=amount_nano,
                    windows="",
                    scopes=tuple(scopes),
                    reserved_at_ms=0,
                )
            )

    async def dispatched(self, hold: Hold, state: State, *, lease_s: float = LEASE_S) -> bool:
        """Note that the upstream call leaves now; False where the hold has ended meanwhile."""
        return await self._executor.ask(self._renew(hold, state.value, 0, lease_s))

    async def renew(self, hold: Hold, *, if_dead_nano: int, lease_s: float = LEASE_S) -> bool:
        """Extend the lease of a stream.

        Args:
            hold: what is held.
            if_dead_nano: what to charge if the holder dies before the next renewal: seen so far, and one
                interval more.
            lease_s: the new lease, from now.

        Returns:
            False where the hold has ended meanwhile.
        """
        return await self._executor.ask(self._renew(hold, "", if_dead_nano, lease_s))

    def settle_ask(self, hold: Hold, cost_nano: int, *, estimated: bool = False, facts: bytes = b"") -> Ask[Ending]:
        """Charge what the request has truly cost, for a pipeline; see `settle`."""
        return self._end(hold, cost_nano, "settled", estimated=estimated, facts=facts)

    async def settle(self, hold: Hold, cost_nano: int, *, estimated: bool = False, facts: bytes = b"") -> Ending:
        """Charge what the request has truly cost, and release the rest. Idempotent.

        Args:
            hold: what was held.
            cost_nano: may exceed the hold: what the provider bills is booked.
            estimated: the upstream gave no usage.
            facts: a few bytes for the durable record (JSON), such as model and tokens.
        """
        return await self._executor.ask(self.settle_ask(hold, cost_nano, estimated=estimated, facts=facts))

    async def void(self, hold: Hold, *, facts: bytes = b"") -> Ending:
        """Release a hold that bought nothing. Idempotent."""
        return await self._executor.ask(self._end(hold, 0, "void", estimated=False, facts=facts))

    async def reap(self, tenant: str, limit: int = 100) -> int:
        """End up to `limit` holds of a tenant whose lease has run out; returns how many."""
        return await self._executor.ask(_REAP.ask([names.of(tenant, "acct")], [self.clock(), limit], int))

    def _account(self, tenant: str, *arguments: str) -> Ask[bool]:
        return _ACCOUNT.ask([names.of(tenant, "acct")], [self.clock(), *arguments], bool)

    def _renew(self, hold: Hold, state: str, if_dead_nano: int, lease_s: float) -> Ask[bool]:
        arguments = [self.clock(), hold.id, state, _exact(if_dead_nano), _ms(lease_s)]
        return _RENEW.ask([names.of(hold.tenant, "acct")], arguments, bool)

    def _end(self, hold: Hold, cost_nano: int, kind: str, *, estimated: bool, facts: bytes) -> Ask[Ending]:
        words = settlement_words(hold, cost_nano, estimated=estimated, facts=facts)
        return _SETTLE.ask([names.of(hold.tenant, "acct")], [self.clock(), *words, kind], _ending)

    def clock(self) -> str | int:
        """A script's word for the time: a test's, or the store's own."""
        return "" if self.frozen_ms is None else self.frozen_ms


def _exact(nano: int) -> int:
    """An amount that Lua's doubles count exactly. Raises ValueError."""
    if not 0 <= nano <= LARGEST_NANO:
        raise ValueError(f"An amount of money must lie in 0..{LARGEST_NANO} nano-dollars, not {nano}.")
    return nano


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def scopes_word(scopes: Sequence[str]) -> str:
    """A script's word for who is charged: the tenant itself, then the scopes."""
    return SEPARATOR.join(("", *scopes))


def reservation_words(amount_nano: int, state: State, lease_s: float = LEASE_S) -> tuple[Argument, ...]:
    """A script's words for the money to set aside. Raises ValueError."""
    return _exact(amount_nano), _ms(lease_s), state.value


def settlement_words(hold: Hold, cost_nano: int, *, estimated: bool, facts: bytes) -> tuple[Argument, ...]:
    """A script's words for how a hold ends, with the caller's own copy of it, should the store have lost it."""
    copy = (hold.windows, scopes_word(hold.scopes), hold.reserved_at_ms)
    return hold.id, _exact(cost_nano), int(estimated), facts, *copy


def _grants(reply: Reply) -> list[Grant]:
    return sorted((Grant.load(kept) for kept in orjson.loads(reply or b"[]")), key=lambda grant: grant.name)


def _ending(reply: Reply) -> Ending:
    return Ending(outcome=text(reply[0]), charged_nano=int(reply[1]))  # pyright: ignore[reportArgumentType] # the script's five words


def _standing(reply: Reply) -> Standing:
    numbers = [int(number) for number in reply[2]]
    meters = [Meter(spent_nano=numbers[i], held_nano=numbers[i + 1]) for i in (0, 2, 4)]
    return Standing(
        now=int(reply[0]) / 1000,
        budgets=read_budgets(reply[1]),
        day=meters[0],
        month=meters[1],
        total=meters[2],
    )


def _held(reply: Reply, tenant: str, hold_id: str, amount_nano: int, scopes: Sequence[str]) -> Hold:
    verdict = reply[0]
    if verdict == b"short":
        raise _exhausted(text(reply[1]), int(reply[2]) / 1000, read_budgets(reply[3]), amount_nano)
    if verdict != b"held":
        raise Conflict(f"The hold {hold_id} has ended already ({text(reply[1])}): use a new id for a new request.")
    return Hold(
        tenant=tenant,
        id=hold_id,
        amount_nano=amount_nano,
        windows=text(reply[1]),
        scopes=tuple(scopes),
        reserved_at_ms=int(reply[2]),
        budgets=read_budgets(reply[3]),
    )


def _exhausted(name: str, now: float, budgets: tuple[Budget, ...], needed_nano: int) -> BudgetExhausted:
    budget = next(budget for budget in budgets if budget.name == name)
    if budget.ends_at is None:
        remedy, wait_s = "It does not renew: ask the operator for a larger one", None
    else:
        when = datetime.fromtimestamp(budget.ends_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        remedy, wait_s = f"It renews at {when}; or ask the operator for a larger one", budget.ends_at - now
    return BudgetExhausted(
        f"The budget {name!r} has ${budget.remaining_nano / 1e9:.6f} of ${budget.limit_nano / 1e9:.6f} left,"
        f" and this request needs up to ${needed_nano / 1e9:.6f}. {remedy}, or lower max_tokens.",
        needed_nano=needed_nano,
        remaining_nano=budget.remaining_nano,
        retry_after_s=wait_s,
    )
