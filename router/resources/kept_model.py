"""The bundled model kept running: a child that ends by itself is started again, at the same address."""

from __future__ import annotations

import logging
import threading
from typing import Self

from router.errors import RungError
from router.upstream.local_model import Address, LocalModel

log = logging.getLogger("rung.upstream")

POLL_S = 0.5
# A model that ends at once, for want of memory or of its file, is not loaded again and again: loading takes a core.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
# One that has run so long ended by accident, and not because it cannot run.
SETTLED_S = 60.0


class KeptModel:
    """The bundled model. A context manager; `start` returns at once, `wait` when it answers.

    Args:
        model: the child process. first_pause_s: before it is started again; doubled each time that it ends soon.
    """

    def __init__(self, model: LocalModel | None = None, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._model = LocalModel() if model is None else model
        self._first_pause_s = first_pause_s
        self._stopping = threading.Event()
        # The kernel ends a child with the thread that started it: this one lives as long as the process serves.
        self._keeper = threading.Thread(target=self._keep, name="rung-model-keeper", daemon=True)

    def __enter__(self) -> Self:
        self._model.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while it does not run."""
        return self._model.pid

    def wait(self) -> Address:
        """Wait until it answers, and keep it running from then on. Raises UpstreamError where it does not start."""
        address = self._model.wait()
        self._keeper.start()
        return address

    def stop(self) -> None:
        """End the child, and keep it no longer."""
        self._stopping.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        self._model.stop()

    def _keep(self) -> None:
        pause_s = self._first_pause_s
        while not self._stopping.is_set():
            ran_s = self._model.outlived(self._stopping, POLL_S)
            if self._stopping.is_set():
                return
            pause_s = self._first_pause_s if ran_s >= SETTLED_S else min(2 * pause_s, LONGEST_PAUSE_S)
            log.error("the bundled model has ended; it is started again in %.1f s", pause_s)
            if self._stopping.wait(pause_s):
                return
            self._restart()

    def _restart(self) -> None:
        try:
            self._model.restart()
        except RungError as error:
            log.error("the bundled model does not start: %s", error)  # noqa: TRY400 - the message says it all
        else:
            log.warning("the bundled model runs again")
