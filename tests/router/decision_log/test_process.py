"""The writing process ends with its gateway, however early that ends."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from router.configuration.log import LogSettings
from router.configuration.settings import Settings
from router.decision_log.process import WriterChild
from tests.serving import until

pytest.importorskip("pyarrow")

WITHIN_S = 60.0
NOWHERE = "redis://127.0.0.1:1/0"
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
sys.stdin.read()
signal.pause()
"""


def logged(folder: Path) -> Settings:
    return Settings(log=LogSettings(url=str(folder)))


def ends(writer: WriterChild) -> bool:
    """Whether leaving the context comes back."""
    leaving = threading.Thread(target=writer.__exit__, args=(None, None, None), daemon=True)
    leaving.start()
    leaving.join(WITHIN_S)
    return not leaving.is_alive()


def test_a_gateway_that_ends_as_soon_as_it_starts_takes_its_writer_with_it(tmp_path: Path) -> None:
    for _ in range(30):
        assert ends(WriterChild(logged(tmp_path), NOWHERE).__enter__())


def test_a_writer_that_does_not_heed_the_signal_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = (sys.executable, "-c", STUBBORN, str(ready))
    writer = WriterChild(logged(tmp_path), NOWHERE, command=command, end_s=0.1).__enter__()
    until(ready.exists, "the writer's start", WITHIN_S)
    assert ends(writer)
