from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from router.errors import StoreUnavailable
from router.store import embedded
from router.store.connection import Connection
from router.store.scripts import Ask, text
from tests.store_servers import PATIENT_S

HOLDER = """
import sys
from pathlib import Path
from router.store import embedded
server = embedded.start(Path(sys.argv[1]), lifeline=sys.argv[2] == "1")
print(server.url, flush=True)
sys.stdin.read()
"""


async def test_what_was_written_survives_a_restart(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        await ask(server.url, "SET", "b:epoch", "mine")
    with embedded.start(tmp_path) as server:
        assert await ask(server.url, "GET", "b:epoch") == "mine"


async def test_what_was_written_survives_a_kill_of_the_server(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        await ask(server.url, "SET", "b:epoch", "mine")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    with embedded.start(tmp_path) as server:
        assert await ask(server.url, "GET", "b:epoch") == "mine"


@pytest.mark.parametrize("lifeline", ["0", "1"])
async def test_the_server_dies_with_a_killed_parent_and_the_next_finds_its_books(tmp_path: Path, lifeline: str) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        str(tmp_path),
        lifeline,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    url = (await holder.stdout.readline()).decode().strip()
    await ask(url, "SET", "b:epoch", "mine")
    holder.kill()
    await holder.wait()
    with embedded.start(tmp_path) as server:  # waits for the lock, which the dying server holds
        assert server.pid is not None
        assert await ask(server.url, "GET", "b:epoch") == "mine"


async def test_nobody_attaches_to_a_server_that_is_about_to_die(tmp_path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, str(tmp_path), "0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    holder.kill()
    await holder.wait()
    with embedded.attach_or_start(tmp_path) as server:
        assert server.pid is not None
        assert await ask(server.url, "PING") == "PONG"


async def test_a_second_server_on_the_same_directory_is_refused_and_told_where_the_first_is(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as first:
        with pytest.raises(embedded.AlreadyRunning, match="its own data directory, or set REDIS_URL") as caught:
            embedded.start(tmp_path)
        assert caught.value.url == first.url
        second = embedded.attach_or_start(tmp_path)
        second.stop()
        assert await ask(first.url, "PING") == "PONG", "one who attached does not stop another's server"


async def test_a_server_is_found_from_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded.start(tmp_path) as first:
        runtime = tmp_path / "runtime"
        runtime.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        assert embedded.attach_or_start(tmp_path).url == first.url
        with pytest.raises(embedded.AlreadyRunning) as caught:
            embedded.start(tmp_path)
        assert caught.value.url == first.url


def test_a_server_that_holds_the_lock_and_does_not_answer_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LOCK_TIMEOUT_S", 0.1)
    with embedded.start(tmp_path) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="does not answer holds"):
                embedded.start(tmp_path)
        finally:
            os.kill(server.pid, signal.SIGCONT)


def test_two_directories_have_two_servers(tmp_path: Path) -> None:
    with embedded.start(tmp_path / "a") as first, embedded.start(tmp_path / "b") as second:
        assert first.url != second.url


def test_a_binary_that_does_not_start_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="ended while starting"):
        embedded.start(tmp_path, binary=Path("/bin/false"))
    embedded.start(tmp_path).stop()  # and leaves no lock behind


def test_a_broken_file_is_reported_with_the_servers_own_words(tmp_path: Path) -> None:
    embedded.start(tmp_path).stop()
    broken = next((tmp_path / "store" / "appendonlydir").glob("*.incr.aof"))
    broken.write_bytes(b"no such format\r\n" * 100)
    with pytest.raises(StoreUnavailable, match=r"(?i)bad file format"):
        embedded.start(tmp_path)


def test_the_socket_is_private_and_its_path_short_however_long_the_directorys_is(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    with embedded.start(deep) as server:
        path = Path(server.url.removeprefix("unix://"))
        assert len(str(path)) <= embedded.LONGEST_PATH
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_it_listens_on_no_port(tmp_path: Path) -> None:
    with embedded.start(tmp_path) as server:
        answer = talk(server.url, b"CONFIG GET port\r\n")
        assert b"$1\r\n0\r\n" in answer


def test_it_is_ready_in_a_moment(tmp_path: Path) -> None:
    started = time.monotonic()
    with embedded.start(tmp_path):
        assert time.monotonic() - started < 5, "about .1 s on a quiet machine"


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    server = embedded.start(tmp_path)
    server.stop()
    server.stop()
    assert server.pid is None


def talk(url: str, command: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(url.removeprefix("unix://"))
        connection.sendall(command)
        return connection.recv(1000)


async def ask(url: str, *command: str) -> str:
    connection = Connection(url, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
    await connection.open()
    try:
        return await connection.ask(Ask(command, lambda reply: text(reply or b"")))
    finally:
        await connection.close()
