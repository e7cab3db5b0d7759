from __future__ import annotations

import pytest

from router.errors import NotFound
from router.store import DecisionStream
from router.store.connection import Connection
from router.store.scripts import Ask


async def test_a_receipt_is_found_by_its_tenant_and_by_nobody_else(connection: Connection) -> None:
    decisions = DecisionStream(connection)
    await decisions.append("acme", "d1", b'{"why": "because"}')
    assert await decisions.get("acme", "d1") == b'{"why": "because"}'
    with pytest.raises(NotFound) as foreign:
        await decisions.get("other", "d1")
    with pytest.raises(NotFound) as unknown:
        await decisions.get("other", "d2")
    assert foreign.value.message == unknown.value.message


@pytest.mark.parametrize("odd", ["", "x" * 65, "a b", "a}:acct", "../d1", "ü", "a\x00", "d1\n", "\ud800"])
async def test_an_id_that_is_none_is_not_found(connection: Connection, odd: str) -> None:
    with pytest.raises(NotFound):
        await DecisionStream(connection).get("acme", odd)


async def test_receipts_are_listed_in_order_and_read_on_from_a_cursor(connection: Connection) -> None:
    decisions = DecisionStream(connection)
    for number in range(5):
        await decisions.append("acme", f"d{number}", b"%d" % number)
    first = await decisions.entries("acme", count=2)
    rest = await decisions.entries("acme", after=first[-1].cursor)
    assert [entry.decision_id for entry in first + rest] == [f"d{number}" for number in range(5)]
    await connection.ask(Ask(("DEL", "b:{acme}:d:d3"), int))
    assert await decisions.read("acme", rest) == [b"2", b"4"]
    assert await decisions.read("acme", []) == []


async def test_the_list_is_capped(connection: Connection) -> None:
    decisions = DecisionStream(connection, listed=100)
    for number in range(500):
        await decisions.append("acme", f"d{number}", b"x")
    assert len(await decisions.entries("acme", count=1000)) <= 200, "Redis trims whole nodes of a hundred entries"
