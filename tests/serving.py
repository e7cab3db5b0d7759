"""Whole gateways as users start them: `rung serve` in processes of its own, which a test may stop, kill and freeze."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from router.store import embedded
from tests.gateway import PATIENT_MS
from tests.patience import PATIENCE_S

WITHIN_S = 2 * PATIENCE_S  # a shared machine may take that long to start an interpreter
POLL_S = 0.02
CLIENT = httpx.Client(timeout=WITHIN_S)  # one for all: making one costs more than the answers that are timed with it
atexit.register(CLIENT.close)  # or the interpreter finds its idle sockets open at its end, and says so after all tests
PRICES = {"input": 1, "output": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A `rung serve` that a test may kill."""

    popen: subprocess.Popen[bytes]
    url: str
    key: str
    folder: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text(errors="replace")

    def children(self) -> list[int]:
        tasks = Path(f"/proc/{self.popen.pid}/task").glob("*/children")  # a child belongs to the thread that started it
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def workers(self) -> list[int]:
        """The processes that serve: this one, where it has started no workers."""
        started = [pid for pid in self.children() if b"spawn_main" in _command(pid)]
        return started or [self.popen.pid]

    def store_pid(self) -> int:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(embedded.socket_path(self.folder / ".rung")))
            connection.sendall(b"INFO server\r\n")
            return int(re.search(rb"process_id:(\d+)", connection.recv(65_536))[1])  # type: ignore[index]

    def ask(self, words: str, timeout: float = WITHIN_S) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": words}]}
        return CLIENT.post(f"{self.url}/v1/chat/completions", json=body, headers=self.headers, timeout=timeout)


def rung() -> str:
    return str(Path(sys.executable).parent / "rung")


def clean_environment(home: Path, **extra: str) -> dict[str, str]:
    patient = {"RUNG_STORE__TIMEOUT_MS": str(PATIENT_MS), "RUNG_CLASSIFIER__TIMEOUT_MS": str(PATIENT_MS)}
    return {"HOME": str(home), "PATH": os.environ["PATH"], **patient, **extra}


def until(condition: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(POLL_S)  # other processes' doings: there is no event to wait for


def is_ready(url: str, within_s: float = WITHIN_S) -> bool:
    try:
        return CLIENT.get(f"{url}/readyz", timeout=within_s).status_code == 200
    except httpx.HTTPError:
        return False


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def one_model(base_url: str) -> dict[str, Any]:
    """A ladder of one rung, `m`."""
    return {
        "id": "m",
        "upstream": "openai/fake",
        "tier": "premium",
        "api_base": base_url,
        "api_key": "fake-key",
        "context_window": 8_000,
        "max_output": 1_000,
        "prices": PRICES,
    }


@contextmanager
def serving(
    folder: Path,
    *arguments: str,
    settings: Mapping[str, Any] | None = None,
    stop_s: float = 0,
    environment: Mapping[str, str] | None = None,
) -> Generator[Process]:
    """Start `rung serve` in a folder, wait until it is ready, and end it.

    Args:
        settings: what `rung.yaml` holds; None leaves the folder as it is.
        stop_s: how long the gateway may take to end by itself; 0 kills it at once.
        environment: variables beside the patient ones.
    """
    if settings is not None:
        (folder / "rung.yaml").write_text(yaml.safe_dump(dict(settings)))
    log = folder / "serve.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [rung(), "serve", "--port", "0", *arguments],
            cwd=folder,
            env=clean_environment(folder, **(environment or {})),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: "serving http" in log.read_text(errors="replace") or popen.poll() is not None, "the banner")
        url = re.findall(r"serving (http://\S+)/v1", log.read_text(errors="replace"))
        assert popen.poll() is None, log.read_text(errors="replace")
        until(lambda: is_ready(url[-1]), f"readiness: {log.read_text(errors='replace')}")
        key = re.findall(r"OPENAI_API_KEY=(\S+)", log.read_text(errors="replace"))
        yield Process(popen=popen, url=url[-1], key=key[-1] if key else "", folder=folder)
        if stop_s:
            popen.send_signal(signal.SIGTERM)
            popen.wait(stop_s)
    finally:
        popen.kill()
        popen.wait()


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
