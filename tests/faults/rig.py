"""The frame of a run: which checks there are, the stage that they share, and how long each may be."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults.report import Finding
from tests.faults.stage import Stage, staged

Check = Callable[["Rig"], Awaitable[list[Finding]]]
CHECKS: dict[int, list[Check]] = {}
_fresh = itertools.count()
# The checks fail models on purpose; one check's breaker must not be another's missing answer.
NO_BREAKERS = {"breaker_failures": 0}
# Only those requests are answered in other words that say so.
WHERE_ASKED = {"cache": {"semantic": "ask"}}


def promise(number: int) -> Callable[[Check], Check]:
    """Register a check of that promise."""

    def register(check: Check) -> Check:
        CHECKS.setdefault(number, []).append(check)
        return check

    return register


@dataclass(slots=True, kw_only=True)
class Rig:
    """What a check is given.

    Attributes:
        folder: an empty folder of the run. quick: whether the short form is wanted.
    """

    folder: Path
    quick: bool
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _shared: Stage | None = None

    def of(self, full: int, quick: int) -> int:
        """A length: at full, and in the short form."""
        return quick if self.quick else full

    def fresh(self, word: str) -> str:
        """A name that nothing in this run had before."""
        return f"{word}-{next(_fresh)}"

    def place(self, word: str) -> Path:
        """A folder for a stage of a check's own."""
        return self.folder / self.fresh(word)

    async def stage(self) -> Stage:
        """The stage that the checks share: several workers, the three fake tiers, patient time-outs."""
        if self._shared is None:
            made = staged(self.place("shared"), workers=self.of(4, 2), settings={**NO_BREAKERS, **WHERE_ASKED})
            self._shared = await self._stack.enter_async_context(made)
        self._shared.upstream.choose = None
        self._shared.upstream.received.clear()
        self._shared.upstream.bills.clear()
        return self._shared

    async def close(self) -> None:
        """End what was started."""
        await self._stack.aclose()


async def run(check: Check, rig: Rig) -> list[Finding]:
    """One check's findings; one that breaks is a finding that does not hold."""
    began = time.monotonic()
    number = next(number for number, checks in CHECKS.items() if check in checks)
    try:
        findings = await check(rig)
    except Exception as error:  # noqa: BLE001 - whatever breaks a check is a promise not shown
        notes = " ".join(getattr(error, "__notes__", ()))
        what = f"{type(error).__name__}: {str(error)[:300]} {notes}".rstrip()
        findings = [
            Finding(
                number=number, name=check.__name__, done="the check broke", figure=what, bound="it ends", holds=False
            )
        ]
    took = round(time.monotonic() - began, 1)
    return [replace(finding, took_s=took) for finding in findings]
