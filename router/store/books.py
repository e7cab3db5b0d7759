"""The operator's side of the ledger: alone proves, rebuilds, adjusts, exports and shortens the books.

The durable record is the stream `b:{tenant}:led` and its checkpoint, into which the oldest entries are
folded. The counters that admissions are checked against must equal the record's sums at any moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from router.store import names
from router.store.connection import Executor
from router.store.ledger import SEPARATOR
from router.store.record import Entry, again_ask, entries_ask, place, read_entries
from router.store.rollover import rolled, wrong
from router.store.scripts import Ask, Reply, Script, ignore, text

CHUNK = 500  # entries per script: about a millisecond of the server's time
KEPT_ENTRIES = 100_000  # per tenant, some 30 MB; older ones live on in the checkpoint and in exports

_SNAPSHOT = Script("core.lua", "holds.lua", "open_holds.lua", "snapshot.lua")
_RESTORE = Script("core.lua", "restore.lua")
_COMPACT = Script("core.lua", "holds.lua", "open_holds.lua", "rollover.lua", "windows.lua", "compact.lua")
_ADJUST = Script("core.lua", "rollover.lua", "windows.lua", "adjust.lua")

Sums = dict[tuple[str, str], int]  # (window, scope) -> nano-dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One counter that does not equal the record. `what`: `spent`, `held`, or `rolled`, then `scope` is the budget."""

    window: str
    scope: str
    what: str
    counter_nano: int
    record_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What `verify` found. `differences` is empty for exact books; `open_holds` counts requests in flight."""

    tenant: str
    entries: int
    open_holds: int
    spent_nano: int
    differences: tuple[Difference, ...]

    @property
    def exact(self) -> bool:
        """Whether record and counters agree to the nano-dollar."""
        return not self.differences


@dataclass(slots=True, kw_only=True)
class _Snapshot:
    budgets: str
    checkpoint: dict[str, str]
    counters: dict[str, dict[str, int]]
    holds: list[tuple[str, int, str, str]]
    entries: list[Entry] = field(default_factory=list[Entry])


class Books:
    """The record of every tenant. `frozen_ms` is a test's clock."""

    def __init__(self, executor: Executor, *, frozen_ms: int | None = None) -> None:
        self._executor = executor
        self.frozen_ms = frozen_ms

    async def entries(self, tenant: str, after: str = "0-0") -> AsyncIterator[Entry]:
        """The record after a cursor, oldest first: an export. Raises StoreUnavailable."""
        while True:
            chunk = await self._executor.ask(entries_ask(tenant, after, CHUNK))
            for entry in chunk:
                yield entry
            if len(chunk) < CHUNK:
                return
            after = chunk[-1].cursor

    async def verify(self, tenant: str) -> Proof:
        """Compare every live counter with the record, at one moment, traffic or not. Raises StoreUnavailable."""
        snapshot = await self._snapshot(tenant)
        spent, held = _spent(snapshot), _held(snapshot)
        carried = rolled(snapshot.checkpoint, snapshot.entries)
        differences = [
            Difference(window=window, scope=scope, what=what, counter_nano=counter, record_nano=record)
            for window, fields in snapshot.counters.items()
            for what, letter, sums in (("spent", "s", spent), ("held", "h", held), ("rolled", "r", carried))
            for scope in _scopes(fields, letter, window, sums)
            if (counter := fields.get(f"{letter}|{scope}", 0)) != (record := sums.get((window, scope), 0))
        ]
        differences += [
            Difference(
                window=entry.windows[0], scope=entry.id, what="rolled", counter_nano=entry.held_nano, record_nano=due
            )
            for entry, due in wrong(
                snapshot.checkpoint,
                snapshot.entries,
                _folded(snapshot),
                lambda window: complete(window, snapshot.checkpoint),
            )
        ]
        return Proof(
            tenant=tenant,
            entries=len(snapshot.entries),
            open_holds=len(snapshot.holds),
            spent_nano=spent.get(("t", ""), 0),
            differences=tuple(differences),
        )

    async def rebuild(self, tenant: str, generation: str, exported: Iterable[Entry] | None = None) -> Proof:
        """Compute the counters from the record and open the account again; requests fail closed meanwhile.

        Args:
            tenant: whose books.
            generation: the store's epoch.
            exported: the record from an export, where the store has lost its own; it is loaded first.

        Returns:
            the proof of the new books.

        Raises:
            StoreUnavailable: the store is away; repeat it.
        """
        await self._executor.ask(Ask(("HDEL", names.of(tenant, "acct"), "gen"), int))
        if exported is not None:
            await self._load(tenant, exported)
        snapshot = await self._snapshot(tenant)
        spent, held, budgets = _spent(snapshot), _held(snapshot), snapshot.budgets or _budgets(snapshot)
        counters = [
            (window, f"{letter}|{scope}", str(nano))
            for letter, sums in (("s", spent), ("h", held), ("r", _rolling(snapshot, spent, budgets)))
            for (window, scope), nano in sums.items()
            if complete(window, snapshot.checkpoint)
        ]
        flat = [word for counter in counters for word in counter]
        await self._executor.ask(_RESTORE.ask([names.of(tenant, "acct")], [generation, budgets, *flat], ignore))
        return await self.verify(tenant)

    async def adjust(
        self,
        tenant: str,
        adjustment_id: str,
        change_nano: int,
        *,
        reason: str,
        by: str,
        scopes: tuple[str, ...] = (),
    ) -> bool:
        """Book a refund (negative) or a charge by hand, in the present windows; the record keeps who and why.

        Returns:
            False where an adjustment of this id was booked within the last day: nothing is booked twice.
        """
        facts = orjson.dumps({"reason": reason, "by": by})
        clock = "" if self.frozen_ms is None else self.frozen_ms
        arguments = [clock, f"adj-{adjustment_id}", change_nano, SEPARATOR.join(("", *scopes)), facts]
        return await self._executor.ask(_ADJUST.ask([names.of(tenant, "acct")], arguments, bool))

    async def compact(self, tenant: str, *, keep: int = KEPT_ENTRIES) -> int:
        """Fold all but the newest `keep` entries into the checkpoint; returns how many were folded."""
        clock = "" if self.frozen_ms is None else self.frozen_ms
        folded = 0
        while True:
            ask = _COMPACT.ask([names.of(tenant, "acct")], [clock, keep, CHUNK], int)
            done = await self._executor.ask(ask)
            folded += done
            if done < CHUNK:
                return folded

    async def _snapshot(self, tenant: str) -> _Snapshot:
        """The books at one moment, with the record: in chunks, the last of them with the counters."""
        record: list[Entry] = []
        while True:
            cursor = record[-1].cursor if record else "0-0"
            snapshot = await self._executor.ask(self._ask(tenant, cursor, CHUNK))
            record += snapshot.entries
            if len(snapshot.entries) < CHUNK:
                upto = snapshot.checkpoint.get("upto", "0-0")
                snapshot.entries = [entry for entry in record if place(entry.cursor) > place(upto)]
                return snapshot

    def _ask(self, tenant: str, cursor: str, count: int) -> Ask[_Snapshot]:
        return _SNAPSHOT.ask([names.of(tenant, "acct")], [cursor, count], _read)

    async def _load(self, tenant: str, exported: Iterable[Entry]) -> None:
        """Put exported entries that the store has lost back into its record."""
        last = "0-0"
        async for entry in self.entries(tenant):
            last = entry.cursor
        for entry in exported:
            if place(entry.cursor) > place(last):
                await self._executor.ask(again_ask(tenant, entry))


