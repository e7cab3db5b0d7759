"""What waits for the store, and what is said again: over a ledger that only writes down what it is told."""

from __future__ import annotations

import time

import pytest

from router.errors import StoreUnavailable
from router.store import Connection, Hold, Ledger, Settlement, outbox
from router.store.ledger_types import Ending
from router.store.outbox import RECALL_S, Outbox


class Told(Ledger):
    """A ledger that books nothing, and is away for some tenants."""

    def __init__(self) -> None:
        super().__init__(Connection("unix:///nowhere.sock"))
        self.away: set[str] = set()
        self.heard: list[tuple[object, ...]] = []

    async def settle(self, hold: Hold, cost_nano: int, *, estimated: bool = False, facts: bytes = b"") -> Ending:
        self.heard.append((hold.tenant, hold.id, cost_nano, estimated, facts))
        return self._end_of(hold, cost_nano)

    async def void(self, hold: Hold, *, facts: bytes = b"") -> Ending:
        self.heard.append((hold.tenant, hold.id, "void", facts))
        return self._end_of(hold, 0)

    def _end_of(self, hold: Hold, cost_nano: int) -> Ending:
        if hold.tenant in self.away:
            raise StoreUnavailable("away")
        return Ending(outcome="settled", charged_nano=cost_nano)


@pytest.fixture
def ledger() -> Told:
    return Told()


@pytest.fixture
def waiting(ledger: Told) -> Outbox:
    return Outbox(ledger)


def hold(number: int = 0, tenant: str = "acme") -> Hold:
    return Hold(tenant=tenant, id=f"h{number}", amount_nano=9, windows="", scopes=(), reserved_at_ms=0)


def settlement(number: int = 0, tenant: str = "acme", cost_nano: int = 5) -> Settlement:
    return Settlement(hold=hold(number, tenant), cost_nano=cost_nano)


async def test_what_waits_is_sent_once_with_all_that_it_says(waiting: Outbox, ledger: Told) -> None:
    waiting.failed(Settlement(hold=hold(1), cost_nano=5, estimated=True, facts=b"{}"))
    waiting.failed(settlement(2))
    waiting.doubtful(hold(3))
    assert len(waiting) == 3
    assert await waiting.flush() == 3
    assert ledger.heard == [
        ("acme", "h1", 5, True, b"{}"),
        ("acme", "h2", 5, False, b""),
        ("acme", "h3", "void", b""),
    ]
    assert (len(waiting), await waiting.flush()) == (0, 0)


async def test_a_tenant_that_fails_is_asked_once_a_round_and_loses_nothing(waiting: Outbox, ledger: Told) -> None:
    for number in range(3):
        waiting.failed(settlement(number))
        waiting.failed(settlement(number, "other"))
    ledger.away = {"acme"}
    assert (await waiting.flush(), len(waiting)) == (3, 3)
    assert [told[0] for told in ledger.heard] == ["acme", "other", "other", "other"]
    ledger.away = set()
    assert (await waiting.flush(), len(waiting)) == (3, 0)


def test_without_room_the_oldest_goes(
    waiting: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox, "CAPACITY", 2)
    for number in range(2):
        waiting.failed(settlement(number))
    assert not caplog.records
    waiting.failed(settlement(2))
    assert [record.args for record in caplog.records] == [("h0", "acme")]
    assert len(waiting) == 2


async def test_what_was_booked_lately_is_said_again_once(
    waiting: Outbox, ledger: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        for number, after_s in enumerate((0.0, 0.5, RECALL_S, 0.0)):
            now += after_s
            waiting.booked(settlement(number))
    waiting.recall()
    assert len(waiting) == 3, "the first was booked more than ten seconds before the last, the second exactly ten"
    assert await waiting.flush() == 3
    assert [told[1] for told in ledger.heard] == ["h1", "h2", "h3"]
    waiting.recall()
    assert len(waiting) == 0


def test_no_more_are_remembered_than_fit(waiting: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "CAPACITY", 2)
    for number in range(3):
        waiting.booked(settlement(number))
    waiting.recall()
    assert len(waiting) == 2


async def test_what_waits_anew_is_not_replaced_by_what_was_booked(waiting: Outbox, ledger: Told) -> None:
    waiting.booked(settlement(cost_nano=5))
    waiting.failed(settlement(cost_nano=6))
    waiting.recall()
    await waiting.flush()
    assert ledger.heard == [("acme", "h0", 6, False, b"")]
