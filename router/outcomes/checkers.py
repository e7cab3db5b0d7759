"""Operators' own checks of answers: a Python function or a program; off the request's path, and with a time-out.

Both are shown one JSON object and say how good the answer is:

    {"decision_id", "tenant", "model", "tier", "request", "answer", "tool_calls"}  ->  0 .. 1, or null for no opinion

A function is an entry point of the group `rung.checkers` and runs in a thread; a program reads the object from its
standard input, and writes the number as the first word of its standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from router.configuration.log import CheckerSettings
from router.configuration.settings import ConfigError

GROUP = "rung.checkers"
_MAX_OUTPUT = 4_096

Shown = Mapping[str, Any]


class CheckFailed(Exception):
    """A checker said nothing that can be used; the message says why."""


class Check(Protocol):
    """Judges one answer."""

    async def __call__(self, shown: Shown) -> float | None:
        """0..1, or None for no opinion. Raises CheckFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """A configured check."""

    settings: CheckerSettings
    check: Check

    def concerns(self, tenant: str, draw: float) -> bool:
        """Whether it shall see this answer; `draw` is uniform in [0, 1)."""
        tenants = self.settings.tenants
        return (tenants is None or tenant in tenants) and draw < self.settings.sample

    async def judge(self, shown: Shown) -> float | None:
        """What it says, 0..1. Raises CheckFailed, also after its time-out."""
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                score = await self.check(shown)
        except TimeoutError:
            raise CheckFailed(f"said nothing within {self.settings.timeout_s:g} s") from None
        if score is not None and not (math.isfinite(score) and 0 <= score <= 1):
            raise CheckFailed(f"said {score}, which is not from 0 to 1")
        return score


def make_checkers(declared: Sequence[CheckerSettings]) -> list[Checker]:
    """The configured checks. Raises ConfigError where an entry point is not installed."""
    return [Checker(settings=one, check=_check_of(one)) for one in declared]


def _check_of(settings: CheckerSettings) -> Check:
    return Program(settings.command) if settings.command else Function(_loaded(str(settings.entry_point)))


def _loaded(name: str) -> Callable[[Shown], float | None]:
    found = list(importlib.metadata.entry_points(group=GROUP, name=name))
    if not found:
        known = ", ".join(sorted(importlib.metadata.entry_points(group=GROUP).names)) or "none"
        raise ConfigError(f"log.checkers: no entry point `{name}` is installed in {GROUP}; there are: {known}")
    function: Callable[[Shown], float | None] = found[0].load()
    return function


class Function:
    """A check by a Python function, in a thread. One that never returns keeps its thread: use a program for such."""

    def __init__(self, function: Callable[[Shown], float | None]) -> None:
        self._function = function

    async def __call__(self, shown: Shown) -> float | None:
        """See `Check`."""
        try:
            score = await asyncio.to_thread(self._function, shown)
            return None if score is None else float(score)
        except (TimeoutError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise CheckFailed(f"failed: {type(error).__name__}: {str(error)[:200]}") from error


class Program:
    """A check by a program, ended with all its children when its time is up.

    Args:
        command: the program and its arguments; no shell.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    async def __call__(self, shown: Shown) -> float | None:
        """See `Check`."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", "")},  # the providers' keys are no checker's business
            )
        except OSError as error:
            raise CheckFailed(f"cannot be started: {error}") from error
        try:
            output, _ = await process.communicate(orjson.dumps(shown))
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return _read(output, process.returncode)


def _read(output: bytes, status: int | None) -> float | None:
    if status != 0:
        raise CheckFailed(f"ended with status {status}")
    words = output[:_MAX_OUTPUT].split()
    if not words:
        raise CheckFailed("wrote nothing")
    if words[0] in {b"null", b"none", b"None"}:
        return None
    try:
        return float(words[0])
    except ValueError:
        raise CheckFailed(f"wrote {words[0][:40]!r}, which is no number") from None
