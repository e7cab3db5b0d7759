"""A soak: mixed traffic for minutes, with the slope of memory and the count of descriptors of each worker."""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.mixed import AMPLE_NANO, ask
from tests.faults.report import Finding
from tests.faults.stage import Stage, staged
from tests.faults.traffic import Upstream, planned
from tests.serving import CLIENT

WORKERS = 2
CLIENTS = 6  # with think time, about 70 % of two small cores; the table says what was reached
SAMPLES = 40
WARM_SHARE = 0.25  # the first quarter fills caches, pools and the interpreter's free lists
# What a worker may grow by in an hour: a leak of one kilobyte a request would be a hundred times as much.
SLOPE_MB_H = 120.0
SETTLED_EXTRA = 12  # descriptors or tasks that may come and go between two samples of an idle gateway


@dataclass(slots=True)
class _Series:
    """Samples of one worker: seconds, resident megabytes, open descriptors."""

    at: list[float] = field(default_factory=list[float])
    megabytes: list[float] = field(default_factory=list[float])
    descriptors: list[int] = field(default_factory=list[int])


async def soak(folder: Path, *, minutes: float) -> list[Finding]:
    """Run for so long; the findings of promise 13."""
    async with staged(folder, workers=WORKERS) as stage:
        stage.upstream.choose = Upstream()
        for tenant in {planned(number).tenant for number in range(20)}:
            await stage.tenant(tenant, limit_nano=AMPLE_NANO)
        idle = await _idle(stage)
        series: dict[int, _Series] = {pid: _Series() for pid in stage.process.workers()}
        answered = await _load(stage, series, minutes * 60)
        rested = await _rested(stage, idle)
        held = [await stage.held(tenant) for tenant in stage.tokens]
        crashes = stage.process.log.count("Traceback")
        in_flight = _metric(stage, "rung_requests_in_flight")
    slope = max(map(_slope_mb_h, series.values()))
    long_enough = minutes >= 2
    peak = max(max(one.megabytes) for one in series.values())
    return [
        Finding(
            number=13,
            name="a soak stays flat",
            done=f"{answered:,} mixed requests in {minutes:g} minutes ({answered / max(minutes * 60, 1):.0f}/s),"
            f" {WORKERS} processes",
            figure=f"memory slope {slope:+.1f} MB/h a worker (peak {peak:.0f} MB); descriptors idle {idle} -> {rested};"
            f" {in_flight:g} requests in flight, {sum(held)} nano-dollars held",
            bound=f"{SLOPE_MB_H:.0f} MB/h"
            + ("" if long_enough else " (not judged: too short)")
            + f", +{SETTLED_EXTRA} descriptors, 1 in flight (this look), 0 held",
            holds=(slope <= SLOPE_MB_H or not long_enough)
            and rested <= idle + SETTLED_EXTRA
            and in_flight <= 1
            and sum(held) == 0
            and crashes == 0
            and answered > 0,
        )
    ]


async def _load(stage: Stage, series: dict[int, _Series], seconds: float) -> int:
    numbers = itertools.count(1_000_000)
    began = time.monotonic()
    answered = 0

    async def client() -> None:
        nonlocal answered
        while time.monotonic() - began < seconds:
            number = next(numbers)
            await ask(stage, planned(number))
            stage.upstream.received.clear()
            stage.upstream.bills.clear()
            answered += 1

    async def sample() -> None:
        while True:
            for pid, one in series.items():
                one.at.append(time.monotonic() - began)
                one.megabytes.append(_megabytes(pid))
                one.descriptors.append(_descriptors(pid))
            await asyncio.sleep(seconds / SAMPLES)

    sampling = asyncio.create_task(sample())
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    sampling.cancel()
    return answered


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


def _slope_mb_h(one: _Series) -> float:
    """Least squares over the samples after the warm-up."""
    first = round(len(one.at) * WARM_SHARE)
    at, megabytes = one.at[first:], one.megabytes[first:]
    if len(at) < 3 or at[0] == at[-1]:
        return 0.0
    return statistics.linear_regression(at, megabytes).slope * 3600


def _megabytes(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _metric(stage: Stage, name: str) -> float:
    lines = CLIENT.get(f"{stage.process.url}/metrics", timeout=10).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
