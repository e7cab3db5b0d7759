"""What all gateways must agree on about classifiers: alone keeps which versions are barred, and the last state seen.

A barred version decides nothing in any process, whatever the registry's signed state says: what was active before it
decides instead. So a gateway can undo a promotion without the key that promotes, and can do nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, Script, text

HEALTH_S = 7 * 86_400  # figures of a version that nobody asks any more go
AUDITED = 1_000  # moves; each a line for people

_SEEN = Script("classifier_seen.lua")
_BAR = "bar:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Why a version is barred: by whom, for what reason, since when (Unix seconds)."""

    version: str
    by: str
    why: str
    at: float


class ClassifierBook:
    """The gateways' common word on classifiers."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def barred(self) -> Mapping[str, Bar]:
        """The barred versions. Raises StoreUnavailable."""
        return await self._executor.ask(Ask(("HGETALL", names.CLASSIFIERS), _bars))

    async def bar(self, version: str, *, by: str, why: str) -> None:
        """Let a version decide nothing from now on. Raises StoreUnavailable."""
        entry = {"version": version, "by": by, "why": why, "at": time.time()}
        await self._executor.ask(Ask(("HSET", names.CLASSIFIERS, _BAR + version, orjson.dumps(entry)), int))
        await self.note({"action": "bar", **entry})

    async def unbar(self, version: str, *, by: str, why: str) -> None:
        """Let a barred version decide again. Raises StoreUnavailable."""
        if await self._executor.ask(Ask(("HDEL", names.CLASSIFIERS, _BAR + version), int)):
            await self.note({"action": "unbar", "version": version, "by": by, "why": why, "at": time.time()})

    async def seen(self, sequence: int) -> int:
        """Say which state of the registry was seen; the highest that any process saw. Raises StoreUnavailable."""
        return await self._executor.ask(_SEEN.ask([names.CLASSIFIERS], [str(sequence)], int))

    async def publish(self, health: Any) -> None:  # noqa: ANN401 - a dataclass of figures, which this book does not read
        """Tell all gateways how a version does. Raises StoreUnavailable."""
        command = ("HSET", names.CLASSIFIER_HEALTH, health.version, orjson.dumps(health))
        await self._executor.ask(Ask(command, int))
        await self._executor.ask(Ask(("EXPIRE", names.CLASSIFIER_HEALTH, HEALTH_S), int))

    async def health(self) -> list[dict[str, Any]]:
        """What was published of all versions lately. Raises StoreUnavailable."""
        return await self._executor.ask(Ask(("HVALS", names.CLASSIFIER_HEALTH), _objects))

    async def note(self, entry: Mapping[str, Any]) -> None:
        """Put a move into the audit trail. Raises StoreUnavailable."""
        command = ("XADD", names.CLASSIFIER_AUDIT, "MAXLEN", "~", AUDITED, "*", "e", orjson.dumps(dict(entry)))
        await self._executor.ask(Ask(command, text))

    async def audit(self, count: int = 100) -> list[dict[str, Any]]:
        """The last moves, newest first. Raises StoreUnavailable."""
        command = ("XREVRANGE", names.CLASSIFIER_AUDIT, "+", "-", "COUNT", count)
        return await self._executor.ask(Ask(command, lambda reply: [orjson.loads(fields[1]) for _, fields in reply]))


def _objects(reply: Reply) -> list[dict[str, Any]]:
    return [orjson.loads(one) for one in reply]


def _bars(reply: Reply) -> dict[str, Bar]:
    pairs = list(reply)
    found = {text(name): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
    bars = (Bar(**orjson.loads(value)) for name, value in found.items() if name.startswith(_BAR))
    return {bar.version: bar for bar in bars}
