"""Rows <-> Parquet bytes: alone imports pyarrow, which only the log's writer and readers need."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

from policies.log_schema import OPTION, Column
from router.configuration.settings import ConfigError
from router.decision_log.rows import COLUMNS, Row

_MISSING = "the decision log needs pyarrow and fsspec: pip install 'rung[train]', or switch it off with log.url: off"


def require() -> None:
    """Raise ConfigError where the libraries are not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("pyarrow", "fsspec")):
        raise ConfigError(_MISSING)


def encode(table: str, rows: Sequence[Row]) -> bytes:
    """A Parquet file of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema(table)), out, compression="zstd")
    return out.getvalue()


def decode(content: bytes) -> list[Row]:
    """The rows of a Parquet file."""
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(content)).to_pylist()


def schema(table: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    """The table's schema as pyarrow has it."""
    import pyarrow as pa

    return pa.schema([_field(column) for column in COLUMNS[table]])


def _field(column: Column) -> Any:  # noqa: ANN401 - likewise
    import pyarrow as pa

    simple: Mapping[str, Any] = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "list<float32>": pa.list_(pa.float32()),
    }
    kind = simple.get(column.type) or pa.list_(pa.struct([_field(option) for option in OPTION]))
    return pa.field(column.name, kind, nullable=column.nullable)
