"""Samples become medians, ranges and the ratios that the project promises; and a table to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench.cases import LATENCY, REQUESTS, STREAMS, Case
from tests.bench.gateways import BARE, LITELLM, RUNG
from tests.bench.measure import Sample

# What Rung promises over the proxy at 16 connections, and what it would like.
TARGETS = {
    "requests_per_cpu_second": {"must": 10.0, "stretch": 18.0},
    "streams_per_cpu_second": {"must": 10.0, "stretch": 18.0},
}
# Milliseconds that Rung may add to the p50 of one connection to an upstream that takes 50 ms.
ADDED_P50_MS = {"must": 2.5, "stretch": 1.3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of the rounds, and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """Of the rounds' values; None where any is missing."""
        known = list(values)
        numbers = [v for v in known if v is not None]
        if not numbers or len(numbers) < len(known):
            return None
        return cls(median=median(numbers), low=min(numbers), high=max(numbers))

    def as_json(self) -> dict[str, float]:
        """Rounded to what the measurement can tell."""
        return {"median": round(self.median, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


Measure = Callable[[Sample], float | None]


def latency(percentile: str) -> Measure:
    """A percentile of the latency in ms."""
    return lambda sample: sample.load["latency_ms"][percentile]


def _streamed(kind: str, percentile: str) -> Measure:
    return lambda sample: sample.load.get(kind, {}).get(percentile)


def _cpu_ms(sample: Sample) -> float | None:
    rate = sample.per_cpu_second
    return None if rate is None else 1000 / rate


MEASURES: dict[str, Measure] = {
    "per_second": lambda sample: sample.per_second,
    "per_cpu_second": lambda sample: sample.per_cpu_second,
    "cpu_ms_each": _cpu_ms,
    "latency_p50_ms": latency("p50"),
    "latency_p99_ms": latency("p99"),
    "first_token_p50_ms": _streamed("first_event_ms", "p50"),
    "first_token_p99_ms": _streamed("first_event_ms", "p99"),
    "gap_p50_ms": _streamed("gap_ms", "p50"),
    "gap_p99_ms": _streamed("gap_ms", "p99"),
    "memory_mb": lambda sample: sample.memory_mb,
}


class Results:
    """All samples of a run, by target and case."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples
        self.targets = list(dict.fromkeys(s.target for s in samples))
        self.cases = list(dict.fromkeys(s.case for s in samples))
        self._by_place: dict[tuple[str, Case], list[Sample]] = {}
        for sample in sorted(samples, key=lambda s: s.round):
            self._by_place.setdefault((sample.target, sample.case), []).append(sample)

    def rounds(self, target: str, case: Case) -> list[Sample]:
        """A target's samples of a case, in the order of the rounds; empty where it was not measured."""
        return self._by_place.get((target, case), [])

    def spread(self, target: str, case: Case, measure: Measure) -> Spread | None:
        """Median and range over the rounds."""
        return Spread.of(measure(sample) for sample in self.rounds(target, case))

    def paired(self, case: Case, combine: Callable[..., float | None], *targets: str) -> Spread | None:
        """Combine the samples of the same round, and take median and range of what comes out."""
        rounds = [self.rounds(target, case) for target in targets]
        return Spread.of(combine(*samples) for samples in zip(*rounds, strict=False)) if all(rounds) else None

    def added(self, target: str, percentile: str, case: Case = LATENCY) -> Spread | None:
        """Milliseconds that a target adds to the bare upstream's latency, round by round."""
        return self.paired(case, _difference(latency(percentile)), target, BARE)


def _difference(measure: Measure) -> Callable[[Sample, Sample], float | None]:
    def combine(one: Sample, other: Sample) -> float | None:
        a, b = measure(one), measure(other)
        return None if a is None or b is None else a - b

    return combine


def _quotient(measure: Measure) -> Callable[[Sample, Sample], float | None]:
    def combine(one: Sample, other: Sample) -> float | None:
        a, b = measure(one), measure(other)
        return a / b if a is not None and b else None

    return combine


def _added_quotient(percentile: str) -> Callable[[Sample, Sample, Sample], float | None]:
    """What one adds over what the other adds; None where the other adds nothing that could be measured."""
    measure = latency(percentile)

    def combine(one: Sample, other: Sample, bare: Sample) -> float | None:
        a, b, base = measure(one), measure(other), measure(bare)
        return (a - base) / (b - base) if a is not None and b is not None and base is not None and b > base else None

    return combine


def ratios(results: Results) -> dict[str, Spread | None]:
    """Rung over the LiteLLM proxy: work for a CPU second (higher is better), latency added (lower is better)."""
    cost = MEASURES["per_cpu_second"]
    return {
        "requests_per_cpu_second": results.paired(REQUESTS, _quotient(cost), RUNG, LITELLM),
        "streams_per_cpu_second": results.paired(STREAMS, _quotient(cost), RUNG, LITELLM),
        "p50_overhead": results.paired(LATENCY, _added_quotient("p50"), RUNG, LITELLM, BARE),
        "p99_overhead": results.paired(LATENCY, _added_quotient("p99"), RUNG, LITELLM, BARE),
    }


def _median(spread: Spread | None) -> float | None:
    return None if spread is None else round(spread.median, 4)


def as_json(results: Results) -> dict[str, Any]:
    """The measured part of bench.json."""
    over = ratios(results)
    added = {t: {p: results.added(t, p) for p in ("p50", "p99")} for t in results.targets if t != BARE}
    return {
        "rung_over_litellm_proxy": {name: _median(spread) for name, spread in over.items()},
        "rung_over_litellm_proxy_ranges": {name: s.as_json() for name, s in over.items() if s is not None},
        "targets": {**TARGETS, "rung_added_p50_ms": ADDED_P50_MS},
        "added_ms": {t: {p: s.as_json() for p, s in row.items() if s} for t, row in added.items()},
        "results": [_place_json(results, t, c) for c in results.cases for t in results.targets],
    }


def _place_json(results: Results, target: str, case: Case) -> dict[str, Any]:
    samples = results.rounds(target, case)
    spreads = {name: results.spread(target, case, measure) for name, measure in MEASURES.items()}
    return {
        "target": target,
        "case": case.name,
        "size": case.size,
        "connections": case.connections,
        "stream": case.stream,
        "delay_ms": case.delay_ms,
        "completed": sum(s.load["completed"] for s in samples),
        "errors": sum(s.load["errors"] for s in samples),
        **{name: spread.as_json() for name, spread in spreads.items() if spread is not None},
    }


_COLUMNS = {
    "per second": ("per_second", 1),
    "per CPU s": ("per_cpu_second", 1),
    "CPU ms": ("cpu_ms_each", 3),
    "p50 ms": ("latency_p50_ms", 2),
    "p99 ms": ("latency_p99_ms", 2),
    "1st token": ("first_token_p50_ms", 2),
    "gap p99": ("gap_p99_ms", 2),
    "MB": ("memory_mb", 0),
}


def table(results: Results) -> str:
    """All medians, with the range of what is paid per CPU second, as a Markdown table."""
    head = ["case", "target", *_COLUMNS, "range per CPU s"]
    rows = [_row(results, target, case) for case in results.cases for target in results.targets]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    ruler = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in [head, ruler, *rows]
    )


def _row(results: Results, target: str, case: Case) -> list[str]:
    cells = [_cell(results.spread(target, case, MEASURES[name]), digits) for name, digits in _COLUMNS.values()]
    rate = results.spread(target, case, MEASURES["per_cpu_second"])
    return [case.name, target, *cells, f"{rate.low:.1f} to {rate.high:.1f}" if rate else ""]


def _cell(spread: Spread | None, digits: int) -> str:
    return "" if spread is None else f"{spread.median:.{digits}f}"


def verdicts(results: Results) -> str:
    """What was promised and what was measured, a line each."""
    lines: list[str] = []
    for name, spread in ratios(results).items():
        if spread is None:
            lines.append(f"Rung over the LiteLLM proxy, {name}: not measured")
            continue
        goal = TARGETS.get(name)
        wanted = f"; must {goal['must']:g}, stretch {goal['stretch']:g}" if goal else "; under 1 is better"
        lines.append(
            f"Rung over the LiteLLM proxy, {name}: {spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f}{wanted})"
        )
    for percentile in ("p50", "p99"):
        for target in results.targets:
            added = results.added(target, percentile) if target != BARE else None
            if added is not None:
                lines.append(
                    f"{target} adds {added.median:.2f} ms ({added.low:.2f} to {added.high:.2f}) to the {percentile} of "
                    f"one connection to an upstream that takes {LATENCY.delay_ms:g} ms"
                )
    return "\n".join(lines)
