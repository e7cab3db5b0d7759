"""The embedded store kept running: a server that ends by itself is started again, on the same data and the same socket.

A gateway may also have found the server of another process (a `rung` command of this moment); when that one ends, the
gateway starts its own. Clients of the socket find it again by themselves.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Self

from router.errors import StoreUnavailable
from router.store import embedded

log = logging.getLogger("rung.store")

# With the start itself (a tenth of a second), the store is back well within the `Retry-After` of a second.
POLL_S = 0.25
# A server that cannot start (a full disk) is not asked to ten times a second.
LONGEST_PAUSE_S = 10.0


class KeptStore:
    """A running embedded server. A context manager.

    Args:
        data_dir: see `embedded.start`.

    Attributes:
        url: where it answers, now and after a restart.

    Raises:
        StoreUnavailable: it does not start.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._server = embedded.attach_or_start(data_dir)
        self.url = self._server.url
        self._stopping = threading.Event()
        # The kernel ends the server with the thread that started it: this one lives as long as the process serves.
        self._keeper = threading.Thread(target=self._keep, name="rung-store-keeper", daemon=True)
        self._keeper.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process id, or None where it belongs to another process."""
        return self._server.pid

    def stop(self) -> None:
        """Stop the server where it is ours, and keep it no longer."""
        self._stopping.set()
        self._keeper.join()
        self._server.stop()

    def _keep(self) -> None:
        pause_s = POLL_S
        while not self._stopping.wait(pause_s):
            pause_s = POLL_S if self._mended() else min(2 * pause_s, LONGEST_PAUSE_S)

    def _mended(self) -> bool:
        """Start the server again where it has gone; False where that failed."""
        own = self._server.pid
        if own is not None and not self._server.ended():
            return True
        try:
            self._server = embedded.attach_or_start(self._data_dir)
        except StoreUnavailable as error:
            log.error("the embedded store has gone and does not start: %s", error)  # noqa: TRY400 - the message says it all
            return False
        if own is not None:
            log.error("the embedded store had ended by itself; it runs again. Why: see its log in %s", self._data_dir)
        return True
