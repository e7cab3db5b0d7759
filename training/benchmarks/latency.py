"""`rung bench latency`: runs `training.benchmarks.probe` in a fresh interpreter with one thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from training.benchmarks.probe import CALLS
from training.benchmarks.tables import table

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
TIMEOUT_S = 300.0  # it takes some ten seconds; a machine that needs minutes is too busy to be measured


def measure(artefact: str = "default", *, calls: int = CALLS) -> dict[str, Any]:
    """Latencies in milliseconds, load time in seconds, memory in MB over the bare interpreter.

    Raises:
        ValueError: the measuring process failed (the message is its own), or took minutes.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own module, with our own interpreter
            [sys.executable, "-m", "training.benchmarks.probe", artefact, str(calls)],
            env={**os.environ, **ONE_THREAD},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"not done after {TIMEOUT_S:.0f} s: this machine is too busy to be measured") from error
    if done.returncode != 0:
        raise ValueError(f"the measuring process failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return json.loads(done.stdout)


def latency_text(result: Mapping[str, Any]) -> str:
    """What `rung bench latency` prints."""
    columns = ("p50_ms", "p99_ms", "cpu_p99_ms")
    rows = [[row["name"], *(f"{row[name]:.3f}" for name in columns)] for row in result["results"]]
    return (
        f"{table(['one thread', 'p50 ms', 'p99 ms', 'p99 ms of CPU'], rows)}\n\n"
        f"load {result['load_s']:.2f} s; memory {result['memory_mb']:.0f} MB over the bare interpreter's "
        f"{result['bare_interpreter_mb']:.0f} MB; torch {'imported' if result['torch_imported'] else 'not imported'}"
    )
