"""The classifier's inputs of logged queries, read from the log's parts where they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import fsspec
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from classifier.artefact import load
from classifier.inputs import Inputs
from training.learning.ingest import Log

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

COLUMNS: Final = ["embedding", "features", "feature_schema", "text"]
BATCH: Final = 8_192


def by_part(log: Log, at: Rows) -> list[tuple[str, Rows, Rows]]:
    """The decisions `at` part by part: path, rows in it (rising), and where in `at` each stands."""
    order = np.lexsort((log.row[at], log.part[at]))
    bounds = np.flatnonzero(np.diff(log.part[at][order], prepend=-1))
    pieces = np.split(order, bounds[1:])
    return [(log.parts[int(log.part[at[p[0]]])], log.row[at[p]], p.astype(np.int64)) for p in pieces if len(p)]


def read_inputs(path: str, rows: Rows, artefact: str) -> Iterator[tuple[slice, Floats]]:
    """Inputs (b, d) of a part's rows in batches, each with its place among `rows`.

    A row whose vectors are of another schema is read again from its text; where it has none, its input is NaN.

    Args:
        path: of the part. rows: in it, rising. artefact: the classifier's folder, or `default`.
    """
    inputs = _inputs(artefact)
    files, plain = fsspec.core.url_to_fs(path)
    with files.open(plain, "rb") as handle:
        part = pq.ParquetFile(handle)
        names = [name for name in COLUMNS if name in part.schema_arrow.names]
        start = done = 0
        for batch in part.iter_batches(BATCH, columns=names):
            end = done + int(np.searchsorted(rows[done:], start + batch.num_rows))
            if end > done:
                yield slice(done, end), _vectors(batch.take(rows[done:end] - start), inputs)
            start, done = start + batch.num_rows, end
            if done == len(rows):
                return


def inputs_of(log: Log, at: Rows, artefact: str) -> Floats:
    """(n, d) of the decisions `at`, all in memory: for samples."""
    x = np.full((len(at), sum(_inputs(artefact).sizes)), np.nan, np.float32)
    for path, rows, place in by_part(log, at):
        for where, part in read_inputs(path, rows, artefact):
            x[place[where]] = part
    return x


def texts_of(log: Log, at: Rows) -> list[str | None]:
    """The texts of the decisions `at`, None where they were not kept."""
    return _strings(log, at, "text")


def word_runs_of(log: Log, at: Rows) -> list[str | None]:
    """Their hashed word runs (policies.word_runs), None where they were not kept."""
    return _strings(log, at, "word_runs")


def _strings(log: Log, at: Rows, column: str) -> list[str | None]:
    found: list[str | None] = [None] * len(at)
    for path, rows, place in by_part(log, at):
        files, plain = fsspec.core.url_to_fs(path)
        with files.open(plain, "rb") as handle:
            part = pq.ParquetFile(handle)
            if column not in part.schema_arrow.names:
                continue
            values = part.read(columns=[column])[column].take(rows)
        for where, value in zip(place.tolist(), values.to_pylist(), strict=True):
            found[where] = value
    return found


@cache
def _inputs(artefact: str) -> Inputs:
    return load(artefact).inputs


def _vectors(batch: Any, inputs: Inputs) -> Floats:  # noqa: ANN401 - an Arrow batch
    fits = np.asarray(batch["feature_schema"].to_numpy(zero_copy_only=False) == inputs.schema)
    both = [_matrix(batch[name], size) for name, size in zip(("embedding", "features"), inputs.sizes, strict=True)]
    x = np.concatenate(both, axis=1)
    bad = np.flatnonzero(~fits | ~np.isfinite(x).all(axis=1))
    if bad.size:
        x[bad] = np.nan
        for row, text in _texts_among(batch, bad):
            x[row] = inputs.compute(text)
    return x


def _texts_among(batch: Any, rows: NDArray[np.intp]) -> Sequence[tuple[int, str]]:  # noqa: ANN401 - an Arrow batch
    if "text" not in batch.schema.names:
        return ()
    texts = batch["text"].take(rows).to_pylist()
    return [(int(row), text) for row, text in zip(rows, texts, strict=True) if text is not None]


def _matrix(column: Any, size: int) -> Floats:  # noqa: ANN401 - an Arrow list column
    """(n, size) of a list column; rows of another length or null are NaN."""
    lengths = np.asarray(column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False))
    x = np.full((len(column), size), np.nan, np.float32)
    good = lengths == size
    flat = column.filter(good).flatten().to_numpy(zero_copy_only=False)
    x[good] = np.asarray(flat, np.float32).reshape(-1, size)
    return x
