"""The log's tables as Arrow schemas, from their one description in policies.log_schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from policies.log_schema import DECISION_COLUMNS, OPTION, OUTCOME_COLUMNS, Column

_PLAIN: Final[dict[str, Any]] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list<float32>": pa.list_(pa.float32()),
}
_OPTIONS: Final = pa.list_(pa.struct([pa.field(c.name, _PLAIN[c.type], nullable=c.nullable) for c in OPTION]))


def arrow_schema(columns: Sequence[Column]) -> Any:  # noqa: ANN401 - pyarrow is untyped
    """The Arrow schema of a table."""
    kinds = {**_PLAIN, "list<struct>": _OPTIONS}
    return pa.schema([pa.field(c.name, kinds[c.type], nullable=c.nullable) for c in columns])


DECISION_SCHEMA: Final = arrow_schema(DECISION_COLUMNS)
OUTCOME_SCHEMA: Final = arrow_schema(OUTCOME_COLUMNS)
