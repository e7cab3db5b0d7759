"""`python -m tests.bench`, which `make bench` runs: starts everything, measures, prints the table, writes the JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import cases, gateways, native, summary
from tests.bench.gateways import Target
from tests.bench.measure import Bench, numbers, rung_counts
from tests.bench.processes import Cores, await_calm, choose_cores, end_with_us


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; the status is 1 where it could not be made."""
    options = _options(arguments)
    end_with_us()
    try:
        document = _run(options)
    except native.BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return 130
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {options.out}")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round of the three cases that the ratios need")
    add("--rounds", type=int, help="rounds (3; quick: 1)")
    add("--seconds", type=float, help="seconds a measurement (4; quick: 1)")
    add("--warm-up", type=float, help="seconds of warm-up before each (1; quick: 0.3)")
    add("--skip", action="append", default=[], choices=[gateways.RUNG, gateways.LITELLM], help="leave one out")
    add("--gateway", action="append", default=[], type=Target.named, metavar="NAME=URL[,MODEL][,PID][,KEY]",
        help="another gateway, running in front of the upstream; with its pid, its CPU is counted too")  # fmt: skip
    add("--upstream-port", type=int, default=0, help="where the upstream listens, for gateways configured beforehand")
    add("--rung", type=Path, default=Path(sys.executable).parent / "rung", help="the `rung` command to measure")
    add("--litellm", type=Path, default=Path(".venv-bench/bin/litellm"), help="the proxy's command")
    add("--build", type=Path, default=Path("build/bench"), help="where the C programs are compiled")
    add("--out", type=Path, default=Path("build/bench.json"), help="where the figures go")
    options = parser.parse_args(arguments)
    defaults = (1, 1.0, 0.3) if options.quick else (3, 4.0, 1.0)
    for name, value in zip(("rounds", "seconds", "warm_up"), defaults, strict=True):
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _run(options: argparse.Namespace) -> dict[str, Any]:
    programs, cores = native.compile_programs(options.build), choose_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rung-bench-")))
        upstream = stack.enter_context(native.upstream(programs, cores, options.upstream_port))
        print(f"upstream: {upstream.base_url}; {cores.words}", flush=True)
        targets = [gateways.bare(upstream.port)]
        for name, start, command in (
            (gateways.RUNG, gateways.rung, options.rung),
            (gateways.LITELLM, gateways.litellm_proxy, options.litellm),
        ):
            if name not in options.skip:
                print(f"starting {name}", flush=True)
                targets.append(
                    stack.enter_context(start(programs, cores, command, folder, upstream.base_url, free_port()))
                )
        targets += options.gateway
        for target in targets:
            if target.pid is not None:
                await_calm(target.pid)
        bench = Bench(
            programs=programs, cores=cores, upstream=upstream, folder=folder, seconds=options.seconds,
            warm_up=options.warm_up, numbers=numbers(),
        )  # fmt: skip
        wanted = cases.quick() if options.quick else cases.full()
        samples = bench.run(targets, wanted, options.rounds, lambda line: print(line, flush=True))
        counts = _honest_counts(targets, sum(s.load["completed"] for s in samples if s.target == gateways.RUNG))
    results = summary.Results(samples)
    print(f"\n{summary.table(results)}\n\n{summary.verdicts(results)}")
    if counts:
        print(f"Rung's own count: {counts}")
    return {**_circumstances(options, cores), "rung_counts": counts, **summary.as_json(results)}


def _honest_counts(targets: list[Target], completed: int) -> dict[str, int]:
    """Rung's counters. Raises BenchError where an answer came from the cache: then no work was measured."""
    target = next((t for t in targets if t.name == gateways.RUNG), None)
    if target is None:
        return {}
    counts = rung_counts(target)
    if counts["cache_hit"] or counts["cache_miss"] < completed:
        raise native.BenchError(
            f"not every answer was a cache miss ({counts}, {completed} measured): a flaw in the bench"
        )
    return counts


def _circumstances(options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "warm_up": options.warm_up,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "pinning": cores.words,
            "load_average": os.getloadavg(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "versions": {
            gateways.RUNG: _said(options.rung, "--version"),
            gateways.LITELLM: _package_version(options.litellm.parent / "python", "litellm"),
        },
        "upstream": "simulated: it answers at once, or after the delay that the case names",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _said(*command: str | Path) -> str | None:
    """The first line that a command prints; None where it cannot."""
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return None
    return done.stdout.strip() or None


def _package_version(python: Path, package: str) -> str | None:
    return _said(python, "-c", f"from importlib.metadata import version; print(version({package!r}))")


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
