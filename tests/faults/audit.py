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
    booked: dict[str, list[Booked]] = defaultdict(list)
    nameless: list[Booked] = []  # entries without a receipt: their worker died
    proofs = True
    for tenant in tenants:
        proofs = proofs and (await store.books.verify(tenant)).exact
        numbers = {**await _numbers(store, tenant), **accounts}
        for decision, entry in (await _entries(store, tenant)).items():
            if decision in numbers:
                booked[numbers[decision]].append(entry)
            else:
                nameless.append(entry)
    return compared(booked, nameless, billed(received), proofs=proofs)


def compared(
    booked: Mapping[str, list[Booked]], nameless: list[Booked], bills: Mapping[str, list[int]], *, proofs: bool
) -> Audit:
    """Hold entries and bills against each other, account by account; `nameless` are entries of nobody that is known.

    An exact entry must equal one of its account's bills. What bills are left belong to the account's estimates, or to
    an estimate of a process that died with its request's name.
    """
    wrong: list[str] = []
    difference = theirs = left = 0
    for account in {*booked, *bills}:
        owed = sorted(bills.get(account, ()))
        for entry in booked.get(account, ()):
            if not entry.estimated and entry.cost_nano in owed:
                owed.remove(entry.cost_nano)
            elif not entry.estimated and entry.cost_nano:
                nearest = min(owed, key=lambda nano: abs(nano - entry.cost_nano), default=0)
                difference += abs(entry.cost_nano - nearest)
                wrong.append(f"{account}: ours {entry.cost_nano}, theirs {nearest}")
        theirs += sum(owed)
        estimated_here = any(entry.estimated for entry in booked.get(account, ()))
        if not estimated_here:
            left += sum(nano > 0 for nano in owed)
            wrong += [f"{account}: theirs {nano}, nothing of ours" for nano in owed if nano]
    difference += sum(entry.cost_nano for entry in nameless if not entry.estimated)
    everything = [*nameless, *(entry for entries in booked.values() for entry in entries)]
    estimates = [entry for entry in everything if entry.estimated]
    unbooked = max(0, left - sum(entry.estimated for entry in nameless))
    return Audit(
        exact=len(everything) - len(estimates),
        difference_nano=difference,
        estimated=len(estimates),
        ours_estimated_nano=sum(entry.cost_nano for entry in estimates),
        theirs_estimated_nano=theirs,
        unbooked=unbooked,
        proofs_exact=proofs,
        examples=tuple(wrong[:8]) if difference or unbooked else (),
    )


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


def billed(received: Iterable[Received]) -> dict[str, list[int]]:
    """What the upstream wants for each call of an account, nano-dollars at list price; a lie of usage is its word."""
    owed: dict[str, list[int]] = defaultdict(list)
    for call in received:
        mark = mark_of(call)
        if mark is None:
            continue
        per_input, per_output = NANO_PER_TOKEN[str(call.body["model"])]
        for bill in call.bills:
            told = (LIE["prompt_tokens"], LIE["completion_tokens"]) if mark[1] == "lies" else (bill.input, bill.output)
            owed[f"{mark[1]} {mark[0]}"].append(told[0] * per_input + told[1] * per_output)
    return dict(owed)
