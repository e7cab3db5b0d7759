"""Two attempts at once: a second model of the tier beside a slow first, and what becomes of the slower one.

    first asked -> no answer within its learnt delay -> second asked, its money set aside too
                -> whichever answers first is told; the other is cancelled, and booked as what it may have cost

Once per request, for its first attempt, and never after the client's first byte: a stream's race ends with a frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from policies.types import Attempt
from router.dispatch.attempts import Starved, Way, endpoint_of
from router.dispatch.course import Course, Lost
from router.dispatch.health import Health
from router.dispatch.hedging import Hedges, second
from router.errors import UpstreamError, UpstreamTimeout
from router.upstream.types import UpstreamModel

T = TypeVar("T")
OnEnd = Callable[[Attempt, Mapping[str, UpstreamModel], Course, UpstreamError | Starved], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Generic[T]):
    """Who may run: the plan, how its models are called, and how one of them is asked within the deadline."""

    plan: tuple[Attempt, ...]
    targets: Mapping[str, UpstreamModel]
    ask: Callable[[Attempt], Awaitable[T]]
    way: Way[T]


class Race:
    """One per process.

    Args:
        health: the breakers. on_end: notes an attempt that ended without an answer while another goes on.

    Attributes:
        hedges: what is known of the models' times.
    """

    def __init__(self, health: Health, on_end: OnEnd) -> None:
        self._health = health
        self._on_end = on_end
        self.hedges = Hedges()

    async def run(self, field: Field[T], course: Course, first: Attempt) -> T:
        """The first's result, or the second's; `course.current` is whose result or failure it is.

        Raises:
            UpstreamError, Starved: neither answered; the other's failure is noted already.
        """
        terms = course.hedging
        assert terms is not None  # noqa: S101 - the caller has looked
        self.hedges.asked(terms)
        running = {self._begin(field, first): first}
        delay_s = self.hedges.delay_s(first.model, terms, stream=field.way.stream)
        try:
            while True:
                done, _ = await asyncio.wait(running, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
                delay_s = None
                if not done:
                    other = await self._beside(field, course, first)
                    running |= {} if other is None else {self._begin(field, other): other}
                    continue
                ended = next(iter(done))
                course.current = ran = running.pop(ended)
                if ended.exception() is None or not running:
                    return ended.result()
                await self._fell(ended, ran, field, course)
        except asyncio.CancelledError:
            course.current = None  # whoever is still asked is booked below
            raise
        finally:
            await self._leave(running, field, course)

    def _begin(self, field: Field[T], attempt: Attempt) -> asyncio.Task[T]:
        return asyncio.get_running_loop().create_task(self._timed(field, attempt))

    async def _timed(self, field: Field[T], attempt: Attempt) -> T:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await field.ask(attempt)
        self.hedges.note(attempt.model, loop.time() - began, stream=field.way.stream)
        return result

    async def _beside(self, field: Field[Any], course: Course, first: Attempt) -> Attempt | None:
        """The attempt to make beside a slow one, its money set aside with the first's; None where there is none."""
        endpoints = tuple(endpoint_of(field.targets[attempt.model]) for attempt in field.plan)
        other = second(first, field.plan, endpoints, tuple(self._health.down()))
        if other is None or not self.hedges.may():
            return None
        if not await course.covers(first.worst_cost_nano + other.worst_cost_nano):
            return None
        self.hedges.made()
        self._health.called(other.model)
        return other

    async def _fell(self, ended: asyncio.Task[Any], fallen: Attempt, field: Field[Any], course: Course) -> None:
        """Note the failure of one of two; the other goes on. What is no failure of a provider's ends the race."""
        error = ended.exception()
        if not isinstance(error, UpstreamError | Starved):
            ended.result()
            return
        self._on_end(fallen, field.targets, course, error)
        if isinstance(error, Starved) and error.close is not None:
            await error.close()

    async def _leave(self, running: Mapping[asyncio.Task[T], Attempt], field: Field[T], course: Course) -> None:
        """Cancel what is still asked, and book it: whoever was asked has most likely worked on it."""
        for task in running:
            task.cancel()
        for task, attempt in running.items():
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            self._health.abandoned(attempt.model)
            lost = await lost_by(field.way, attempt, result)
            if lost is not None:
                course.outrun(course.current, lost)


async def lost_by(way: Way[T], attempt: Attempt, result: T | BaseException) -> Lost | None:
    """What an attempt that nobody waits for may be billed; None for one that its provider has refused."""
    if isinstance(result, Starved):
        if result.close is not None:
            await result.close()
        return result.lost
    if isinstance(result, UpstreamError):
        return Lost(attempt=attempt) if result.answered or isinstance(result, UpstreamTimeout) else None
    return Lost(attempt=attempt) if isinstance(result, BaseException) else await way.leave(attempt, result)
