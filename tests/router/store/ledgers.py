"""A ledger for tests, with a clock that stands still; the fixture `ledger` is in `conftest`."""

from __future__ import annotations

from datetime import UTC, datetime

from router.store import Ledger, Window
from router.store.connection import Executor

DOLLAR = 10**9
DIME = DOLLAR // 10


def at(*moment: int) -> int:
    """A moment of the UTC calendar, in milliseconds since 1970."""
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]


async def opened_ledger(executor: Executor) -> Ledger:
    """A ledger whose clock stands at noon of 15 March 2026, with a tenant that has $5 a month."""
    ledger = Ledger(executor, frozen_ms=at(2026, 3, 15, 12))
    await ledger.open_account("acme", "g1")
    await ledger.set_budget("acme", "main", 5 * DOLLAR, Window.MONTH)
    return ledger
