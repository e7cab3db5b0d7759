"""The two compiled programs: an upstream that answers at once, and a load generator that costs little itself.

Compiled at each run with `cc -O2` into build/: a load generator in Python would measure itself.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.processes import Cores, spawn, stop

SOURCES = Path(__file__).parent
PROGRAMS = ("leash", "upstream", "load")
# The generator waits up to 60 s for the answers under way at its end; this is for one that hangs.
GRACE_S = 90.0


class BenchError(Exception):
    """The measurement cannot be made; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the compiled programs are."""

    leash: Path
    upstream: Path
    load: Path


def compile_programs(build: Path) -> Programs:
    """Compile them. Raises BenchError where there is no C compiler, or no Linux (epoll, /proc)."""
    if not Path("/proc/self/stat").exists():
        raise BenchError("the benchmark needs Linux: it uses epoll and reads the processes' own accounting in /proc")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise BenchError("the benchmark needs a C compiler (`cc`): install gcc or clang")
    build.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
        done = subprocess.run(
            [compiler, *flags, "-o", str(build / name), str(SOURCES / f"{name}.c")],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"{name}.c does not compile with {compiler}:\n{done.stderr}")
    return Programs(**{name: build / name for name in PROGRAMS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The running upstream, which simulates a provider."""

    port: int

    @property
    def base_url(self) -> str:
        """As a client of OpenAI's would be given it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def set_pace(self, *, delay_ms: float = 0, chunks: int = 50, spread_ms: float = 250) -> None:
        """How long each answer waits, and over what time a stream's chunks are spread."""
        query = f"delay_us={int(delay_ms * 1000)}&chunks={chunks}&spread_us={int(spread_ms * 1000)}"
        url = f"http://127.0.0.1:{self.port}/control?{query}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as reply:
            reply.read()


@contextmanager
def upstream(programs: Programs, cores: Cores, port: int) -> Generator[Upstream]:
    """Run the upstream on the load's core; port 0 takes a free one."""
    process = spawn(programs.leash, cores.load, [str(programs.upstream), str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line:
            raise BenchError(f"the upstream did not start; is port {port} taken? (--upstream-port)")
        yield Upstream(port=int(line))
    finally:
        stop(process)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go: a port on the loopback, the path of the chat endpoint, and the key to show."""

    port: int
    path: str
    key: str


def run_load(
    programs: Programs, cores: Cores, endpoint: Endpoint, bodies: Path, *, first: int, connections: int, seconds: float,
    chunks: int,
) -> dict[str, Any]:  # fmt: skip
    """Drive a closed loop, and return what the generator measured (load.c describes it)."""
    arguments = (endpoint.port, endpoint.path, endpoint.key, bodies, first, connections, seconds, chunks)
    process = spawn(programs.leash, cores.load, [str(programs.load), *map(str, arguments)], stdout=subprocess.PIPE)
    try:
        out, _ = process.communicate(timeout=seconds + GRACE_S)
    except subprocess.TimeoutExpired:
        raise BenchError("the load generator did not end; the server at the other side may hang") from None
    finally:
        stop(process)
    if process.returncode != 0:
        raise BenchError(f"the load generator failed with status {process.returncode}; its complaint stands above")
    return json.loads(out)
