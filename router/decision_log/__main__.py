"""The writing process, as `rung serve` starts it: ends with its parent, at the latest when its standard input does."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from types import FrameType

from router.configuration import settings as configuration
from router.configuration.settings import ConfigError
from router.decision_log.process import NICENESS, STORE_PATIENCE_S, follow, store_url
from router.errors import RungError
from router.resources.pepper import read_pepper
from router.store import Store


def _end_with_parent() -> None:
    """A killed parent closes its end of our standard input."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(number: int, frame: FrameType | None) -> None:
    """At once: a part that is half written is written again."""
    del number, frame
    os._exit(0)


async def _main() -> None:
    settings = configuration.load()
    url = store_url(os.environ) or settings.store.url
    if url is None:
        raise ConfigError("this process is started by `rung serve`; by hand, use `rung logs ship`")
    store = await Store.connect(
        url,
        pepper=read_pepper(settings),
        upkeep=False,
        reply_timeout_s=STORE_PATIENCE_S,
        connect_timeout_s=STORE_PATIENCE_S,
    )
    try:
        await follow(store, settings)
    finally:
        await store.close()


if __name__ == "__main__":
    os.nice(NICENESS)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        asyncio.run(_main())
    except (ConfigError, RungError) as error:
        sys.exit(f"rung: the decision log is not written: {error}")
