"""What shall be forgotten: whole tenants, single users, and what is older than a tenant keeps.

The store comes first: a part of the log that is written again meanwhile then no longer finds what was erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import orjson

from policies.log_schema import DECISIONS, OUTCOMES
from router.decision_log import parquet
from router.decision_log.place import Place
from router.decision_log.rows import Row
from router.store import Store

BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """How much was erased: records of the store that were not in a file any more or not yet, and rows of files."""

    records: int
    outcomes: int
    rows: int
    files: int


async def erase(store: Store, place: Place | None, tenant: str, user: str | None = None) -> Erased:
    """Erase what is logged of a tenant, or of one of its users; the books, which hold amounts only, stay.

    Args:
        store: whose receipts and outcomes are forgotten. place: the log's files, or None where there are none.
        tenant: whose. user: as clients name him in `user`; None for everybody.

    Raises:
        StoreUnavailable, OSError: not everything was erased; do it again.
    """
    parts = [] if place is None else list(place.parts(tenant=tenant))
    await store.purge(tenant)  # answers are kept without saying who asked: a user's go with all of the tenant's
    gone, records = await _from_decisions(store, tenant, user)
    if place is not None and user is not None:
        for part in (one for one in parts if one.table == DECISIONS):
            gone |= {row["decision_id"] for row in parquet.decode(place.read(part.path)) if row["user"] == user}
    outcomes = await _from_outcomes(store, tenant, None if user is None else gone)
    rows = files = 0
    for part in parts:
        if place is not None:
            dropped = _rewrite(place, part.path, part.table, None if user is None else gone)
            rows, files = rows + dropped, files + bool(dropped)
    return Erased(records=records, outcomes=outcomes, rows=rows, files=files)


async def _from_decisions(store: Store, tenant: str, user: str | None) -> tuple[set[str], int]:
    """The ids of the decisions erased from the store, and how many receipts there were."""
    found: set[str] = set()
    after, count = "0-0", 0
    while entries := await store.decisions.entries(tenant, after=after, count=BATCH):
        after = entries[-1].cursor
        known = [orjson.loads(content) for content in await store.decisions.read(tenant, entries)]
        doomed = [record["id"] for record in known if user is None or _user(record) == user]
        count += await store.decisions.erase(tenant, doomed)
        found.update(doomed)
    return found, count


def _user(record: Mapping[str, Any]) -> str | None:
    return (record.get("log") or {}).get("user")


async def _from_outcomes(store: Store, tenant: str, decisions: set[str] | None) -> int:
    after, count = "0-0", 0
    while told := await store.outcomes.entries(tenant, after=after, count=BATCH):
        after = told[-1].cursor
        doomed = [
            one.cursor for one in told if decisions is None or orjson.loads(one.content)["decision_id"] in decisions
        ]
        count += await store.outcomes.erase(tenant, doomed)
    return count


def _rewrite(place: Place, path: str, table: str, decisions: set[str] | None) -> int:
    """Drop the rows of these decisions (None: all) from a file; returns how many they were."""
    rows = parquet.decode(place.read(path))
    left: list[Row] = [] if decisions is None else [row for row in rows if row["decision_id"] not in decisions]
    if not left:
        place.delete(path)
    elif len(left) < len(rows):
        place.write(path, parquet.encode(table, left))
    return len(rows) - len(left)


def expire(place: Place, today: date, keep_days: Mapping[str, int], default_days: int) -> int:
    """Delete files of days that their tenant keeps no longer; returns how many.

    Args:
        place: the log's files. today: in UTC. keep_days: per tenant. default_days: of all others.
    """
    count = 0
    for table in (DECISIONS, OUTCOMES):
        for part in place.parts(table=table):
            oldest = today - timedelta(days=keep_days.get(part.tenant, default_days))
            if date.fromisoformat(part.day) < oldest:
                place.delete(part.path)
                count += 1
    return count
