"""A TCP proxy in front of a store, with the faults of a network on command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import StrEnum


class Network(StrEnum):
    """What the network does to the bytes between gateway and store."""

    GOOD = "good"
    SLOW = "slow"  # each chunk of an answer is `delay_s` late
    BLACK_HOLE = "black hole"  # takes connections and bytes, and gives nothing
    HALF_OPEN = "half open"  # questions arrive, answers do not
    RESET = "reset"  # every connection is torn down, new ones too


class Proxy:
    """Forwards to a unix socket; set `network` to spoil it from now on.

    Attributes:
        network: the present fault. delay_s: how late a slow network is.
    """

    def __init__(self, path: str, *, delay_s: float = 0.5) -> None:
        self._path = path
        self._network = Network.GOOD
        self._clients: set[asyncio.StreamWriter] = set()
        self._served: set[asyncio.Task[None]] = set()
        self._port = 0
        self._server: asyncio.Server | None = None
        self.delay_s = delay_s

    @property
    def url(self) -> str:
        """Where a gateway finds the store behind it."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def network(self) -> Network:
        return self._network

    @network.setter
    def network(self, network: Network) -> None:
        self._network = network
        if network is Network.RESET:
            for writer in self._clients:
                writer.transport.abort()

    async def open(self) -> None:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening, tear every connection down, and wait until its ends are closed."""
        if self._server is not None:
            self._server.close()
        self.network = Network.RESET
        await asyncio.gather(*self._served, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._served.add(task)
        task.add_done_callback(self._served.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._network is Network.RESET:
            writer.transport.abort()
            return
        self._clients.add(writer)
        upstream, downstream = await asyncio.open_unix_connection(self._path)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, downstream, swallow={Network.BLACK_HOLE}))
                group.create_task(
                    self._pump(upstream, writer, swallow={Network.BLACK_HOLE, Network.HALF_OPEN}, answers=True)
                )
        except* OSError:
            pass
        finally:
            self._clients.discard(writer)
            for sink in (downstream, writer):
                sink.close()
                with contextlib.suppress(OSError):
                    await sink.wait_closed()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        swallow: set[Network],
        answers: bool = False,
    ) -> None:
        while chunk := await source.read(65_536):
            if answers and self._network is Network.SLOW:
                await asyncio.sleep(self.delay_s)
            if self._network not in swallow:
                sink.write(chunk)
                await sink.drain()
        sink.close()


@asynccontextmanager
async def proxied(path: str, *, delay_s: float = 0.5) -> AsyncGenerator[Proxy]:
    """A proxy that serves until the block is left."""
    proxy = Proxy(path, delay_s=delay_s)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.aclose()
