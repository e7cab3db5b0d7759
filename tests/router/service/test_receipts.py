"""Receipts that follow their replies."""

from __future__ import annotations

import time

import pytest

from router.errors import NotFound
from router.service import receipts
from router.service.receipts import LONGEST_REQUEST_S, receipt_of
from router.service.turn import begun_at_s, new_decision_id
from router.store import DecisionStream
from router.store.connection import Connection


class Booking(DecisionStream):
    """Receipts that are kept by another process, so many looks after they were first asked for."""

    def __init__(self, after: int) -> None:
        super().__init__(Connection("unix:///nowhere.sock"))
        self.after = after
        self.looks = 0

    async def get(self, tenant: str, decision_id: str) -> bytes:
        self.looks += 1
        if self.looks <= self.after:
            raise NotFound(f"{tenant} has no {decision_id}")
        return b"kept"


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_receipt_that_another_process_is_about_to_keep_is_waited_for(after: int) -> None:
    decisions = Booking(after)
    assert await receipt_of(decisions, "acme", new_decision_id()) == b"kept"
    assert decisions.looks == after + 1


async def test_one_that_never_comes_is_not_found_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "LOOK_AGAIN_AFTER_S", (0.0, 0.0))
    decisions = Booking(after=9)
    with pytest.raises(NotFound):
        await receipt_of(decisions, "acme", new_decision_id())
    assert decisions.looks == 3


@pytest.mark.parametrize("decision_id", ["dec_none", "", f"dec_{1_700_000_000_000:011x}{'0' * 16}", "dec_" + "x" * 27])
async def test_what_cannot_be_on_its_way_is_not_waited_for(decision_id: str) -> None:
    decisions = Booking(after=1)
    with pytest.raises(NotFound):
        await receipt_of(decisions, "acme", decision_id)
    assert decisions.looks == 1


def test_a_decision_s_id_tells_when_its_request_began() -> None:
    begun = begun_at_s(new_decision_id())
    assert begun is not None
    assert 0 <= time.time() - begun + 0.001 < LONGEST_REQUEST_S
    assert begun_at_s("dec_none") is None
