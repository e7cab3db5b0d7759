"""Whole gateways as users start them: the `rung` command in processes of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.gateway import PATIENT_MS

READY_TIMEOUT_S = 120.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A gateway that `rung serve` serves."""

    url: str
    key: str
    output: str
    pid: int


def rung() -> str:
    return str(Path(sys.executable).parent / "rung")


def clean_environment(home: Path, **extra: str) -> dict[str, str]:
    patient = {"RUNG_STORE__TIMEOUT_MS": str(PATIENT_MS), "RUNG_CLASSIFIER__TIMEOUT_MS": str(PATIENT_MS)}
    return {"HOME": str(home), "PATH": os.environ["PATH"], **patient, **extra}


@contextmanager
def served(folder: Path, *arguments: str, **environment: str) -> Iterator[Served]:
    """Start `rung serve` in an empty folder, wait until it is ready, and stop it at the end."""
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [rung(), "serve", "--port", str(free_port()), *arguments],
            cwd=folder,
            env=clean_environment(folder, **environment),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _ready(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(process: subprocess.Popen[bytes], log: Path) -> Served:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        assert process.poll() is None, f"`rung serve` ended:\n{text}"
        url = re.search(r"serving (http://\S+)/v1", text)
        if url is not None and _answers(url[1]):
            key = re.search(r"OPENAI_API_KEY=(\S+)", text)
            return Served(url=url[1], key=key[1] if key else "", output=text, pid=process.pid)
        time.sleep(POLL_S)  # polling a process of its own: there is no event to wait for
    raise AssertionError(f"not ready in {READY_TIMEOUT_S} s:\n{log.read_text(errors='replace')}")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def local_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """What a newcomer gets: no keys, no Redis, the bundled model."""
    with served(tmp_path_factory.mktemp("newcomer")) as gateway:
        yield gateway
