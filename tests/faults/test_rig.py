"""The rig in short: what is affordable at every run, and the rig's own parts, which must be able to fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.testing import Received
from router.testing.script import Bill
from tests.faults.audit import Booked, billed, compared
from tests.faults.checks import access, books, cache, hostile, processes, windows
from tests.faults.report import Finding, table, write
from tests.faults.rig import CHECKS, Check, Rig, run
from tests.faults.traffic import SHARES, account_of, planned

pytestmark = pytest.mark.slow

SHORT: list[Check] = [
    books.mixed_traffic_with_kills,
    cache.canaries_never_leave_their_tenant,
    cache.canaries_in_other_words_never_leave_their_tenant,
    cache.the_gateway_keeps_tenants_apart,
    cache.identical_requests_fly_once,
    hostile.a_client_never_chooses_an_upstream,
    access.every_route_denies_by_default,
    windows.spend_belongs_to_its_window,
    windows.every_dependency_is_locked_with_hashes,
    processes.a_model_file_that_is_not_what_it_should_be_is_refused,
]


async def test_the_promises_hold_in_short(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path, quick=True)
    try:
        findings = [finding for check in SHORT for finding in await run(check, rig)]
    finally:
        await rig.close()
    assert [finding for finding in findings if not finding.holds] == []
    assert {finding.number for finding in findings} == {1, 2, 3, 4, 9, 14, 16, 17, 19}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(folder=tmp_path, quick=True)


async def test_a_check_that_breaks_is_a_promise_not_shown(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_rig: Rig) -> list[Finding]:
        raise RuntimeError("no such thing")

    monkeypatch.setitem(CHECKS, 99, [broken])
    (finding,) = await run(broken, rig)
    assert (finding.number, finding.holds) == (99, False)
    assert "no such thing" in finding.figure


def test_every_promise_has_a_check() -> None:
    assert set(CHECKS) == set(range(1, 20))


def test_findings_are_a_table_and_a_file(tmp_path: Path) -> None:
    found = Finding(number=7, name="n", done="d", figure="f", bound="b", holds=False)
    write([found], tmp_path / "build/faults.json", quick=True)
    content = json.loads((tmp_path / "build/faults.json").read_text())
    assert content["promises"][0]["command"] == "python -m tests.faults --only 7"
    assert content["results"] == [{"name": "n", "promise": 7, "load": "d", "figure": "f", "passed": False}]
    assert "| 7. n | d | f | b | NO |" in table([found])


def call(number: int, kind: str, model: str = "fake-small") -> Received:
    body = {"model": model, "messages": [{"role": "user", "content": f"request {number} of kind {kind}: what?"}]}
    received = Received(path="/", headers={}, body=body, raw=b"")
    received.bills.append(Bill(input=10, output=1, reasoning=None, cached=None, nano=0))
    return received


def test_the_audit_prices_by_its_own_list_and_takes_a_lie_by_its_word() -> None:
    bills = billed([call(1, "whole"), call(2, "lies"), call(1, "whole", "fake-large")])
    assert bills == {"whole 1": [10 * 100 + 400, 10 * 5_000 + 25_000], "lies 2": [7 * 100 + 11 * 400]}


def test_the_audit_sees_a_wrong_charge_a_missing_one_and_one_too_many() -> None:
    exact, guess = Booked(cost_nano=1_400), Booked(cost_nano=9_999, estimated=True)
    assert compared({"whole 1": [exact]}, [], {"whole 1": [1_400]}, proofs=True).difference_nano == 0
    assert compared({"whole 1": [exact]}, [], {"whole 1": [1_401]}, proofs=True).difference_nano == 1
    assert compared({"whole 1": [exact]}, [], {}, proofs=True).difference_nano == 1_400
    assert compared({}, [exact], {}, proofs=True).difference_nano == 1_400
    assert compared({"whole 1": [exact, exact]}, [], {"whole 1": [1_400]}, proofs=True).difference_nano == 1_400
    assert compared({}, [], {"whole 1": [1_400]}, proofs=True).unbooked == 1
    assert compared({"popular 1": [exact]}, [], {"popular 1": [1_400, 1_400]}, proofs=True).unbooked == 1
    assert compared({}, [guess], {"whole 1": [1_400]}, proofs=True).unbooked == 0
    estimate = compared({"slow 1": [Booked(cost_nano=5, estimated=True)]}, [], {"slow 1": [9]}, proofs=True)
    assert (estimate.difference_nano, estimate.ours_estimated_nano, estimate.theirs_estimated_nano) == (0, 5, 9)


def test_the_mixture_is_the_same_at_every_run_and_holds_every_kind() -> None:
    assert planned(17) == planned(17)
    assert {planned(number).kind for number in range(500)} == set(SHARES)
    assert account_of(next(n for n in range(500) if planned(n).kind == "repeated")).startswith("popular ")
