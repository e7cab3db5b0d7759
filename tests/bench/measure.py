"""One run: rounds of cases, and in each case all targets one after the other, so that a slow minute hits them alike."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.cases import CHUNKS, SIZES, SPREAD_MS, Case
from tests.bench.gateways import Target, get
from tests.bench.native import BenchError, Programs, Upstream, run_load
from tests.bench.processes import Cores, cpu_seconds, memory_mb
from tests.bench.prompts import write_bodies

# Long bodies are many enough at a quarter: the counter makes each request another one anyway.
_BODIES = {"short": 384, "8 KB": 192, "100 KB": 96}
# What a server still does for a request after its last byte (settling, recording) belongs to its cost.
SETTLE_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one target.

    Attributes:
        load: what the generator measured (latencies in ms). cpu_s: CPU seconds of the target's process tree meanwhile.
        memory_mb: its resident memory afterwards.
    """

    target: str
    case: Case
    round: int
    load: dict[str, Any]
    cpu_s: float | None
    memory_mb: float | None

    @property
    def per_second(self) -> float:
        """Requests (or whole streams) a second."""
        return self.load["completed"] / self.load["seconds"]

    @property
    def per_cpu_second(self) -> float | None:
        """Requests (or whole streams) a second of the target's CPU time."""
        return self.load["completed"] / self.cpu_s if self.cpu_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run needs. `first` numbers the requests: no number is used twice in a run."""

    programs: Programs
    cores: Cores
    upstream: Upstream
    folder: Path
    seconds: float
    warm_up: float
    numbers: Iterator[int]

    def run(self, targets: list[Target], cases: list[Case], rounds: int, tell: Callable[[str], None]) -> list[Sample]:
        """Measure everything. Raises BenchError where a target answers with errors."""
        samples: list[Sample] = []
        for number, case in itertools.product(range(1, rounds + 1), cases):
            self.upstream.set_pace(delay_ms=case.delay_ms, chunks=CHUNKS, spread_ms=SPREAD_MS)
            # Each takes its turn at going first.
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                samples.append(self._measure(target, case, number))
                tell(line(samples[-1], rounds))
        return samples

    def _measure(self, target: Target, case: Case, number: int) -> Sample:
        self._load(target, case, self.warm_up)
        time.sleep(SETTLE_S)
        before = None if target.pid is None else cpu_seconds(target.pid)
        load = self._load(target, case, self.seconds * case.length)
        time.sleep(SETTLE_S)
        after = None if target.pid is None else cpu_seconds(target.pid)
        return Sample(
            target=target.name,
            case=case,
            round=number,
            load=load,
            cpu_s=None if before is None or after is None else after - before,
            memory_mb=None if target.pid is None else memory_mb(target.pid),
        )

    def _load(self, target: Target, case: Case, seconds: float) -> dict[str, Any]:
        result = run_load(
            self.programs,
            self.cores,
            target.endpoint,
            self._bodies(target, case),
            first=next(self.numbers),
            connections=case.connections,
            seconds=seconds,
            chunks=case.chunks,
        )
        if result["errors"] or not result["completed"]:
            raise BenchError(
                f"{target.name}, {case.name}: {result['errors']} errors, {result['completed']} answers; "
                f"the first error: {result['first_error'] or 'none'}"
            )
        return result

    def _bodies(self, target: Target, case: Case) -> Path:
        name = re.sub(r"[^a-z0-9]+", "-", f"{target.model} {case.size} {case.stream}".lower())
        path = self.folder / f"bodies-{name}.jsonl"
        if not path.exists():
            size = SIZES[case.size]
            write_bodies(path, size=size, count=_BODIES[case.size], model=target.model, stream=case.stream)
        return path


def line(sample: Sample, rounds: int) -> str:
    """One measurement as it comes in."""
    cost = f", {sample.cpu_s / sample.load['completed'] * 1000:.3f} ms CPU each" if sample.cpu_s else ""
    p50, p99 = sample.load["latency_ms"]["p50"], sample.load["latency_ms"]["p99"]
    return (
        f"round {sample.round}/{rounds}  {sample.case.name:<48} {sample.target:<14} "
        f"{sample.per_second:9.1f}/s  p50 {p50:8.2f} ms  p99 {p99:8.2f} ms{cost}"
    )


def numbers() -> Iterator[int]:
    """Where each load begins to count: far enough apart that no two meet, within the mark's ten digits."""
    return itertools.count(start=10_000_000, step=10_000_000)


def rung_counts(target: Target) -> dict[str, int]:
    """Rung's own counters: answers by cache state, and decisions that the classifier was too late for."""
    text = get(target.endpoint.port, "/metrics")
    counts = {"cache_hit": 0, "cache_miss": 0, "cache_other": 0, "default_estimates": 0}
    for found in re.finditer(r'^rung_requests_total\{.*cache="(\w+)".*\} (\S+)$', text, re.MULTILINE):
        name = f"cache_{found[1]}" if found[1] in {"hit", "miss"} else "cache_other"
        counts[name] += int(float(found[2]))
    late = re.search(r"^rung_default_estimates_total (\S+)$", text, re.MULTILINE)
    counts["default_estimates"] = int(float(late[1])) if late else 0
    return counts
