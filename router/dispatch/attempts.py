"""One attempt: how it is made and bounded, and what it ends with beside an answer or a provider's failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from policies.types import Attempt
from router.dispatch.course import Lost
from router.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from router.upstream.types import UpstreamModel

log = logging.getLogger("rung.dispatch")

T = TypeVar("T")


class Starved(Exception):
    """Thinking ate the whole answer.

    Attributes:
        result: what is told where no other attempt is made. lost: what the provider bills for it.
        close: frees what the result holds, where it is not told.
    """

    def __init__(self, result: Any, lost: Lost, close: Callable[[], Awaitable[None]] | None = None) -> None:  # noqa: ANN401 - whatever the attempt gives
        super().__init__("thinking left no room for an answer")
        self.result = result
        self.lost = lost
        self.close = close


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Way(Generic[T]):
    """How an attempt is made (`ask`, within seconds), and how a result that nobody wants is left (`leave`)."""

    ask: Callable[[Attempt, float], Awaitable[T]]
    leave: Callable[[Attempt, T], Awaitable[Lost]]
    stream: bool


def endpoint_of(target: UpstreamModel) -> str:
    """What fails together: a provider at one address."""
    return f"{target.provider} {target.api_base or ''}"


async def within(work: Awaitable[T], attempt: Attempt, target: UpstreamModel) -> T:
    """The result, in the model's own time where it has one."""
    if target.timeout_s is None:
        return await _classified(work, attempt)
    try:
        async with asyncio.timeout(target.timeout_s):
            return await _classified(work, attempt)
    except TimeoutError:
        raise UpstreamTimeout(
            f"{attempt.model} did not answer within its `timeout_s` of {target.timeout_s:g} s: retry, or raise it"
        ) from None


async def _classified(work: Awaitable[T], attempt: Attempt) -> T:
    """The result; an answer so odd that reading it failed is the provider's failure, which another may mend."""
    try:
        return await work
    except (UpstreamError, Starved):
        raise
    except Exception as error:
        log.exception("the answer of %s could not be read", attempt.model)
        raise UpstreamUnreachable(
            f"the provider of {attempt.model} did not give a usable answer ({type(error).__name__}); retry"
        ) from None
