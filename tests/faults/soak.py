"""A soak: mixed traffic for minutes, with the slope of memory, and the counts of tasks and descriptors."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from router.gateway import TASKS_COUNTED_EVERY_S
from tests.faults.mixed import AMPLE_NANO, ask
from tests.faults.report import Finding
from tests.faults.stage import Stage, staged
from tests.faults.traffic import Upstream, planned
from tests.serving import CLIENT

WORKERS = 2
CLIENTS = 24
# Of the machine, for the gateway, its store and this rig with its upstream together; pauses between requests see to it.
SHARE = 0.7
TICKS = os.sysconf("SC_CLK_TCK")
SAMPLES = 40
WARM_SHARE = 0.25  # the first quarter fills caches, pools and the interpreter's free lists
# What a worker's bounded memories hold together when they are full (docs/reliability.md names them), which takes some
# ten minutes. While they fill, a slope says how busy the machine was; how far they may grow is known at any time.
MOST_GROWTH_MB = 50.0
# Once they are full: a leak of 100 bytes a request would be 50 MB/h.
FULL_SLOPE_MB_H = 30.0
FULL_AFTER_MINUTES = 20.0
SETTLED_EXTRA = 12  # descriptors or tasks that may come and go between two samples of an idle gateway


@dataclass(slots=True)
class _Series:
    """Samples of one worker: seconds, resident megabytes, open descriptors; and of all workers: tasks."""

    at: list[float] = field(default_factory=list[float])
    megabytes: list[float] = field(default_factory=list[float])
    descriptors: list[int] = field(default_factory=list[int])
    tasks: list[float] = field(default_factory=list[float])


async def soak(folder: Path, *, minutes: float) -> list[Finding]:
    """Run for so long; the findings of promise 13."""
    async with staged(folder, workers=WORKERS) as stage:
        stage.upstream.choose = Upstream()
        for tenant in {planned(number).tenant for number in range(20)}:
            await stage.tenant(tenant, limit_nano=AMPLE_NANO)
        idle = await _idle(stage)
        idle_tasks = await _tasks(stage)
        series: dict[int, _Series] = {pid: _Series() for pid in stage.process.workers()}
        answered, share = await _load(stage, series, minutes * 60)
        rested = await _rested(stage, idle)
        rested_tasks = await _tasks(stage, at_most=idle_tasks + SETTLED_EXTRA)
        held = [await stage.held(tenant) for tenant in stage.tokens]
        crashes = stage.process.log.count("Traceback")
        in_flight = _metric(stage, "rung_requests_in_flight")
        log = stage.process.log
    if crashes:
        print(log[max(0, log.find("Traceback") - 500) :][:5_000])
    slope = max(_slope_per_h(one.at, one.megabytes)[0] for one in series.values())
    late, doubt = max(_slope_per_h(one.at, one.megabytes, after=0.5) for one in series.values())
    descriptors_slope = max(_slope_per_h(one.at, one.descriptors)[0] for one in series.values())
    tasks_slope = max(_slope_per_h(one.at, one.tasks)[0] for one in series.values())
    growth = max(one.megabytes[-1] - one.megabytes[0] for one in series.values())
    full = minutes >= FULL_AFTER_MINUTES
    peak = max(max(one.megabytes) for one in series.values())
    by_fifths = ", ".join(
        _fifths(max(series.values(), key=lambda one: _slope_per_h(one.at, one.megabytes)[0]).megabytes)
    )
    return [
        Finding(
            number=13,
            name="a soak stays flat",
            done=f"{answered:,} mixed requests in {minutes:g} minutes ({answered / max(minutes * 60, 1):.0f}/s),"
            f" {WORKERS} processes, {share:.0%} of {os.cpu_count()} cores by the gateway and this rig",
            figure=f"memory {growth:+.0f} MB a worker, slope {slope:+.1f} MB/h,"
            f" of the last half {late:+.1f} +- {doubt:.1f} (peak {peak:.0f} MB; by fifths {by_fifths});"
            f" tasks idle {idle_tasks:.0f} -> {rested_tasks:.0f} (slope {tasks_slope:+.1f}/h),"
            f" descriptors idle {idle} -> {rested} (slope {descriptors_slope:+.1f}/h); {crashes} tracebacks;"
            f" {in_flight:g} requests in flight, {sum(held)} nano-dollars held",
            bound=f"+{MOST_GROWTH_MB:.0f} MB"
            + (f", slope of the last half {FULL_SLOPE_MB_H:.0f} MB/h" if full else " (its slope: from 20 minutes on)")
            + f", +{SETTLED_EXTRA} tasks and descriptors, 1 in flight (this look), 0 held",
            holds=growth <= MOST_GROWTH_MB
            and (late - doubt <= FULL_SLOPE_MB_H or not full)
            and rested <= idle + SETTLED_EXTRA
            and rested_tasks <= idle_tasks + SETTLED_EXTRA
            and in_flight <= 1
            and sum(held) == 0
            and crashes == 0
            and answered > 0,
        )
    ]


def _fifths(values: Sequence[float]) -> list[str]:
    """The mean of each fifth of the samples: growth that levels off is a cache that fills; the other is a leak."""
    parts = min(5, len(values))
    cuts = [len(values) * part // parts for part in range(parts + 1)]
    return [f"{statistics.fmean(values[low:high]):.0f}" for low, high in itertools.pairwise(cuts)]


async def _load(stage: Stage, series: dict[int, _Series], seconds: float) -> tuple[int, float]:
    """How many requests were answered, and which share of the machine that took."""
    numbers = itertools.count(1_000_000)
    began = time.monotonic()
    answered, pause_s = 0, 0.01
    used_s, cores = _cpu_s(), os.cpu_count() or 1

    async def steer() -> None:
        nonlocal pause_s
        before, at = used_s, time.monotonic()
        while True:
            await asyncio.sleep(1)
            now, since = _cpu_s(), time.monotonic() - at
            pause_s *= 1.15 if now - before > SHARE * cores * since else 0.87
            pause_s = min(max(pause_s, 0.0005), 1.0)
            before, at = now, time.monotonic()

    async def client() -> None:
        nonlocal answered
        while time.monotonic() - began < seconds:
            number = next(numbers)
            await ask(stage, planned(number))
            await asyncio.sleep(pause_s)
            stage.upstream.received.clear()
            stage.upstream.bills.clear()
            answered += 1

    async def sample() -> None:
        while True:
            for pid, one in series.items():
                one.at.append(time.monotonic() - began)
                one.megabytes.append(_megabytes(pid))
                one.descriptors.append(_descriptors(pid))
                one.tasks.append(await asyncio.to_thread(_metric, stage, "rung_tasks"))
            await asyncio.sleep(seconds / SAMPLES)

    beside = [asyncio.create_task(sample()), asyncio.create_task(steer())]
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    for task in beside:
        task.cancel()
    return answered, (_cpu_s() - used_s) / cores / (time.monotonic() - began)


async def _idle(stage: Stage) -> int:
    """Descriptors of all workers once the gateway has warmed up on a few requests."""
    numbers = itertools.count(2_000_000)
    await asyncio.gather(*(ask(stage, planned(next(numbers))) for _ in range(60)))
    await asyncio.sleep(1)
    return sum(map(_descriptors, stage.process.workers()))


async def _rested(stage: Stage, idle: int) -> int:
    """Descriptors after the load, as soon as they are back, or after the time that idle connections are kept."""
    deadline = time.monotonic() + 90
    while (now := sum(map(_descriptors, stage.process.workers()))) > idle + SETTLED_EXTRA:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)  # other processes' sockets: there is no event
    for tenant in stage.tokens:
        await stage.settled(tenant, within_s=30)
    return now


async def _tasks(stage: Stage, at_most: float = 0.0) -> float:
    """Tasks of all workers, as soon as they are so few, or after some of the gateway's counts."""
    deadline = time.monotonic() + 4 * TASKS_COUNTED_EVERY_S
    while True:
        now = await asyncio.to_thread(_metric, stage, "rung_tasks")
        if now <= at_most or time.monotonic() > deadline:
            return now
        await asyncio.sleep(0.5)  # other processes' counts: there is no event