def _folded(snapshot: _Snapshot) -> Sums:
    sums: Sums = {}
    for name, nano in snapshot.checkpoint.items():
        window, bar, scope = name.partition("|")
        if bar and not name.startswith("="):
            sums[window, scope] = int(nano)
    return sums


def _spent(snapshot: _Snapshot) -> Sums:
    sums = Counter(_folded(snapshot))
    for entry in snapshot.entries:
        for window in entry.windows:
            for scope in entry.scopes:
                sums[window, scope] += entry.cost_nano
    return dict(sums)


def _held(snapshot: _Snapshot) -> Sums:
    sums: Counter[tuple[str, str]] = Counter()
    for _, nano, windows, scopes in snapshot.holds:
        for window in windows.split(","):
            for scope in scopes.split(SEPARATOR):
                sums[window, scope] += nano
    return dict(sums)


def complete(window: str, checkpoint: dict[str, str]) -> bool:
    """Whether the record still holds all of a window: it was summed in the checkpoint, or began after it."""
    if "upto" not in checkpoint or f"{window}|" in checkpoint:
        return True
    day = window[2:] if window.startswith("d") else f"{window[2:]}-01"
    began = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    return began.timestamp() * 1000 > place(checkpoint["upto"])[0]


def _scopes(fields: dict[str, int], letter: str, window: str, sums: Sums) -> list[str]:
    counted = {name[2:] for name in fields if name.startswith(f"{letter}|")}
    return sorted(counted | {scope for found, scope in sums if found == window})


def _rolling(snapshot: _Snapshot, spent: Sums, budgets: str) -> Sums:
    """What was carried into the windows; into the last one of a kind at least nothing."""
    carried: Sums = dict(rolled(snapshot.checkpoint, snapshot.entries))
    for budget in orjson.loads(budgets or "[]"):
        if "roll" in budget:
            windows = [window for window, _ in spent if window.startswith(budget["window"])]
            if windows:
                carried.setdefault((max(windows), budget["name"]), 0)
    return carried


def _budgets(snapshot: _Snapshot) -> str:
    """The budgets as the record last set them, in the account's own form."""
    folded = {name.removeprefix("=b="): kept for name, kept in snapshot.checkpoint.items() if name.startswith("=b=")}
    found: dict[str, Any] = {name: orjson.loads(kept) for name, kept in folded.items()}
    for entry in snapshot.entries:
        if entry.kind == "budget":
            found[entry.id] = orjson.loads(entry.facts)
        elif entry.kind == "unbudget":
            found.pop(entry.id, None)
    return orjson.dumps(list(found.values())).decode() if found else ""


def _read(reply: Reply) -> _Snapshot:
    budgets, checkpoint, counters, holds, entries = reply
    return _Snapshot(
        budgets=text(budgets),
        checkpoint=_pairs(checkpoint),
        counters={
            text(window): {name: int(value) for name, value in _pairs(fields).items()} for window, fields in counters
        },
        holds=[(text(i), int(nano), text(windows), text(scopes)) for i, nano, windows, scopes in holds],
        entries=read_entries(entries),
    )


def _pairs(words: list[bytes]) -> dict[str, str]:
    return {text(name): text(value) for name, value in zip(words[::2], words[1::2], strict=True)}
