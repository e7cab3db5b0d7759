"""Which logged questions teach most when their label is bought: in doubt, near a boundary, or in new territory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import fsspec
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from policies.log_schema import DECISIONS, OUTCOMES
from training.rows import DataError

NEIGHBOURS: Final = 5  # labelled questions that novelty is measured against


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A logged question that could be labelled.

    Attributes:
        decision_id, tenant, created, text: of its decision. rungs: (model, tier) that could have served it, without
            thinking. success: predicted, likewise ordered. vector: its embedding.
    """

    decision_id: str
    tenant: str
    created: float
    text: str
    rungs: tuple[tuple[str, str], ...]
    success: tuple[float, ...]
    vector: NDArray[np.float32] = field(repr=False)


def read_candidates(logs: str, *, tenant: str | None = None) -> tuple[list[Candidate], NDArray[np.float32]]:
    """Questions that can be replayed, each text once (the newest), and the vectors of those that have an outcome.

    Raises:
        DataError: the log keeps no texts (`log_text`).
    """
    labelled = {row["decision_id"] for row in _rows(logs, OUTCOMES, tenant, ["decision_id"])}
    columns = ["decision_id", "tenant", "created", "text", "text_hash", "options", "embedding"]
    found: dict[str, Candidate] = {}
    known: list[Any] = []
    for row in sorted(_rows(logs, DECISIONS, tenant, columns), key=lambda row: row["created"]):
        if row["embedding"] is None:
            continue
        if row["decision_id"] in labelled:
            known.append(row["embedding"])
        candidate = _candidate(row)
        if candidate is not None:
            found[row["text_hash"]] = candidate
    if not found:
        raise DataError("the log holds no question with its text and two rungs; set log_text for a tenant")
    width = len(next(iter(found.values())).vector)
    return list(found.values()), np.asarray(known, np.float32).reshape(-1, width)


def _candidate(row: Mapping[str, Any]) -> Candidate | None:
    options = [option for option in row["options"] or () if option["allowance"] == 0]
    if not row["text"] or len(options) < 2:
        return None
    return Candidate(
        decision_id=row["decision_id"],
        tenant=row["tenant"],
        created=row["created"],
        text=row["text"],
        rungs=tuple((option["model"], option["tier"]) for option in options),
        success=tuple(option["quality"] for option in options),
        vector=np.asarray(row["embedding"], np.float32),
    )


def _rows(logs: str, table: str, tenant: str | None, columns: Sequence[str]) -> list[dict[str, Any]]:
    files, root = fsspec.core.url_to_fs(logs)
    rows: list[dict[str, Any]] = []
    for path in sorted(files.glob(f"{root}/{table}/tenant={tenant or '*'}/day=*/part-*.parquet")):
        with files.open(path, "rb") as handle:
            rows += pq.ParquetFile(handle).read(columns=list(columns)).to_pylist()
    return rows


def most_teaching(candidates: Sequence[Candidate], known: NDArray[np.float32]) -> list[Candidate]:
    """The candidates, the most teaching first: the mean of three ranks.

    doubt      the mean of p (1 - p) over the rungs
    boundary   how little the best two differ in predicted success
    novelty    1 - mean cosine to the nearest labelled questions; all alike where nothing is labelled
    """
    doubt = np.array([np.mean([p * (1 - p) for p in one.success]) for one in candidates])
    margin = np.array([float(np.diff(np.sort(one.success))[-1]) for one in candidates])
    ranks = [_ranks(doubt), _ranks(-margin), _ranks(_novelty(candidates, known))]
    order = np.argsort(-np.mean(ranks, axis=0), kind="stable")
    return [candidates[place] for place in order.tolist()]


def _novelty(candidates: Sequence[Candidate], known: NDArray[np.float32]) -> NDArray[np.float64]:
    if not len(known):
        return np.zeros(len(candidates))
    unit = known / np.maximum(np.linalg.norm(known, axis=1, keepdims=True), 1e-9)
    found: list[float] = []
    for one in candidates:
        alike = unit @ (one.vector / max(float(np.linalg.norm(one.vector)), 1e-9))
        found.append(1.0 - float(np.sort(alike)[-NEIGHBOURS:].mean()))
    return np.array(found)


def _ranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Ranks from 0 to 1; equal values have equal ones."""
    _, place = np.unique(values, return_inverse=True)
    return place / max(int(place.max()), 1)
