"""Our books against the upstream's bill, request by request, by an arithmetic of the rig's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from router.store import Store
from router.testing import Received
from tests.faults.stage import NANO_PER_TOKEN
from tests.faults.traffic import LIE, account_of, mark_of

CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the comparison gave, in nano-dollars and counts.

    Attributes:
        exact: requests booked as exact. difference_nano: sum of |ours - theirs| over them.
        estimated: requests booked as estimates (clients that left, broken streams, no usage, dead workers), with
            `ours_estimated_nano` and `theirs_estimated_nano`.
        unbooked: bills of requests of which the books know nothing at all. proofs_exact: `rung ledger verify` of all.
    """

    exact: int
    difference_nano: int
    estimated: int
    ours_estimated_nano: int
    theirs_estimated_nano: int
    unbooked: int
    proofs_exact: bool
    examples: tuple[str, ...]


@dataclass(slots=True)
class Booked:
    """What the books say of one account: the sum of its entries, and whether it is an estimate."""

    cost_nano: int = 0
    estimated: bool = False


async def audited(
    store: Store, tenants: Iterable[str], received: Iterable[Received], accounts: Mapping[str, str]
) -> Audit:
    """Compare the books of these tenants with what the upstream has billed.

    Whose an entry is tells the reply that its client got (`accounts`), or the receipt: a failover may lose a receipt
    without losing money.
    """
    booked: dict[str, Booked] = {}
    nameless: list[Booked] = []  # entries without a receipt: their worker died
    proofs = True
    for tenant in tenants:
        proofs = proofs and (await store.books.verify(tenant)).exact
        numbers = {**await _numbers(store, tenant), **accounts}
        for decision, entry in (await _entries(store, tenant)).items():
            if decision in numbers:
                _add(booked, numbers[decision], entry)
            else:
                nameless.append(entry)
    return compared(booked, nameless, billed(received), proofs=proofs)


def compared(booked: dict[str, Booked], nameless: list[Booked], bills: dict[str, int], *, proofs: bool) -> Audit:
    """Hold accounts and bills against each other; `nameless` are entries whose request is not known."""
    bills = dict(bills)
    wrong: list[str] = []
    difference = ours = theirs = exact = estimated = 0
    for number, entry in booked.items():
        owed = bills.pop(number, 0)
        if entry.estimated:
            estimated, ours, theirs = estimated + 1, ours + entry.cost_nano, theirs + owed
        else:
            exact += 1
            difference += abs(entry.cost_nano - owed)
            if entry.cost_nano != owed:
                wrong.append(f"{number}: ours {entry.cost_nano}, theirs {owed}")
    for entry in nameless:
        if entry.estimated:
            estimated, ours = estimated + 1, ours + entry.cost_nano
        elif entry.cost_nano:
            difference += entry.cost_nano
            wrong.append(f"an exact entry without a receipt: {entry.cost_nano}")
    left = {number: nano for number, nano in bills.items() if nano}
    unbooked = max(0, len(left) - sum(entry.estimated for entry in nameless))
    wrong += [f"{number}: theirs {nano}, nothing booked" for number, nano in left.items()] if unbooked else []
    return Audit(
        exact=exact,
        difference_nano=difference,
        estimated=estimated,
        ours_estimated_nano=ours,
        theirs_estimated_nano=theirs + sum(left.values()),
        unbooked=unbooked,
        proofs_exact=proofs,
        examples=tuple(wrong[:8]),
    )


def _add(booked: dict[str, Booked], account: str, entry: Booked) -> None:
    """Several requests may be one account: a popular question is called for again once its answer has gone."""
    before = booked.setdefault(account, Booked())
    before.cost_nano += entry.cost_nano
    before.estimated = before.estimated or entry.estimated


async def _entries(store: Store, tenant: str) -> dict[str, Booked]:
    found: dict[str, Booked] = defaultdict(Booked)
    async for entry in store.books.entries(tenant):
        if entry.kind in {"settled", "void", "reaped", "late"}:
            found[entry.id].cost_nano += entry.cost_nano
            found[entry.id].estimated = entry.estimated  # the last word: a late settlement corrects an estimate
    return found


async def _numbers(store: Store, tenant: str) -> dict[str, str]:
    """Decision -> the account of the number that its client gave the request as its session."""
    numbers: dict[str, str] = {}
    after = "0-0"
    while entries := await store.decisions.entries(tenant, after, CHUNK):
        after = entries[-1].cursor
        for stored in await store.decisions.read(tenant, entries):
            record = orjson.loads(stored)
            session = str(record["session"] or "")
            if session.startswith("request-"):
                numbers[record["id"]] = account_of(int(session.removeprefix("request-")))
    return numbers


def billed(received: Iterable[Received]) -> dict[str, int]:
    """What the upstream wants for each request, in nano-dollars at list price; a lie about usage is its word."""
    owed: dict[str, int] = defaultdict(int)
    for call in received:
        mark = mark_of(call)
        if mark is None:
            continue
        per_input, per_output = NANO_PER_TOKEN[str(call.body["model"])]
        for bill in call.bills:
            told = (LIE["prompt_tokens"], LIE["completion_tokens"]) if mark[1] == "lies" else (bill.input, bill.output)
            owed[f"{mark[1]} {mark[0]}"] += told[0] * per_input + told[1] * per_output
    return dict(owed)
