"""What every worker has to say of one event, said once: alone passes their lines to the supervisor, which tells twins.

A worker logs that the configuration has changed; the line goes the way on which it also says that it is ready; the
supervisor prints the first of equal ones.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import OrderedDict
from multiprocessing.connection import Connection

# One write to a pipe is never mixed with another's up to 4,096 bytes; four bytes are the length, a few the process id.
LONGEST = 4_000
# Workers say a line within a second of each other, and a configuration seldom earns more than a few lines.
REMEMBERED = 64
# Each worker reads the configuration again by itself, and finds the same in it.
SAID_BY_ALL = "rung.configuration"


class ToSupervisor(logging.Handler):
    """Sends what a worker logs to its supervisor."""

    def __init__(self, tell: Connection) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line, cut where it is too long. A supervisor that is gone hears nothing."""
        with contextlib.suppress(OSError):
            self._tell.send_bytes(f"{os.getpid()} {record.getMessage()}".encode()[:LONGEST])


def speak_through(tell: Connection) -> None:
    """Let the supervisor say what all workers would."""
    logger = logging.getLogger(SAID_BY_ALL)
    logger.addHandler(ToSupervisor(tell))
    logger.propagate = False


class Twins:
    """Tells a line that another worker has said already from one that is new."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, set[int]] = OrderedDict()

    def new(self, worker: int, line: str) -> bool:
        """Whether the line has to be said: nobody has said it yet, or this worker says it again."""
        by = self._said.setdefault(line, set())
        first = not by or worker in by
        if first:
            by.clear()
        by.add(worker)
        self._said.move_to_end(line)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        return first
