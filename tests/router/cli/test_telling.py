"""Lines that all workers would say are said once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from multiprocessing import Pipe

import pytest

from router.cli.telling import LONGEST, REMEMBERED, SAID_BY_ALL, Twins, speak_through


@pytest.fixture
def spoken() -> Iterator[logging.Logger]:
    logger = logging.getLogger(SAID_BY_ALL)
    handlers, propagates = list(logger.handlers), logger.propagate
    yield logger
    logger.handlers[:], logger.propagate = handlers, propagates


def test_a_line_of_all_workers_is_new_once_and_again_when_one_of_them_repeats_it() -> None:
    twins = Twins()
    assert [twins.new(worker, "careful") for worker in (1, 2, 3)] == [True, False, False]
    assert [twins.new(worker, "careful") for worker in (2, 1, 3)] == [True, False, False]
    assert twins.new(1, "something else")


def test_only_so_many_lines_are_remembered() -> None:
    twins = Twins()
    assert twins.new(1, "the oldest")
    for number in range(REMEMBERED):
        twins.new(1, f"line {number}")
    assert twins.new(2, "the oldest")


def test_what_a_worker_logs_of_the_configuration_goes_to_its_supervisor(
    spoken: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    told, tell = Pipe(duplex=False)
    speak_through(tell)
    spoken.info("not worth a line")
    spoken.warning("careful: %s", "tenant a")
    spoken.error("x" * 2 * LONGEST)
    assert told.recv_bytes().decode() == f"{os.getpid()} careful: tenant a"
    assert len(told.recv_bytes()) == LONGEST
    assert not told.poll()
    told.close()
    spoken.warning("to nobody")
    assert capsys.readouterr().err == ""