def _slope_per_h(at: Sequence[float], values: Sequence[float], after: float = WARM_SHARE) -> tuple[float, float]:
    """Least squares over the samples after a share of them, for an hour; and twice its standard error."""
    first = round(len(at) * after)
    times, seen = at[first:], values[first:]
    if len(times) < 3 or times[0] == times[-1]:
        return 0.0, 0.0
    slope, level = statistics.linear_regression(times, seen)
    off = sum((value - level - slope * time_s) ** 2 for time_s, value in zip(times, seen, strict=True))
    spread = statistics.pvariance(times) * len(times)
    return slope * 3600, 2 * (off / (len(times) - 2) / spread) ** 0.5 * 3600


def _cpu_s() -> float:
    """CPU seconds of this process and of all that it has started."""
    parents = {int(folder.name): _stat(folder) for folder in Path("/proc").iterdir() if folder.name.isdigit()}
    tree, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, stat in parents.items() if stat is not None and stat[0] in tree} - tree
        tree |= more
        grown = bool(more)
    return sum(stat[1] for pid in tree if (stat := parents.get(pid)) is not None)


def _stat(folder: Path) -> tuple[int, float] | None:
    """Parent and CPU seconds of a process; None where it has ended."""
    try:
        words = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(words[1]), (int(words[11]) + int(words[12])) / TICKS


def _megabytes(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _metric(stage: Stage, name: str) -> float:
    lines = CLIENT.get(f"{stage.process.url}/metrics", timeout=10).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
