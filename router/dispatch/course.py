"""What becomes of one request's attempts: written by the dispatcher, read for the books however the request ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.fallback import Failure, Tried
from policies.types import Attempt
from router.dispatch.hedging import Terms
from router.store import Hold
from router.upstream.types import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An attempt that gave the client nothing, and that the provider may bill all the same.

    Attributes:
        attempt: what was called.
        usage: what the provider has reported, or None where nothing is known but what was expected (ADR 6).
    """

    attempt: Attempt
    usage: Usage | None = None
    output_bytes: int = 0


@dataclass(slots=True, kw_only=True)
class Course:
    """The attempts of one request so far.

    Attributes:
        hold: the money that was set aside for the plan, and spare: what was set aside since; None without books.
        cost: of a lost attempt, nano-dollars.
        more: sets so much more aside (nano-dollars), under a number; None where the budget has it not.
        room: the most tokens that a model may produce for this request, by the model's id.
        bodies: the request as each model gets it, by the model's id; None: as it came.
        hedging: on what terms a second model may be asked beside a slow first; None: never.
        tried: the failed attempts in order, and failures: each in words. lost: those that may be billed.
        current: the attempt that is under way, or that has answered. beside: how many were asked beside it and lost.
    """

    hold: Hold | None = None
    cost: Callable[[Lost], int] = lambda lost: lost.attempt.expected_cost_nano
    more: Callable[[Hold, int, int], Awaitable[Hold | None]] | None = None
    room: Callable[[str], int] = lambda _model: 0
    bodies: Callable[[str], Mapping[str, Any]] | None = None
    hedging: Terms | None = None
    spare: list[Hold] = field(default_factory=list[Hold])
    tried: list[Tried] = field(default_factory=list[Tried])
    failures: list[str] = field(default_factory=list[str])
    lost: list[Lost] = field(default_factory=list[Lost])
    current: Attempt | None = None
    beside: int = 0

    @property
    def lost_nano(self) -> int:
        """What the lost attempts may have cost, nano-dollars."""
        return sum(map(self.cost, self.lost))

    def body(self, model: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request as this model gets it."""
        return body if self.bodies is None else self.bodies(model)

    def note(self, attempt: Attempt, endpoint: str, failure: Failure, words: str, lost: Lost | None) -> None:
        """One more failure."""
        self.tried.append(Tried(attempt=attempt, provider=endpoint, failure=failure))
        self.failures.append(f"{attempt.model}: {words}")
        if lost is not None:
            self.lost.append(lost)

    def outrun(self, winner: Attempt | None, lost: Lost) -> None:
        """An attempt was cancelled, or came second: its provider has most likely worked on it."""
        self.beside += 1
        why = "its client left" if winner is None else f"{winner.model} answered first"
        self.failures.append(f"{lost.attempt.model}: cancelled, because {why}")
        self.lost.append(lost)

    async def covers(self, nano: int) -> bool:
        """Whether so much money is set aside in all, after setting aside what is missing (nano-dollars)."""
        if self.hold is None or self.more is None:
            return True
        missing = nano - self.hold.amount_nano - sum(hold.amount_nano for hold in self.spare)
        if missing <= 0:
            return True
        made = await self.more(self.hold, missing, len(self.spare) + 1)
        if made is not None:
            self.spare.append(made)
        return made is not None
