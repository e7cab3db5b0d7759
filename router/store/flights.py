"""One flight for identical concurrent requests: alone decides who calls and who waits, across processes.

    look -> hit: the answer | lead: call, then land | follow: wait for the leader's answer | alone: call for yourself

A leader that lands without an answer to share (an error, a tool call) sends its followers on their own way at once, all
together: one after the other they would wait for each other. A leader that dies loses its lease, and a follower leads.
Followers ask again rather than block, because a blocked socket would hold up everybody else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from router.errors import StoreUnavailable
from router.store import names
from router.store.cache import unpack
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, Script, text

LEASE_S = 30.0  # most answers are there by then; a longer one is merely called twice
WAIT_S = 30.0  # a follower that has waited so long calls for itself
APART_MS = 1000  # long enough for every follower to look once
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.2  # an answer takes a second or more: a tenth of it is soon enough

_LOOK = Script("core.lua", "flights.lua", "flight_look.lua")
_LAND = Script("core.lua", "flights.lua", "flight_land.lua")


class Role(StrEnum):
    """What a request does about its answer."""

    HIT = "hit"
    LEAD = "lead"
    FOLLOW = "follow"
    ALONE = "alone"


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Look:
    """The cached answer where there is one, and otherwise this request's role."""

    role: Role
    answer: bytes | None = None


class Flights:
    """Who calls for which answer."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def look_ask(self, tenant: str, key: str, request_id: str, lease_s: float = LEASE_S) -> Ask[Look]:
        """Look for an answer and take the lead where nobody has it, for a pipeline."""
        return _LOOK.ask([names.of(tenant, "acct")], [key, request_id, round(lease_s * 1000)], read_look)

    async def look(self, tenant: str, key: str, request_id: str) -> Look:
        """Look once; a store that is away leaves everybody alone."""
        try:
            return await self._executor.ask(self.look_ask(tenant, key, request_id))
        except StoreUnavailable:
            return Look(role=Role.ALONE)

    async def follow(self, tenant: str, key: str, request_id: str, wait_s: float = WAIT_S) -> Look:
        """Wait until the answer is there, or this request has to call: as the new leader, or alone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                for pause_s in pauses_s():
                    look = await self.look(tenant, key, request_id)
                    if look.role is not Role.FOLLOW:
                        return look
                    await asyncio.sleep(pause_s)
        return Look(role=Role.ALONE)

    def land_ask(self, tenant: str, key: str, request_id: str, *, stored: bool) -> Ask[bool]:
        """End a leader's flight, for a pipeline; after the answer was put into the cache, or without one."""
        return _LAND.ask([names.of(tenant, "acct")], [key, request_id, int(stored), APART_MS], bool)

    async def land(self, tenant: str, key: str, request_id: str, *, stored: bool) -> bool:
        """End a leader's flight; False where it was not the leader's any more, or the store is away."""
        try:
            return await self._executor.ask(self.land_ask(tenant, key, request_id, stored=stored))
        except StoreUnavailable:
            return False


def pauses_s() -> Iterator[float]:
    """How long a follower waits between its looks, in seconds, without an end: ever longer, up to the longest."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def read_look(reply: Reply) -> Look:
    """What a script says of an answer."""
    role = Role(text(reply[0]))
    if role is not Role.HIT:
        return Look(role=role)
    answer = unpack(reply[1])
    return Look(role=Role.ALONE if answer is None else role, answer=answer)
