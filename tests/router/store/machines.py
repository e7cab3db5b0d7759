"""What the machines that drive the ledger have in common: books on an emptied server, at a clock that they move."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from router.store import Hold, Ledger
from router.store.books import Books
from router.store.connection import Connection
from router.store.ledger import LEASE_S
from router.store.scripts import Ask, ignore
from tests.store_servers import PATIENT_S

T = TypeVar("T")
STEPS_PER_EXAMPLE = 50
NOON = int(datetime(2026, 2, 27, 12, tzinfo=UTC).timestamp() * 1000)


class BooksMachine(RuleBasedStateMachine):
    """Opens the books of its tenants; its rules are for others to add."""

    url = ""
    tenants: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.connection = Connection(self.url, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
        self.ledger = Ledger(self.connection, frozen_ms=NOON)
        self.books = Books(self.connection, frozen_ms=NOON)
        self.counter = 0
        self.open: dict[str, Hold] = {}
        self.do(self.connection.open())
        self.do(self.connection.ask(Ask(("FLUSHALL",), ignore)))
        for tenant in self.tenants:
            self.do(self.ledger.open_account(tenant, "g"))

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(coroutine)

    def move_clock(self, leases: float) -> None:
        assert self.ledger.frozen_ms is not None
        self.ledger.frozen_ms += int(LEASE_S * 1000 * leases)
        self.books.frozen_ms = self.ledger.frozen_ms

    def teardown(self) -> None:
        self.do(self.connection.close())
        self.loop.close()


def drive(machine: type[BooksMachine], url: str, steps: int) -> None:
    """Let a machine do so many steps, in whatever order, against the server there."""
    machine.url = url
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, steps // STEPS_PER_EXAMPLE),
            stateful_step_count=STEPS_PER_EXAMPLE,
            suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType] # its metaclass iterates over it
        ),
    )
