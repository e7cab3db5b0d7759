"""Which models are kept away from for now: this process' breakers, and what it tells the other processes of them.

Deciding reads memory alone. Each breaker that opens or closes is news, which a task in the background exchanges through
the store twice a second; a store that is away leaves every process with what it has seen itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import orjson

from policies.decide import NONE_DOWN
from policies.fallback import COUNTED, Failure
from policies.health import THRESHOLD, Breaker, State, called, failed, left
from router.errors import StoreUnavailable

# As often as a process asks for other news of the store: the others keep away within half a second.
EXCHANGE_S = 0.5
_FRESH = Breaker()


class Board(Protocol):
    """Where processes tell each other of breakers; `router.store.health` is the real one."""

    async def exchange(self, opened: Mapping[str, bytes], closed: tuple[str, ...]) -> dict[str, bytes]:
        """Tell what has opened and closed here, and hear what is open anywhere, by model. Raises StoreUnavailable."""
        ...


class Health:
    """The breakers of all models. One per process.

    Args:
        threshold: failures in a row that put a model aside, as it is configured now; 0 for never.
        clock: seconds since the epoch, which all processes share. draw: uniform in [0, 1), for jitter.
        on_open: told of each model whose breaker opens here.
    """

    def __init__(
        self,
        *,
        threshold: Callable[[], int] = lambda: THRESHOLD,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
        on_open: Callable[[str], None] = lambda _model: None,
    ) -> None:
        self._threshold = threshold
        self._clock = clock
        self._draw = draw
        self._on_open = on_open
        self._breakers: dict[str, Breaker] = {}  # only of models that have failed since their last success
        self._opened: set[str] = set()
        self._closed: set[str] = set()
        self._elsewhere: set[str] = set()
        self._news = asyncio.Event()

    def down(self) -> Mapping[str, str]:
        """The models that must not be called now, each with the reason as a clause."""
        if not self._breakers:
            return NONE_DOWN
        now = self._clock()
        return {model: why for model, breaker in self._breakers.items() if (why := breaker.why(now))}

    def opens_in_s(self) -> float | None:
        """Seconds until the first model that is kept away from is tried again, or None where there is none."""
        now = self._clock()
        waits = [b.until_s - now for b in self._breakers.values() if b.state(now) is State.OPEN]
        return min(waits, default=None)

    def called(self, model: str) -> None:
        """A call is being sent."""
        if (breaker := self._breakers.get(model)) is not None:
            self._breakers[model] = called(breaker, self._clock())

    def succeeded(self, model: str) -> None:
        """A call has been answered, or an answer has begun."""
        if (breaker := self._breakers.pop(model, None)) is not None and breaker.pause_s:
            self._opened.discard(model)
            self._closed.add(model)
            self._news.set()

    def failed(self, model: str, failure: Failure, retry_after_s: float | None) -> None:
        """A call has failed. Failures that are not the provider's fault end a try without news."""
        threshold = self._threshold()
        if failure not in COUNTED or not threshold:
            self.abandoned(model)
            return
        now = self._clock()
        before = self._breakers.get(model, _FRESH)
        wait, jitter = retry_after_s or 0.0, self._draw()
        after = failed(before, now, retry_after_s=wait, jitter=jitter, threshold=threshold)
        self._breakers[model] = after
        if after.until_s != before.until_s:
            self._closed.discard(model)
            self._opened.add(model)
            self._news.set()
            self._on_open(model)

    def abandoned(self, model: str) -> None:
        """A call has ended without news of its model, for example because the client went away."""
        if (breaker := self._breakers.get(model)) is not None:
            self._breakers[model] = left(breaker)

    async def share(self, board: Board) -> None:
        """Exchange news for as long as this runs."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), EXCHANGE_S)
            self._news.clear()
            with contextlib.suppress(StoreUnavailable):  # the next round tells again
                await self.exchange(board)

    async def exchange(self, board: Board) -> None:
        """One exchange. Raises StoreUnavailable."""
        opened = {model: _dump(self._breakers[model]) for model in self._opened if model in self._breakers}
        closed = tuple(self._closed)
        heard = await board.exchange(opened, closed)
        self._opened -= opened.keys()
        self._closed -= set(closed)
        self._hear(heard)

    def _hear(self, heard: Mapping[str, bytes]) -> None:
        for model in self._elsewhere - heard.keys() - self._opened:
            self._breakers.pop(model, None)
        for model, row in heard.items():
            theirs, ours = _load(row), self._breakers.get(model, _FRESH)
            if theirs.until_s > ours.until_s and model not in self._closed:
                self._breakers[model] = replace(theirs, probe_until_s=ours.probe_until_s)
        self._elsewhere = set(heard)


def _dump(breaker: Breaker) -> bytes:
    return orjson.dumps((breaker.failures, breaker.pause_s, breaker.until_s))


def _load(row: bytes) -> Breaker:
    failures, pause_s, until_s = orjson.loads(row)
    return Breaker(failures=failures, pause_s=pause_s, until_s=until_s)
