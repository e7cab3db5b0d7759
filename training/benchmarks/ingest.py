"""How long a large log takes, and how much memory: generated from real rows, ingested, joined, fitted.

Generation happens in a process of its own, so that the peak is that of the pipeline alone.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from classifier.artefact import load
from training.benchmarks.generated_log import Traffic, generate
from training.benchmarks.tables import table
from training.data import Matrix
from training.engine import Engine, LocalEngine
from training.learning.fit import fit
from training.learning.ingest import read_log

JITTER: Final = 0.01  # a tenth of an embedding's typical entry: no two records are equal, and none moves far
FEEDBACK: Final = 1.0


def measure(
    matrix: Matrix,
    records: int,
    *,
    folder: Path | None = None,
    engine: Engine | None = None,
    feedback: float = FEEDBACK,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Seconds per phase and peak memory of a log of so many generated records.

    Args:
        matrix: real results, complete.
        records: decisions; a `feedback` share of them has an outcome.
        folder: where the log goes; a temporary one by default.
        engine: where the parts are worked on.
        seed: of the traffic.
        progress: told each phase.
    """
    matrix = matrix.take(matrix.complete)
    traffic = Traffic(records=records, tenants=4, keys=5, feedback=feedback, explore=0.5, jitter=JITTER, seed=seed)
    with TemporaryDirectory() as temporary:
        root = folder or Path(temporary) / "log"
        progress(f"generating {records:,} records")
        generating = _seconds(lambda: _apart(matrix, root, traffic))
        size = sum(file.stat().st_size for file in root.rglob("*.parquet"))
        progress("ingesting and joining")
        began = time.perf_counter()
        log = read_log(str(root))
        ingested = time.perf_counter() - began
        fitted = fit(
            log, Path(temporary) / "heads", name="ingest", version=1, engine=engine or LocalEngine(), say=progress
        )
        trained = time.perf_counter() - began - ingested
    return {
        "records": len(log),
        "outcomes": len(log.labels),
        "rows_fitted": sum(fitted.about["learning"]["models"].values()),
        "log_mb": size / 1e6,
        "generating_s": generating,
        "ingesting_s": ingested,
        "training_s": trained,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def ingest_text(result: Mapping[str, Any]) -> str:
    """What `rung bench ingest` prints."""
    rows = [[name.replace("_", " "), f"{value:,.1f}".removesuffix(".0")] for name, value in result.items()]
    return f"records generated from real rows\n{table(['what', 'figure'], rows)}"


def _apart(matrix: Matrix, root: Path, traffic: Traffic) -> None:
    """Generate in a fresh process."""
    child = multiprocessing.get_context("spawn").Process(target=_generate, args=(matrix, root, traffic))
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"the generator ended with {child.exitcode}")


def _generate(matrix: Matrix, root: Path, traffic: Traffic) -> None:
    generate(matrix, load().inputs, root, traffic)


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
