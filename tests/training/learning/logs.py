"""Small decision logs for tests: generated from made-up results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifier import load_default
from tests.training.results import made_up
from training.benchmarks.generated_log import Traffic, generate
from training.data import Matrix, read_results, to_matrix
from training.learning.tables import DECISION_SCHEMA, OUTCOME_SCHEMA

PAIR = ("big-70b", "tiny-7b")


def results(folder: Path, n: int = 300, seed: int = 0) -> Matrix:
    """Easy and hard questions, of which the big model answers more; it costs fifteen times as much."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = made_up(n, seed=seed)
    frame["cost_usd"] = np.where(frame["model"] == "big-70b", 1.5e-2, 1e-3)
    frame.to_parquet(folder / "made.parquet")
    return to_matrix(read_results([folder / "made.parquet"]))


def log(folder: Path, traffic: Traffic, matrix: Matrix | None = None) -> str:
    """A log in a folder."""
    generate(matrix or results(folder / "results"), load_default().inputs, folder / "log", traffic)
    return str(folder / "log")


def decision(number: int, **fields: Any) -> dict[str, Any]:
    """A row of the decisions."""
    return {
        "decision_id": f"d{number}", "tenant": "acme", "key": "k", "created": 1e9 + number, "written": 1e9 + number,
        "record_version": 1, "text_hash": f"h{number}", "feature_schema": "none", "kind": "science",
        "characters": 10, "difficulty": 0.5, "uncertainty": 0.1, "classifier_version": "c", "is_default": False,
        "options": [], "taken_model": "m", "taken_allowance": 0, "propensity": 0.5, "rules_id": "r",
        "served_model": "m", "served_allowance": 0, "attempts": 1, "cache": "miss", "cost_nano": 5,
        "overhead_ms": 1.0, "duration_ms": 2.0, **fields,
    }  # fmt: skip


def outcome(number: int, about: int, **fields: Any) -> dict[str, Any]:
    """A row of the outcomes."""
    return {
        "outcome_id": f"o{number}", "decision_id": f"d{about}", "tenant": "acme", "key": "k", "created": 1e9 + 50,
        "written": 1e9 + 50, "source": "feedback.thumbs", "value": 1.0, "reliability": 0.5, **fields,
    }  # fmt: skip


def write(folder: Path, *, decisions: list[dict[str, Any]], outcomes: list[dict[str, Any]]) -> str:
    """Put rows where a gateway would, a file for each tenant and table."""
    for table, rows, schema in (("decisions", decisions, DECISION_SCHEMA), ("outcomes", outcomes, OUTCOME_SCHEMA)):
        for tenant in {row["tenant"] for row in rows}:
            goal = folder / table / f"tenant={tenant}" / "day=2001-09-09"
            goal.mkdir(parents=True, exist_ok=True)
            own = [{f.name: row.get(f.name) for f in schema} for row in rows if row["tenant"] == tenant]
            pq.write_table(pa.Table.from_pylist(own, schema=schema), goal / "part-0.parquet")
    return str(folder)
