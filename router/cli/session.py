"""A store for the length of one command: the running gateway's, or a private one that is started for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from router.configuration import settings as configuration
from router.configuration.settings import ConfigError, Settings
from router.resources.pepper import read_pepper
from router.store import Store, embedded
from router.tenants.declared import declare_tenants

T = TypeVar("T")

# A command has more time than a request: the store may be busy with the gateway's.
PATIENCE_S = 5.0


def with_store(work: Callable[[Store, Settings], Awaitable[T]]) -> T:
    """Run `work` with an open store that knows the configured tenants.

    Raises:
        ConfigError, StoreUnavailable: which say how to mend it.
    """
    settings = _settings()
    if settings.store.url is not None:
        return asyncio.run(_with_url(settings.store.url, settings, work))
    _tell_of_a_new_store(settings)
    with embedded.attach_or_start(settings.store.data_dir) as server:
        return asyncio.run(_with_url(server.url, settings, work))


def _settings() -> Settings:
    """The configuration; where it is wrong, what it says of the store: a key must be revocable all the same."""
    try:
        return configuration.load()
    except ConfigError as error:
        alone = configuration.load(only="store")
        print(f"rung: {error}\nrung: going on with the store's settings alone", file=sys.stderr)
        return alone


def _tell_of_a_new_store(settings: Settings) -> None:
    folder = settings.store.data_dir.resolve()
    if not (folder / "store").exists():
        print(
            f"rung: making a new private store in {folder}; a gateway in another folder has another one "
            "(RUNG_STORE__DATA_DIR or REDIS_URL names it)",
            file=sys.stderr,
        )


def reach_store(settings: Settings, url: str) -> None:
    """Come back where the store answers with this gateway's books: it is told before anything is started.

    Raises:
        StoreUnavailable: it is away, or was emptied or replaced.
    """

    async def reach() -> None:
        await (await _connect(url, settings, memory=settings.store.data_dir / "store" / "epoch")).close()

    asyncio.run(reach())


async def _connect(url: str, settings: Settings, *, memory: Path | None = None) -> Store:
    store = await Store.connect(
        url,
        pepper=read_pepper(settings),
        memory=memory,
        upkeep=False,
        reply_timeout_s=PATIENCE_S,
        connect_timeout_s=PATIENCE_S,
    )
    if not await store.directory.shares_pepper():
        print(
            "rung: careful: this store's keys were hashed with another pepper than is used here, so keys made there"
            " open nothing here: set RUNG_STORE__PEPPER to the same on all machines that share a store",
            file=sys.stderr,
            flush=True,
        )
    return store


async def _with_url(url: str, settings: Settings, work: Callable[[Store, Settings], Awaitable[T]]) -> T:
    store = await _connect(url, settings)
    try:
        await declare_tenants(store, settings, demo_key=None)
        return await work(store, settings)
    finally:
        await store.close()
