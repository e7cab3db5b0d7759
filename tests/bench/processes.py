"""Processes: started on a core of their own, tied to our life, and what they cost by the kernel's own accounting."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_S = 15.0
# A server is calm that takes less than a twentieth of a core for a second.
CALM_S = 1.0
CALM_SHARE = 0.05
CALM_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """One core for the servers, one for the load and the upstream; -1 each where there is only one core."""

    server: int
    load: int

    @property
    def words(self) -> str:
        """How it is told."""
        if self.server < 0:
            return "one core for everything: the load competes with the server, so only ratios mean something"
        return f"servers on core {self.server}, load and upstream on core {self.load}"


def choose_cores() -> Cores:
    """The first two cores that we may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(server=allowed[0], load=allowed[1]) if len(allowed) > 1 else Cores(server=-1, load=-1)


def spawn(
    leash: Path,
    core: int,
    command: list[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | IO[str] | None = None,
    stderr: int | IO[str] | None = None,
) -> subprocess.Popen[str]:
    """Start a command on a core. It gets SIGTERM when we end, however we end (leash.c)."""
    full = [str(leash.resolve()), str(core), str(os.getpid()), *command]
    return subprocess.Popen(full, env=env, cwd=cwd, stdout=stdout, stderr=stderr, text=True)


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that `spawn` started, kindly first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
    if process.stdout is not None:
        process.stdout.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """One process in /proc: its parent, and the CPU seconds of itself and of its children that have ended."""

    pid: int
    parent: int
    cpu_s: float


def _stats() -> Iterator[Stat]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has just ended
            continue
        # The name stands in parentheses and may hold anything: what follows the last one is regular (proc(5)).
        fields = text.rpartition(")")[2].split()
        user, system, children_user, children_system = (int(f) for f in fields[11:15])
        ticks = user + system + children_user + children_system
        yield Stat(pid=int(entry.name), parent=int(fields[1]), cpu_s=ticks / TICKS_PER_S)


def tree(root: int) -> list[Stat]:
    """The process and all that descend from it."""
    children: dict[int, list[Stat]] = {}
    found: list[Stat] = []
    for stat in _stats():
        children.setdefault(stat.parent, []).append(stat)
        if stat.pid == root:
            found.append(stat)
    for stat in found:  # grows while it is walked
        found.extend(children.get(stat.pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the whole tree so far; a tick is 10 ms on most kernels."""
    return sum(stat.cpu_s for stat in tree(root))


def await_calm(root: int) -> None:
    """Wait until a server has done what it puts off until after its start, such as imports; a minute at most."""
    deadline = time.monotonic() + CALM_LIMIT_S
    before = cpu_seconds(root)
    while time.monotonic() < deadline:
        time.sleep(CALM_S)
        now = cpu_seconds(root)
        if now - before <= CALM_SHARE * CALM_S:
            return
        before = now


def memory_mb(root: int) -> float:
    """Resident memory of the whole tree, each shared page counted in proportion (Pss)."""
    return sum(_pss_kb(stat.pid) for stat in tree(root)) / 1024


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # it has ended, or belongs to somebody else
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def end_with_us() -> None:
    """Let SIGTERM end the run as Ctrl-C does, so that the servers are stopped and the files removed."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
