"""Runs a plan: its attempts in order, and the next one only where the failure was of a kind that another can mend.

The one owner of attempts: the providers' clients retry nothing, and nothing is tried again once the client has had a
byte of the answer. Which attempt is next is `policies.fallback`'s to say; here it is held against the open breakers,
the deadline, the money that is set aside, and this process' budget of retries.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from policies.candidates import allowances
from policies.fallback import Failure, next_attempt
from policies.types import Attempt
from router.dispatch.attempts import (
    Starved,
    Way,
    endpoint_of,
    within,
)
from router.dispatch.course import Course, Lost
from router.dispatch.health import Health
from router.dispatch.race import Field, Race
from router.errors import (
    UpstreamCredentials,
    UpstreamError,
    UpstreamModelMissing,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamTooLong,
    UpstreamUnreachable,
)
from router.store import Hold
from router.upstream.client import UpstreamClient
from router.upstream.stream import UpstreamStream
from router.upstream.types import UpstreamCall, UpstreamModel, UpstreamReply, Usage

log = logging.getLogger("rung.dispatch")

T = TypeVar("T")
OnFailure = Callable[[Attempt, UpstreamError], None]

# Further attempts per request, in the long run, and how many may come at once: when everything fails, upstream traffic
# grows by half and not threefold. A burst is a provider's outage, until its breaker opens.
RETRIES_PER_REQUEST = 0.5
RETRIES_AT_ONCE = 100.0
# The first that fits; of equal specificity there are none.
_FAILURES: tuple[tuple[type[UpstreamError], Failure], ...] = (
    (UpstreamTooLong, Failure.UNSUPPORTED),
    (UpstreamRejected, Failure.REJECTED),
    (UpstreamModelMissing, Failure.MISSING),
    (UpstreamCredentials, Failure.CREDENTIALS),
    (UpstreamRateLimited, Failure.RATE_LIMITED),
    (UpstreamTimeout, Failure.TIMEOUT),
    (UpstreamUnreachable, Failure.UNREACHABLE),
    (UpstreamError, Failure.OVERLOADED),
)


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Trail:
    """What it took to be served.

    Attributes:
        attempt: the rung that answered. number: upstream calls made in all, this one included.
        failures: why the earlier ones failed, in order. lost_nano: what those may have cost, nano-dollars.
        spare: holds that were made for further attempts.
    """

    attempt: Attempt
    number: int
    failures: tuple[str, ...]
    lost_nano: int = 0
    spare: tuple[Hold, ...] = ()


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Served:
    """A whole answer."""

    trail: Trail
    reply: UpstreamReply


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Opened:
    """A stream whose first frames have come: from here on nothing is tried again.

    Attributes:
        first: the first frames. rest: the frames after them. stream: the upstream's stream, for its account.
        closing: closes the upstream connection.
    """

    trail: Trail
    first: bytes
    rest: AsyncIterator[bytes]
    stream: UpstreamStream
    closing: AsyncExitStack


class Dispatcher:
    """Makes the calls of a plan.

    Args:
        upstream: the client of all providers.
        on_failure: told of every failed attempt, for metrics.
        health: the breakers.
    """

    def __init__(self, upstream: UpstreamClient, on_failure: OnFailure, health: Health | None = None) -> None:
        self._upstream = upstream
        self._on_failure = on_failure
        self.health = health or Health()
        self._retries = RETRIES_AT_ONCE
        self.race = Race(self.health, self._failed)

    async def refusing(self, targets: Mapping[str, UpstreamModel], body: Mapping[str, Any]) -> frozenset[str]:
        """The models, by id, that do not take one of the request's parameters."""
        return frozenset([name for name, target in targets.items() if await self._upstream.unsupported(target, body)])

    async def complete(
        self,
        plan: tuple[Attempt, ...],
        targets: Mapping[str, UpstreamModel],
        body: Mapping[str, Any],
        timeout_s: float,
        course: Course | None = None,
    ) -> Served:
        """A whole answer from the first attempt that succeeds.

        Args:
            plan: the attempts, in order. targets: how each model is called. body: the client's request.
            timeout_s: seconds for all attempts together.
            course: is told what becomes of them.

        Raises:
            UpstreamError: the last attempt's, or the first that another attempt cannot mend.
        """
        course = course or Course()

        async def one(attempt: Attempt, remaining_s: float) -> UpstreamReply:
            given = course.body(attempt.model, body)
            reply = await self._upstream.complete(_call(attempt, targets, given, remaining_s, stream=False))
            if reply.starved and _thought(attempt, reply.usage):
                raise Starved(reply, lost(attempt, reply))
            return reply

        def lost(attempt: Attempt, reply: UpstreamReply) -> Lost:
            return Lost(attempt=attempt, usage=reply.usage, output_bytes=reply.output_bytes)

        async def left(attempt: Attempt, reply: UpstreamReply) -> Lost:
            return lost(attempt, reply)

        trail, reply = await self._run(plan, targets, timeout_s, course, Way(ask=one, leave=left, stream=False))
        self.health.succeeded(trail.attempt.model)
        return Served(trail=trail, reply=reply)

    async def open(
        self,
        plan: tuple[Attempt, ...],
        targets: Mapping[str, UpstreamModel],
        body: Mapping[str, Any],
        timeout_s: float,
        course: Course | None = None,
    ) -> Opened:
        """A stream from the first attempt that gives a first frame. See `complete`; whoever gets it closes it."""
        course = course or Course()

        async def one(
            attempt: Attempt, remaining_s: float
        ) -> tuple[bytes, AsyncIterator[bytes], UpstreamStream, AsyncExitStack]:
            closing, stream = AsyncExitStack(), None
            try:
                call = _call(attempt, targets, course.body(attempt.model, body), remaining_s, stream=True)
                stream = await closing.enter_async_context(self._upstream.stream(call))
                frames = aiter(stream)
                first = await anext(frames, b"")
                if attempt.allowance and not _told(stream):
                    first = await _until_told(first, frames, stream)
            except UpstreamError as error:
                error.answered = error.answered or (stream is not None and stream.tally.chunks > 0)
                await closing.aclose()
                raise
            except BaseException:
                await closing.aclose()
                raise
            result = first, frames, stream, closing
            tally = stream.tally
            if tally.empty and tally.finish_reason == "length" and _thought(attempt, tally.usage) and not _told(stream):
                lost = Lost(attempt=attempt, usage=tally.usage, output_bytes=tally.output_bytes)
                raise Starved(result, lost, closing.aclose)
            return result

        async def left(
            attempt: Attempt, result: tuple[bytes, AsyncIterator[bytes], UpstreamStream, AsyncExitStack]
        ) -> Lost:
            await result[3].aclose()
            tally = result[2].tally
            return Lost(attempt=attempt, usage=tally.usage, output_bytes=tally.output_bytes)

        way = Way(ask=one, leave=left, stream=True)
        trail, (first, rest, stream, closing) = await self._run(plan, targets, timeout_s, course, way)
        self.health.succeeded(trail.attempt.model)
        return Opened(trail=trail, first=first, rest=rest, stream=stream, closing=closing)

    def broke(self, attempt: Attempt, error: UpstreamError) -> None:
        """Note that a stream has broken after its first frame."""
        self._note(attempt, error, failure_of(error))

    async def _run(
        self,
        plan: tuple[Attempt, ...],
        targets: Mapping[str, UpstreamModel],
        timeout_s: float,
        course: Course,
        way: Way[T],
    ) -> tuple[Trail, T]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        self._retries = min(RETRIES_AT_ONCE, self._retries + RETRIES_PER_REQUEST)
        attempt = self._first(plan)

        def ask(asked: Attempt) -> Awaitable[T]:
            return within(way.ask(asked, deadline - loop.time()), asked, targets[asked.model])

        while True:
            course.current = attempt
            self.health.called(attempt.model)
            try:
                result = await self._once(attempt, course, ask, plan=plan, targets=targets, way=way)
                attempt = course.current
            except UpstreamError as error:
                attempt = course.current
                self._failed(attempt, targets, course, error)
                following = await self._next(plan, targets, course, deadline - loop.time())
                if following is None:
                    raise
                attempt = following
            except Starved as starved:
                attempt = course.current
                self._failed(attempt, targets, course, starved)
                following = await self._next(plan, targets, course, deadline - loop.time())
                if following is None:  # an empty answer with its usage tells more than an error
                    course.lost.pop()
                    return _trail(course, attempt, len(course.tried)), starved.result
                if starved.close is not None:
                    await starved.close()
                attempt = following
            except BaseException:
                self.health.abandoned(attempt.model)
                raise
            else:
                return _trail(course, attempt, len(course.tried) + 1), result

    def _once(
        self,
        attempt: Attempt,
        course: Course,
        ask: Callable[[Attempt], Awaitable[T]],
        *,
        plan: tuple[Attempt, ...],
        targets: Mapping[str, UpstreamModel],
        way: Way[T],
    ) -> Awaitable[T]:
        """The attempt, with another one beside it where that is wanted and it is the first."""
        if course.hedging is None or course.tried:
            return ask(attempt)
        return self.race.run(Field(plan=plan, targets=targets, ask=ask, way=way), course, attempt)

    def _failed(
        self, attempt: Attempt, targets: Mapping[str, UpstreamModel], course: Course, error: UpstreamError | Starved
    ) -> None:
        """Note an attempt that gave no answer."""
        endpoint = endpoint_of(targets[attempt.model])
        if isinstance(error, Starved):
            self.health.succeeded(attempt.model)
            course.note(attempt, endpoint, Failure.STARVED, str(error), error.lost)
            return
        failure = failure_of(error)
        self._note(attempt, error, failure)
        lost = Lost(attempt=attempt) if failure is Failure.TIMEOUT or error.answered else None
        course.note(attempt, endpoint, failure, error.message, lost)

    def _first(self, plan: tuple[Attempt, ...]) -> Attempt:
        """The plan's first, unless its breaker has opened since the decision or lets another call try."""
        shut = self.health.down()
        return plan[0] if not shut else next((a for a in plan if a.model not in shut), plan[0])

    async def _next(
        self, plan: tuple[Attempt, ...], targets: Mapping[str, UpstreamModel], course: Course, left_s: float
    ) -> Attempt | None:
        """The attempt to make after the last one has failed, with its money set aside; None where there is none."""
        last, course.current = course.tried[-1].attempt, None
        following = next_attempt(
            plan,
            tuple(endpoint_of(targets[attempt.model]) for attempt in plan),
            tuple(course.tried),
            most=len(plan) + 1,
            least_allowance=allowances(targets[last.model].reasoning)[0],
            room=course.room(last.model),
            shut=self.health.down(),
        )
        if following is None or left_s <= 0 or self._retries < 1:
            return None
        if not await course.covers(course.lost_nano + following.worst_cost_nano):
            return None
        self._retries -= 1
        return following

    def _note(self, attempt: Attempt, error: UpstreamError, failure: Failure) -> None:
        self._on_failure(attempt, error)
        self.health.failed(attempt.model, failure, error.retry_after_s)


