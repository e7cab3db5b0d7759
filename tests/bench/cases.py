"""The cases: which bodies, how many connections, streams or not, and how fast the upstream answers."""

from __future__ import annotations

from dataclasses import dataclass

CHUNKS = 50
SPREAD_MS = 250.0
DELAY_MS = 50.0
CONNECTIONS = (1, 16, 64)
# Bytes of a request's body; 0: the question as it stands, 630 bytes on average.
SIZES = {"short": 0, "8 KB": 8 * 1024, "100 KB": 100 * 1024}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to ask.

    Attributes:
        delay_ms: how long the upstream waits before it answers. length: seconds, as a multiple of the usual.
    """

    size: str
    connections: int
    stream: bool = False
    delay_ms: float = 0.0
    length: float = 1.0

    @property
    def name(self) -> str:
        """In the table and in bench.json."""
        kind = "streams" if self.stream else "requests"
        delay = f", upstream takes {self.delay_ms:g} ms" if self.delay_ms else ""
        return f"{self.size} {kind}, {self.connections} at once{delay}"

    @property
    def chunks(self) -> int:
        """Events that a reply must bring; 0 for a plain one."""
        return CHUNKS if self.stream else 0


# The two ratios at 16 connections, and the added latency, are read off these three.
REQUESTS = Case(size="short", connections=16)
STREAMS = Case(size="short", connections=16, stream=True)
# At 20 requests a second, a usual length would leave too few samples for a p99.
LATENCY = Case(size="short", connections=1, delay_ms=DELAY_MS, length=2.5)


def full() -> list[Case]:
    """Every size at every number of connections, streams at each and of each size, and the added latency."""
    plain = [Case(size=size, connections=n) for size in SIZES for n in CONNECTIONS]
    streams = [Case(size="short", connections=n, stream=True) for n in CONNECTIONS]
    long_streams = [Case(size=size, connections=16, stream=True) for size in SIZES if size != "short"]
    return [*plain, *streams, *long_streams, LATENCY]


def quick() -> list[Case]:
    """The three that the ratios need."""
    return [REQUESTS, STREAMS, LATENCY]
