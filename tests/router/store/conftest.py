from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from router.store import Ledger, State, Store, embedded, names
from router.store.connection import Connection, Executor
from router.store.scripts import Ask, ignore, text
from tests import store_servers
from tests.router.store.ledgers import opened_ledger
from tests.store_servers import PATIENT_S, opened


@pytest.fixture(scope="session", params=store_servers.FLAVOURS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[embedded.EmbeddedServer]:
    """One server for the whole session; every test finds it empty."""
    if store_servers.binary(request.param) is None:
        pytest.skip(f"no {request.param}-server is installed; the suite ran against the embedded one")
    with store_servers.running(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
async def connection(server: embedded.EmbeddedServer) -> AsyncIterator[Connection]:
    """An open connection to an empty server; afterwards no key may live for ever without a documented reason."""
    connection = Connection(server.url, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
    await connection.open()
    await connection.ask(Ask(("FLUSHALL",), ignore))
    yield connection
    if not connection.up:
        await connection.open()
    leaked = [key async for key in immortal(connection)]
    await connection.close()
    assert leaked == [], "keys without a time to live and without a reason in names.PERMANENT"


@pytest.fixture
async def store(server: embedded.EmbeddedServer, connection: Connection) -> AsyncIterator[Store]:
    """The whole store on an empty server, without background work."""
    async with opened(server.url) as store:
        yield store


@pytest.fixture
async def ledger(connection: Connection) -> Ledger:
    """See `opened_ledger`."""
    return await opened_ledger(connection)


@pytest.fixture
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[embedded.EmbeddedServer]:
    """A server that the test may kill, freeze and restart."""
    with store_servers.running("valkey", tmp_path / "data") as running:
        yield running


async def immortal(connection: Executor) -> AsyncIterator[str]:
    """The keys that would live for ever and are not known to."""
    for key in await connection.ask(Ask(("KEYS", "*"), lambda reply: [text(name) for name in reply])):
        ttl = await connection.ask(Ask(("TTL", key), int))
        if ttl == -1 and (not is_permanent(key) or await is_tombstone(connection, key)):
            yield key


async def is_tombstone(connection: Executor, key: str) -> bool:
    """Whether this is a hold that has ended: only an open one has a reason to stay."""
    if "}:h:" not in key:
        return False
    state = await connection.ask(Ask(("HGET", key, "st"), text))
    return state not in set(State)


def is_permanent(key: str) -> bool:
    """Whether `names.PERMANENT` gives a reason for this key."""
    kind = key.removeprefix("b:").partition("}")[2].partition(":")[2] or key.removeprefix("b:")
    return any(kind == name or kind.startswith(f"{name}:") for name in names.PERMANENT)
