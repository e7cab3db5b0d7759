"""The fake provider for tests without an event loop: it runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager

from router.testing.fake_upstream import FakeUpstream
from router.testing.script import Answer

_START_TIMEOUT_S = 10.0


@contextmanager
def running_fake_upstream(default: Answer | None = None) -> Generator[FakeUpstream]:
    """A `FakeUpstream` that serves until the block is left.

    `say`, `received`, `bills` and `billed_nano` may be used from the test's thread; events of an `Answer` may not, as
    they belong to the server's loop. As a pytest fixture: `with running_fake_upstream() as upstream: yield upstream`.
    """
    fake = FakeUpstream(default)
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with fake:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="fake-upstream", daemon=True)
    thread.start()
    try:
        if not started.wait(_START_TIMEOUT_S):
            raise TimeoutError("the fake upstream did not start: is loopback available?")
        yield fake
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_START_TIMEOUT_S)
        loop.close()
