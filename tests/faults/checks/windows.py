"""Promises 4, 18 and 19: windows of the calendar, the cap on the strong tier, the locks."""

from __future__ import annotations

import random
import re
from calendar import monthrange
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from router.store import Ledger, Window, embedded
from router.store.connection import Connection
from router.store.scripts import Ask, ignore
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.stage import question, staged
from tests.store_servers import PATIENT_S

# Where clocks are changed: Europe and America in 2026 and 2027, and ends of months and years, a leap day among them.
EDGES = (
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2027, 3, 28, 1, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2028, 2, 29, 0, tzinfo=UTC),
    datetime(2028, 3, 1, 0, tzinfo=UTC),
    datetime(2100, 3, 1, 0, tzinfo=UTC),
)
CAP = 0.2


@promise(4)
async def spend_belongs_to_its_window(rig: Rig) -> list[Finding]:
    chance = random.Random(4)  # noqa: S311 - the same moments at every run
    moments = [edge + timedelta(milliseconds=shift) for edge in EDGES for shift in (-1, 0, 1)]
    moments += [
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(80 * 365 * 86_400))
        for _ in range(rig.of(1_000, 60))
    ]
    wrong = 0
    with embedded.start(rig.place("windows")) as server:
        connection = Connection(server.url, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
        await connection.open()
        for moment in moments:
            wrong += await _misplaced(connection, moment)
            await connection.ask(Ask(("FLUSHALL",), ignore))
        await connection.close()
    return [
        Finding(
            number=4,
            name="spend belongs to its window",
            done=f"{len(moments):,} frozen moments: changes of the clock, ends of months and leap years, random ones;"
            " each reserved before and settled a day later",
            figure=f"{wrong} booked elsewhere",
            bound="0",
            holds=wrong == 0,
        )
    ]


async def _misplaced(connection: Connection, moment: datetime) -> bool:
    """Whether a request that began at a moment and ended a day later is booked anywhere but in the moment's windows."""
    ledger = Ledger(connection, frozen_ms=round(moment.timestamp() * 1000))
    await ledger.open_account("acme", "g")
    for window in (Window.DAY, Window.MONTH):
        await ledger.set_budget("acme", window.value, 1000, window)
    hold = await ledger.reserve("acme", "h", 500)
    before = await ledger.standing("acme")
    ends = {budget.window: budget.ends_at for budget in before.budgets}
    day = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    month = day.replace(day=1) + timedelta(days=monthrange(moment.year, moment.month)[1])
    ledger.frozen_ms = round((moment + timedelta(days=1)).timestamp() * 1000)
    await ledger.settle(hold, 300)
    after = await ledger.standing("acme")
    same_month = (moment + timedelta(days=1)).month == moment.month
    return not (
        ends == {Window.DAY: (day + timedelta(days=1)).timestamp(), Window.MONTH: month.timestamp()}
        and (before.day.held_nano, before.month.held_nano) == (500, 500)
        and (after.day.spent_nano, after.month.spent_nano) == (0, 300 if same_month else 0)
        and (after.total.spent_nano, after.total.held_nano) == (300, 0)
    )


@promise(18)
async def hard_looking_suffixes_do_not_pass_the_cap(rig: Rig) -> list[Finding]:
    requests = rig.of(400, 40)
    hard = "Prove Fermat's last theorem for n = 3, step by step; this is a very hard olympiad problem. No. "
    async with staged(rig.place("capped"), workers=1) as stage:
        tenant = await stage.tenant("capped", policy={"quality": 1.0, "strong_share": CAP})
        tiers: Counter[str] = Counter()
        for number in range(requests):
            _, _, headers = await stage.post(tenant, question(hard + str(number), model="auto"))
            tiers[headers["x-rung-tier"]] += 1
    share = tiers["premium"] / requests
    return [
        Finding(
            number=18,
            name="the spend is not fooled",
            done=f"{requests} easy questions with suffixes that look hard, a cap of {CAP:.0%} on the strongest tier",
            figure=f"{share:.1%} of calls in the strongest tier",
            bound=f"above 0, at most {CAP:.0%} and one call",
            holds=0 < tiers["premium"] <= CAP * requests + 1,
        )
    ]


@promise(19)
async def every_dependency_is_locked_with_hashes(_rig: Rig) -> list[Finding]:
    entries = _pins()
    pinned, bare = len(entries), sum("--hash=sha256:" not in entry for entry in entries)
    return [
        Finding(
            number=19,
            name="dependencies are locked",
            done="every line of requirements/*.txt read; `make` installs with --require-hashes",
            figure=f"{bare} of {pinned:,} pins without a hash",
            bound="0",
            holds=pinned > 0 and bare == 0,
        )
    ]


def _pins() -> list[str]:
    """Every pin of every lock, its hashes on the same line."""
    texts = [lock.read_text(encoding="utf-8").replace("\\\n", " ") for lock in Path("requirements").glob("*.txt")]
    return [pin for text in texts for pin in re.findall(r"^[A-Za-z0-9][^\s=]*==.*$", text, re.MULTILINE)]
