"""A store for the length of one command: the running gateway's, or a private one that is started for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from router import settings as configuration
from router.pepper import read_pepper
from router.settings import Settings
from router.store import Store, embedded

T = TypeVar("T")


def with_store(work: Callable[[Store, Settings], Awaitable[T]]) -> T:
    """Run `work` with an open store. Raises ConfigError and StoreUnavailable, which say how to mend it."""
    settings = configuration.load()
    if settings.store.url is not None:
        return asyncio.run(_with_url(settings.store.url, settings, work))
    with embedded.attach_or_start(settings.store.data_dir) as server:
        return asyncio.run(_with_url(server.url, settings, work))


async def _with_url(url: str, settings: Settings, work: Callable[[Store, Settings], Awaitable[T]]) -> T:
    store = await Store.connect(url, pepper=read_pepper(settings))
    try:
        return await work(store, settings)
    finally:
        await store.close()
