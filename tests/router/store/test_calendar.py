"""The windows of the calendar, as the server's scripts count them, beside Python's own calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import orjson

from router.store import Store, Terms, Window
from router.store.connection import Connection
from router.store.scripts import Ask, Script, text

_WINDOWS = (
    Script("core.lua", "rollover.lua", "windows.lua").source
    + """
local found = {}
for index, now in ipairs(cjson.decode(ARGV[1])) do
  local words = {}
  for number, window in ipairs(windows(now)) do
    words[number] = window.id .. ' ' .. int(window.start) .. ' ' .. int(window.stop)
  end
  found[index] = table.concat(words, ', ')
end
return found
"""
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def next_month(first: datetime) -> datetime:
    return (first + timedelta(days=31)).replace(day=1)


def months_between(early: datetime, late: datetime) -> int:
    return 12 * (late.year - early.year) + late.month - early.month


def expected(moment: datetime) -> str:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    days = f"d:{day:%Y-%m-%d} {ms(day)} {ms(day + timedelta(days=1))}"
    return f"{days}, m:{month:%Y-%m} {ms(month)} {ms(next_month(month))}, t 0 0"


async def test_the_first_and_last_millisecond_of_every_month_of_nine_centuries_lie_in_their_windows(
    connection: Connection,
) -> None:
    turns = [datetime(year, month, 1, tzinfo=UTC) for year in range(1971, 2850) for month in range(1, 13)]
    moments = [EPOCH, *(moment for turn in turns for moment in (turn - timedelta(milliseconds=1), turn))]
    moments += [datetime(2024, 1, 1, 7, tzinfo=UTC) + timedelta(days=number) for number in range(366)]
    ask = Ask(
        ("EVAL", _WINDOWS, 1, "b:{acme}:acct", orjson.dumps([*map(ms, moments)])), lambda reply: [*map(text, reply)]
    )
    assert await connection.ask(ask) == [*map(expected, moments)]


async def test_the_windows_over_which_a_rest_goes_on_are_counted_as_the_calendar_does(store: Store) -> None:
    """Of every kind of turn: days, months, years, leap years, centuries that are none, and one of four that is."""
    await store.directory.create_tenant("acme")
    leaps = [datetime(year, month, day, tzinfo=UTC) for year in (2024, 2100, 2400) for month, day in ((2, 28), (3, 1))]
    ends = [datetime(year, 12, 31, tzinfo=UTC) for year in (1999, 2000, 2023, 2101, 2399, 2401)]
    months = [datetime(2027, month, month, tzinfo=UTC) for month in range(1, 13)]
    moments = sorted([datetime(1970, 1, 2, tzinfo=UTC), *leaps, *ends, *months])
    store.ledger.frozen_ms = store.books.frozen_ms = ms(moments[0])
    terms = Terms(rollover=1.0, rollover_cap_nano=1)
    for window in (Window.DAY, Window.MONTH):
        await store.ledger.set_budget("acme", window.word, 1000, window, terms=terms)
    for moment in moments[1:]:
        store.ledger.frozen_ms = store.books.frozen_ms = ms(moment)
        await store.ledger.standing("acme")
    rolls = [entry async for entry in store.books.entries("acme") if entry.kind == "roll"]
    counted = {(entry.id, entry.windows[0][2:]): int(orjson.loads(entry.facts)["windows"]) for entry in rolls}
    pairs = list(pairwise(moments))
    days = {("day", f"{late:%Y-%m-%d}"): (late - early).days for early, late in pairs}
    turned = {("month", f"{late:%Y-%m}"): months_between(early, late) for early, late in pairs}
    assert counted == days | {key: number for key, number in turned.items() if number}
    assert (await store.books.verify("acme")).exact
