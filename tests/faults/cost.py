"""What the store costs a request of this process' own time: reserve, settle, cache look-up, limits, the key."""

from __future__ import annotations

from pathlib import Path

import uvloop

from router.store import embedded
from tests.faults.report import Finding
from tests.router.store.cost import measure

BOUND_US = 1_000
REQUESTS = 4_000


def findings(folder: Path) -> list[Finding]:
    """CPU microseconds per request with 1 and with 16 at once; the machine's other work is not in it."""
    with embedded.start(folder) as server:
        measured = {at_once: uvloop.run(measure(server.url, at_once, REQUESTS)) for at_once in (1, 16)}
    return [
        Finding(
            number=0,
            mode="cost",
            name="cost on the hot path",
            done=f"{REQUESTS:,} requests' key, limits, money, cache look-up, reserve, settle, answer and receipt, with"
            f" {at_once} at once",
            figure=f"{cpu:.0f} us of this process' CPU time a request ({wall:.0f} us by the clock)",
            bound=f"{BOUND_US} us",
            holds=cpu < BOUND_US,
        )
        for at_once, (cpu, wall) in measured.items()
    ]
