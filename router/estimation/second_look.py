"""The second classifier beside the event loop: asked where a decision is close, never waited for beyond its time.

One thread works; what comes meanwhile waits, the longest wait first, and where the encoder gains by it several go in
together. What would come too late is not begun, what comes too late is not used, and what fails is told as failed:
nothing here ever fails a request. See docs/adr/0016-a-second-look.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import inf

from classifier.artefact import ArtefactError
from classifier.second_look import Second, load_second, weight_of
from classifier.types import Estimate, Query
from policies.second_look import Looked
from router.configuration.serving import SecondLookSettings
from router.configuration.settings import ConfigError
from router.recent import Recent

log = logging.getLogger("rung.estimation")

# Of the time that a text takes: the last ten count two thirds.
FORGET = 0.1
# After a late look none is begun for so long: the machine is busy enough, and late looks cost as much as others.
PAUSE_S = 0.25
# One line a minute is enough to know that it fails; the metric counts every time.
WARNING_INTERVAL_S = 60.0

_WARM_UP = "Which of these two proofs is the shorter one, and why does it suffice?"


class SecondLooks:
    """Looks again, in a thread of its own. One per process.

    Args:
        second: the classifier, and what its word counts.
        within_s: how long a request may wait for it.
        recent: number of recent looks that are remembered.

    Attributes:
        second, within_s: as given. text_s: seconds that a text has lately taken. failures: so far.
        paused_until: no look is begun before (seconds of the monotonic clock).
    """

    def __init__(self, second: Second, *, within_s: float, recent: int) -> None:
        self.second = second
        self.within_s = within_s
        self._recent: Recent[Query, Estimate] = Recent(recent)
        self._waiting: deque[tuple[Query, asyncio.Future[Estimate]]] = deque()
        self._under_way = 0
        self._work: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rung-second-look")
        self._warned_at = float("-inf")
        self.paused_until = float("-inf")
        self.failures = 0
        second.model.estimate(Query(text=_WARM_UP))
        started = time.perf_counter()
        second.model.estimate(Query(text=_WARM_UP))
        self.text_s = time.perf_counter() - started

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def version(self) -> str:
        """Of the second classifier."""
        return self.second.model.version

    def expected_s(self) -> float:
        """Seconds that a look asked for now is likely to take, those before it included; without end during a pause.

        An idle stage is tried whatever the last look took: it would never be found to be quick again otherwise.
        """
        if time.monotonic() < self.paused_until:
            return inf
        before = self._under_way + len(self._waiting)
        return self.text_s * (before + 1) if before else 0.0

    async def take(self, query: Query) -> tuple[Looked, Estimate | None]:
        """Look at a query: `TAKEN` with what the second classifier says, else `LATE` or `FAILED` with nothing."""
        known = self._recent.get(query)
        if known is not None:
            return Looked.TAKEN, known
        future: asyncio.Future[Estimate] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._judge())
        try:
            async with asyncio.timeout(self.within_s):
                estimate = await future
        except TimeoutError:
            self.paused_until = time.monotonic() + PAUSE_S
            return Looked.LATE, None
        except Exception as error:  # noqa: BLE001 - whatever it fails with, the first estimate stands
            self._note_failure(error, time.monotonic())
            return Looked.FAILED, None
        self._recent.put(query, estimate)
        return Looked.TAKEN, estimate

    async def _judge(self) -> None:
        """Work on what waits until nothing does."""
        while self._waiting:
            batch: list[tuple[Query, asyncio.Future[Estimate]]] = []
            while self._waiting and len(batch) < self.second.together:
                query, future = self._waiting.popleft()
                if not future.done():  # who asked may have gone
                    batch.append((query, future))
            self._under_way = len(batch)
            try:
                await self._tell(batch)
            finally:
                self._under_way = 0

    async def _tell(self, batch: Sequence[tuple[Query, asyncio.Future[Estimate]]]) -> None:
        if not batch:
            return
        loop, queries = asyncio.get_running_loop(), [query for query, _ in batch]
        started = time.perf_counter()
        try:
            told = await loop.run_in_executor(self._pool, self.second.model.estimate_many, queries)
        except Exception as error:  # noqa: BLE001 - its callers count it
            if len(batch) > 1:
                for one in batch:  # a query that cannot be judged spoils no other's judgement
                    await self._tell([one])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        self.text_s += FORGET * len(batch) * ((time.perf_counter() - started) / len(batch) - self.text_s)
        for (_, future), estimate in zip(batch, told, strict=True):
            if not future.done():
                future.set_result(estimate)

    def _note_failure(self, error: Exception, now: float) -> None:
        self.failures += 1
        if now - self._warned_at >= WARNING_INTERVAL_S:
            self._warned_at = now
            what = f"{type(error).__name__}: {error}"
            log.warning("the second look failed: %s (%d times so far); first estimates stand", what, self.failures)


def check_second_look(chosen: SecondLookSettings | None) -> None:
    """Look at what the settings name without loading it, before anything is started. Raises as `load_second_look`."""
    if chosen is not None:
        with _told_as_setting():
            weight_of(chosen.artefact)


def load_second_look(chosen: SecondLookSettings) -> Second:
    """The classifier that the settings name.

    Raises:
        ConfigError: it cannot be loaded; the message says how to mend it.
    """
    with _told_as_setting():
        return load_second(chosen.artefact, threads=chosen.threads)


@contextmanager
def _told_as_setting() -> Generator[None]:
    try:
        yield
    except (ArtefactError, ModuleNotFoundError, OSError) as error:
        raise ConfigError(f"classifier.second_look: {error}") from None
