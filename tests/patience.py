"""How long tests wait on a machine however slow, and what such a machine adds to a figure that a promise bounds."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

# For what must happen, where no promise says how soon. A machine that is shared may stand still for seconds.
PATIENCE_S = 60.0
BEAT_S = 0.01
USUAL_LATENESS_S = 0.001  # of a sleep that ends on a machine with nothing else to do


class Stopwatch:
    """How long something took, and how much of that the machine withheld from this process. A context manager.

    A promise is held on a machine that lets its processes run. What it withholds is seen by a thread that only sleeps,
    beside what is measured: a wait or a stall of our own does not keep that thread from waking.

    Attributes:
        took_s, withheld_s: seconds, once the context is left.
        own_s: what is left of it for a promise to bound.
    """

    def __init__(self) -> None:
        self.took_s = self.withheld_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="stopwatch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.took_s = time.monotonic() - self._began
        self._ended.set()
        self._thread.join()

    @property
    def own_s(self) -> float:
        return self.took_s - self.withheld_s

    def _beat(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(BEAT_S):
            now = time.monotonic()
            self.withheld_s += max(0.0, now - began - BEAT_S - USUAL_LATENESS_S)
            began = now
