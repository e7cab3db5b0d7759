"""Runs a plan: its attempts in order, and the next one only where the failure was of a kind that another can mend.

The one owner of attempts: the providers' clients retry nothing, and nothing is tried again once the client has had a
byte of the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from policies.types import Attempt
from router.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from router.upstream.client import UpstreamClient
from router.upstream.stream import UpstreamStream
from router.upstream.types import UpstreamCall, UpstreamModel, UpstreamReply

log = logging.getLogger("rung.dispatch")

T = TypeVar("T")
OnFailure = Callable[[Attempt, UpstreamError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """What it took to be served.

    Attributes:
        attempt: the rung that answered. number: upstream calls made in all, this one included.
        failures: why the earlier ones failed, in order.
    """

    attempt: Attempt
    number: int
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A whole answer."""

    trail: Trail
    reply: UpstreamReply


@dataclass(frozen=True, slots=True, kw_only=True)
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
        on_failure: told of every failed attempt, for metrics and health.
    """

    def __init__(self, upstream: UpstreamClient, on_failure: OnFailure) -> None:
        self._upstream = upstream
        self._on_failure = on_failure

    async def refusing(self, targets: Mapping[str, UpstreamModel], body: Mapping[str, Any]) -> frozenset[str]:
        """The models, by id, that do not take one of the request's parameters."""
        return frozenset([name for name, target in targets.items() if await self._upstream.unsupported(target, body)])

    async def complete(
        self,
        plan: tuple[Attempt, ...],
        targets: Mapping[str, UpstreamModel],
        body: Mapping[str, Any],
        timeout_s: float,
    ) -> Served:
        """A whole answer from the first attempt that succeeds.

        Args:
            plan: the attempts, in order. targets: how each model is called. body: the client's request.
            timeout_s: seconds for all attempts together.

        Raises:
            UpstreamError: the last attempt's, or the first that another attempt cannot mend.
        """

        async def one(attempt: Attempt, remaining_s: float) -> UpstreamReply:
            return await self._upstream.complete(_call(attempt, targets, body, remaining_s, stream=False))

        trail, reply = await self._run(plan, timeout_s, one)
        return Served(trail=trail, reply=reply)

    async def open(
        self,
        plan: tuple[Attempt, ...],
        targets: Mapping[str, UpstreamModel],
        body: Mapping[str, Any],
        timeout_s: float,
    ) -> Opened:
        """A stream from the first attempt that gives a first frame. See `complete`; whoever gets it closes it."""

        async def one(
            attempt: Attempt, remaining_s: float
        ) -> tuple[bytes, AsyncIterator[bytes], UpstreamStream, AsyncExitStack]:
            closing = AsyncExitStack()
            try:
                call = _call(attempt, targets, body, remaining_s, stream=True)
                stream = await closing.enter_async_context(self._upstream.stream(call))
                frames = aiter(stream)
                return await anext(frames, b""), frames, stream, closing
            except BaseException:
                await closing.aclose()
                raise

        trail, (first, rest, stream, closing) = await self._run(plan, timeout_s, one)
        return Opened(trail=trail, first=first, rest=rest, stream=stream, closing=closing)

    async def _run(
        self, plan: tuple[Attempt, ...], timeout_s: float, one: Callable[[Attempt, float], Awaitable[T]]
    ) -> tuple[Trail, T]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        failures: list[str] = []
        for number, attempt in enumerate(plan, start=1):
            try:
                result = await _classified(one(attempt, deadline - loop.time()), attempt)
            except UpstreamError as error:
                self._on_failure(attempt, error)
                failures.append(f"{attempt.model}: {error.message}")
                if not error.retryable or number == len(plan) or loop.time() >= deadline:
                    raise
            else:
                return Trail(attempt=attempt, number=number, failures=tuple(failures)), result
        raise UpstreamTimeout("The plan holds no attempt.")  # unreachable: a decision always plans one


async def _classified(work: Awaitable[T], attempt: Attempt) -> T:
    """The result; an answer so odd that reading it failed is the provider's failure, which another may mend."""
    try:
        return await work
    except UpstreamError:
        raise
    except Exception as error:
        log.exception("the answer of %s could not be read", attempt.model)
        raise UpstreamUnreachable(
            f"the provider of {attempt.model} did not give a usable answer ({type(error).__name__}); retry"
        ) from None


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
