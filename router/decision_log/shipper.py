"""From the store's streams to the log's files, exactly once.

One part is a range of one tenant's stream, and becomes one file for each day that it touches:

    progress   how far the table is, and whether a part was begun
    intend     put down where the part ends, so that whoever writes it writes the same
    write      the files, named by the range; each appears whole, and writing it again changes nothing
    commit     move the cursor to the part's end

A writer that dies anywhere leaves a part that the next one writes again under the same names: neither loss nor double.
Two writers at once do no harm either; the lease only saves them the work.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from policies.log_schema import DECISIONS, OUTCOMES
from router.decision_log import parquet
from router.decision_log.place import Place, part_path
from router.decision_log.rows import Row, day_of, decision_row, outcome_row, vector_of
from router.decision_log.vigilance import Vigilance
from router.outcomes.implicit import Sessions, of_record
from router.outcomes.outcome import Outcome
from router.store import Progress, Store

TABLES = (DECISIONS, OUTCOMES)
PART = 5_000  # records of a part; 30 MB while it is made


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What one pass has written."""

    decisions: int = 0
    outcomes: int = 0


class Shipper:
    """Writes the log of all tenants.

    Args:
        store: where the streams are.
        place: where the files go.
        reliability: of the outcomes that are read off records; see `router.outcomes`.
        vigilance: is shown what is written, or None.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        place: Place,
        *,
        reliability: Mapping[str, float],
        vigilance: Vigilance | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._place = place
        self._reliability = reliability
        self._clock = clock
        self._vigilance = vigilance
        self._sessions = Sessions(reliability)
        self._rules: dict[str, bytes | None] = {}

    async def ship(self) -> Shipped:
        """Write all that is new, tenant by tenant. Raises StoreUnavailable, OSError."""
        total = dict.fromkeys(TABLES, 0)
        for tenant in await self._store.directory.tenants():
            for table in TABLES:  # decisions first: reading them tells outcomes
                total[table] += await self.ship_table(tenant.id, table)
        if self._vigilance is not None:
            await self._vigilance.judge()
        return Shipped(decisions=total[DECISIONS], outcomes=total[OUTCOMES])

    async def ship_table(self, tenant: str, table: str) -> int:
        """Write all that is new of one table of one tenant; returns how many rows."""
        written = 0
        try:
            while (part := await self._next_part(tenant, table)) is not None:
                rows = await self._rows(tenant, table, part)
                self._write(tenant, table, part, rows)
                await self._store.log_book.commit(tenant, table, part)
                written += len(rows)
        except BaseException:
            self._sessions = Sessions(self._reliability)  # the part will be read again from its beginning
            raise
        return written

    async def _next_part(self, tenant: str, table: str) -> Progress | None:
        """The part to write now, or None where there is nothing new."""
        book = self._store.log_book
        found = await book.progress(tenant, table)
        while found.until is None:
            last = await self._last_cursor(tenant, table, found.cursor)
            if last is None:
                return None
            found = await book.intend(tenant, table, found.cursor, last)
        return found

    async def _last_cursor(self, tenant: str, table: str, after: str) -> str | None:
        stream = self._store.decisions if table == DECISIONS else self._store.outcomes
        entries = await stream.entries(tenant, after=after, count=PART)
        return entries[-1].cursor if entries else None

    async def _rows(self, tenant: str, table: str, part: Progress) -> list[Row]:
        until = part.until or "+"
        if table == OUTCOMES:
            told = await self._store.outcomes.entries(tenant, after=part.cursor, until=until, count=PART)
            outcomes = [orjson.loads(one.content) for one in told]
            if self._vigilance is not None:
                for outcome in outcomes:
                    await self._vigilance.told(outcome)
            return [outcome_row(outcome, written=self._clock()) for outcome in outcomes]
        entries = await self._store.decisions.entries(tenant, after=part.cursor, count=PART, until=until)
        rows: list[Row] = []
        for content, packed in await self._store.decisions.read_whole(tenant, entries):
            record: dict[str, Any] = orjson.loads(content)
            rows.append(decision_row(record, packed, await self._rules_of(record["rules"]), written=self._clock()))
            await self._tell(record, packed)
            if self._vigilance is not None:
                self._vigilance.decided(record, vector_of(packed))
        return rows

    async def _tell(self, record: Mapping[str, Any], packed: bytes) -> None:
        """Tell the outcomes that a record shows; telling them again changes nothing."""
        seen: list[Outcome] = list(of_record(record, self._reliability))
        again = self._sessions.follow(record, vector_of(packed))
        for outcome in seen if again is None else [*seen, again]:
            await self._store.outcomes.add(outcome.tenant, outcome.outcome_id, outcome.says, outcome.dump())

    async def _rules_of(self, rules_id: str) -> bytes | None:
        if self._rules.get(rules_id) is None:
            self._rules[rules_id] = await self._store.decisions.rules(rules_id)
        return self._rules[rules_id]

    def _write(self, tenant: str, table: str, part: Progress, rows: list[Row]) -> None:
        days: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            days[day_of(row)].append(row)
        for day, of_day in days.items():
            path = part_path(table, tenant, day, part.cursor, part.until or "")
            self._place.write(path, parquet.encode(table, of_day))
