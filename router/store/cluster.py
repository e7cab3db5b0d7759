"""A Redis Cluster as one executor: alone knows which node serves which slot, and learns it anew after a failover.

    group the asks by the node of their key's slot -> one round trip to each, at once -> MOVED: learn, and ask there

A tenant's keys share a slot, so a request's trips go to one node. A node that is away fails its own tenants only; the
other nodes are asked who has taken its slots, until one has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from hiredis import ReplyError
from redis.crc import key_slot

from router.errors import StoreUnavailable
from router.store.address import Address
from router.store.connection import Connection
from router.store.scripts import Ask, Command, Reply, T, refusal, text

log = logging.getLogger("rung.store")

RELEARN_PAUSE_S = 0.2  # a failover takes some cluster-node-timeouts; five questions a second see its end soon enough
_KEYLESS_SLOT = 0  # where commands without a key go


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMap:
    """Who serves what. `starts` rises; `owners[i]` serves from `starts[i]` on; `nodes` are all, replicas too."""

    starts: tuple[int, ...]
    owners: tuple[tuple[str, int], ...]
    nodes: frozenset[tuple[str, int]]

    def owner(self, slot: int) -> tuple[str, int]:
        """Host and port of the primary of a slot. Raises StoreUnavailable where none serves any."""
        if not self.owners:
            raise refusal("CLUSTERDOWN no node serves a slot")
        return self.owners[max(0, bisect_right(self.starts, slot) - 1)]


class ClusterConnection:
    """An executor over all primaries of a cluster; see `Connection` for the arguments."""

    def __init__(self, address: Address, *, reply_timeout_s: float, connect_timeout_s: float) -> None:
        self.address = address
        self.on_return: Callable[[], None] | None = None
        self._timeouts = (reply_timeout_s, connect_timeout_s)
        self._nodes: dict[tuple[str, int], Connection] = {}
        self._map = SlotMap(starts=(), owners=(), nodes=frozenset())
        self._learning: asyncio.Task[None] | None = None
        self._one_learns = asyncio.Lock()
        self._asked = 0

    async def open(self) -> None:
        """Learn the slots from the node that the URL names. Raises StoreUnavailable."""
        learned = await self._asking(self.address.host, self.address.port)
        async with self._one_learns:
            await self._adopt(learned)

    async def close(self) -> None:
        """Close all connections."""
        if self._learning is not None:
            self._learning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._learning
        for connection in self._nodes.values():
            await connection.close()

    async def ask(self, ask: Ask[T]) -> T:
        """One ask. Raises StoreUnavailable."""
        (reply,) = await self.run(ask)
        return ask.read(reply)

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        """One round trip to each node concerned, all at once; a second where a slot has moved.

        Raises:
            StoreUnavailable: a node concerned is away.
        """
        replies = await self._spread(asks, range(len(asks)))
        moved = [index for index, reply in replies.items() if _has_moved(reply)]
        if moved:
            await self._learn_once()
            replies |= await self._spread(asks, moved)
        return [replies[index] for index in range(len(asks))]

    async def _spread(self, asks: tuple[Ask[Any], ...], wanted: Iterable[int]) -> dict[int, Reply]:
        groups: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index in wanted:
            groups[self._map.owner(slot_of(asks[index].command))].append(index)
        try:
            answers = await asyncio.gather(
                *(self._nodes[node].run(*(asks[i] for i in indices)) for node, indices in groups.items())
            )
        except StoreUnavailable:
            self._learn_until_up()
            raise
        replies: dict[int, Reply] = {}
        for indices, found in zip(groups.values(), answers, strict=True):
            replies |= zip(indices, found, strict=True)
        return replies

    def _learn_until_up(self) -> None:
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._relearn(), name="rung-cluster-learn")

    async def _relearn(self) -> None:
        """Ask who serves what until every primary of the map is up."""
        while not all(self._nodes[owner].up for owner in self._map.owners):
            await asyncio.sleep(RELEARN_PAUSE_S)
            await self._learn_once()
        if self.on_return is not None:
            self.on_return()

    async def _learn_once(self) -> None:
        """Take the map of the first node that answers; each time another is asked first, since one may be cut off."""
        async with self._one_learns:
            nodes = [*sorted(self._map.nodes), (self.address.host, self.address.port)]
            self._asked += 1
            first = self._asked % len(nodes)
            for host, port in nodes[first:] + nodes[:first]:
                with contextlib.suppress(StoreUnavailable):
                    await self._adopt(await self._asking(host, port))
                    return

    async def _asking(self, host: str, port: int) -> SlotMap:
        """What one node says, over a connection of its own: the others carry requests."""
        asked = self._connection(host, port)
        try:
            await asked.open()
            return await asked.ask(Ask(("CLUSTER", "SLOTS"), lambda reply: _read_slots(reply, host)))
        finally:
            await asked.close()

    async def _adopt(self, learned: SlotMap) -> None:
        """Connect to the primaries of a map; those that are no longer any are closed."""
        gone = set(self._nodes) - set(learned.owners)
        for host, port in set(learned.owners) - set(self._nodes):
            self._nodes[host, port] = self._connection(host, port)
        self._map = learned
        for node in gone:
            log.warning("store node %s:%d serves no slots any more", *node)
            await self._nodes.pop(node).close()
        for owner in set(learned.owners):
            if not self._nodes[owner].up:
                with contextlib.suppress(StoreUnavailable):
                    await self._nodes[owner].open()

    def _connection(self, host: str, port: int) -> Connection:
        address = replace(self.address, host=host, port=port, shown=f"{host}:{port}")
        reply_timeout_s, connect_timeout_s = self._timeouts
        connection = Connection(address, reply_timeout_s=reply_timeout_s, connect_timeout_s=connect_timeout_s)
        connection.on_return = lambda: self.on_return() if self.on_return is not None else None
        return connection


def slot_of(command: Command) -> int:
    """The hash slot of a command's first key."""
    if command[0] == "EVALSHA":
        return key_slot(str(command[3]).encode())
    return key_slot(str(command[1]).encode()) if len(command) > 1 else _KEYLESS_SLOT


def _has_moved(reply: Reply) -> bool:
    return isinstance(reply, ReplyError) and str(reply).startswith(("MOVED", "READONLY"))


def _read_slots(reply: Reply, asked_host: str) -> SlotMap:
    """A node that does not know its own address leaves it empty: it is the one that was asked."""
    rows = sorted(reply, key=lambda row: row[0])
    places = [[(text(node[0] or b"") or asked_host, int(node[1])) for node in row[2:]] for row in rows]
    return SlotMap(
        starts=tuple(int(row[0]) for row in rows),
        owners=tuple(nodes[0] for nodes in places),
        nodes=frozenset(node for nodes in places for node in nodes),
    )


async def connect(url: str, *, reply_timeout_s: float, connect_timeout_s: float) -> Connection | ClusterConnection:
    """An open executor: a cluster's where the server says that it is part of one.

    Raises:
        StoreUnavailable: nobody answers. ValueError: the URL is none.
    """
    single = Connection(url, reply_timeout_s=reply_timeout_s, connect_timeout_s=connect_timeout_s)
    await single.open()
    try:
        information = await single.ask(Ask(("INFO", "cluster"), text))
    except BaseException:
        await single.close()
        raise
    if "cluster_enabled:1" not in information:
        return single
    await single.close()
    cluster = ClusterConnection(single.address, reply_timeout_s=reply_timeout_s, connect_timeout_s=connect_timeout_s)
    await cluster.open()
    return cluster