def failure_of(error: UpstreamError) -> Failure:
    """The policy's word for a provider's failure."""
    return next(failure for kind, failure in _FAILURES if isinstance(error, kind))


def _trail(course: Course, attempt: Attempt, number: int) -> Trail:
    return Trail(
        attempt=attempt,
        number=number + course.beside,
        failures=tuple(course.failures),
        lost_nano=course.lost_nano,
        spare=tuple(course.spare),
    )


def _thought(attempt: Attempt, usage: Usage) -> bool:
    """Whether thinking may have eaten the answer; a cap that is too short without it is the client's affair."""
    return attempt.allowance > 0 or bool(usage.reasoning)


def _told(stream: UpstreamStream) -> bool:
    """Whether anything has come that a client would read."""
    return not stream.tally.empty or stream.tally.thinking_chars > 0


async def _until_told(first: bytes, frames: AsyncIterator[bytes], stream: UpstreamStream) -> bytes:
    """The first frames up to the first that says anything: until then another attempt may still be made."""
    held = [first]
    async for more in frames:
        held.append(more)
        if _told(stream):
            break
    return b"".join(held)


def _call(
    attempt: Attempt,
    targets: Mapping[str, UpstreamModel],
    body: Mapping[str, Any],
    timeout_s: float,
    *,
    stream: bool,
) -> UpstreamCall:
    return UpstreamCall(
        model=targets[attempt.model],
        body=body,
        max_tokens=attempt.max_tokens,
        allowance=attempt.allowance,
        stream=stream,
        timeout_s=max(timeout_s, 0.001),
    )
