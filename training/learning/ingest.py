"""The decision log as training reads it: rows once, outcomes joined, nothing heavy in memory.

DuckDB reads the Parquet's small columns (policies.log_schema), takes the last written row of every id, and joins each
outcome to its decision of the same tenant: an outcome that names another tenant's decision finds none. Embeddings and
texts stay in the files; a decision remembers its part and row there (`Log.part`, `Log.row`), and `training.learning.
vectors` reads them where they are needed.

The label of a decision and rung is made of its outcomes, trusted ones first:

    value  = sum r v / sum r        over the outcomes of reliability r, or over those with r >= TRUSTED if there are any
    weight = 1 - prod (1 - r)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb
import fsspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from policies.log_schema import DECISIONS, OUTCOMES
from training.rows import DataError

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]
Texts = NDArray[np.object_]

TRUSTED: Final = 0.9  # reliability from which a checker's or a person's word stands alone
MEMORY: Final = "2GB"  # DuckDB spills to disk beyond
SECONDS_A_DAY: Final = 86_400.0

_DECISIONS = """
CREATE TABLE decision AS
SELECT * EXCLUDE (latest), row_number() OVER (ORDER BY created, decision_id) - 1 AS place FROM (
    SELECT decision_id, tenant, "key", created, text_hash, kind, coalesce(language, '') AS language, characters,
        served_model, coalesce(served_allowance, 0) AS served_allowance, taken_model, taken_allowance,
        coalesce(propensity, 1.0) AS propensity, quality_dial, pacing_price, cost_nano, difficulty, is_default,
        classifier_version, cache, filename, file_row_number,
        row_number() OVER (PARTITION BY tenant, decision_id ORDER BY written DESC, filename, file_row_number) AS latest
    FROM read_parquet($files, hive_partitioning = false, union_by_name = true, filename = true, file_row_number = true)
    WHERE created >= $since AND created < $until
) WHERE latest = 1
"""
_LABELS = """
CREATE TABLE label AS
WITH told AS (
    SELECT *, row_number() OVER (
        PARTITION BY tenant, outcome_id ORDER BY written DESC, filename, file_row_number
    ) AS latest
    FROM read_parquet($files, hive_partitioning = false, union_by_name = true, filename = true, file_row_number = true)
), joined AS (
    SELECT d.place, coalesce(t.model, d.served_model) AS model,
        CASE WHEN t.model IS NULL THEN d.served_allowance ELSE coalesce(t.allowance, 0) END AS allowance,
        t."key" AS teller, t.source, t.value, least(greatest(t.reliability, 0.0), 0.999) AS r,
        t.model IS NULL OR (t.model = d.served_model AND coalesce(t.allowance, 0) = d.served_allowance) AS is_served
    FROM told t JOIN decision d ON t.decision_id = d.decision_id AND t.tenant = d.tenant
    WHERE t.latest = 1 AND t.reliability > 0 AND t.value BETWEEN 0 AND 1
), best AS (
    SELECT *, max(r) OVER (PARTITION BY place, model, allowance) AS surest FROM joined WHERE model IS NOT NULL
)
SELECT place, model, allowance, bool_or(is_served) AS is_served, min(teller) AS teller,
    sum(r * value) / sum(r) AS value, 1.0 - exp(sum(ln(1.0 - r))) AS weight, max(r) >= $trusted AS is_trusted
FROM best WHERE surest < $trusted OR r >= $trusted
GROUP BY place, model, allowance ORDER BY place, model, allowance
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """(l,) labels, in the decisions' order.

    Attributes:
        at: the decision. model: code into `Log.models`. allowance: thinking tokens.
        is_served: whether the rung is the one that was served. teller: code of the key that told it.
        value: 0..1. weight: 0..1, how far it is believed. is_trusted: whether a trusted source said so.
    """

    at: Integers
    model: Integers
    allowance: Integers
    is_served: NDArray[np.bool_]
    teller: Integers
    value: Floats
    weight: Floats
    is_trusted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: NDArray[Any]) -> Labels:
        """These labels only."""
        return Labels(**{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """n decisions by time, and their labels.

    Attributes:
        root: the log's folder or URL. parts: its decision files. part, row: (n,) where a decision lies.
        tenants, keys, models, kinds, languages, versions: names that the codes stand for.
        tenant, key, kind, language, version: (n,) codes. created: (n,) Unix seconds. characters: (n,).
        question: (n,) equal for equal texts of a tenant. served, taken: (n,) codes of models, -1 for none.
        served_allowance, taken_allowance, propensity, dial, pacing, cost_nano, difficulty, is_default: (n,).
        labels: of the decisions.
    """

    root: str
    parts: tuple[str, ...]
    part: Integers
    row: Integers
    tenants: tuple[str, ...]
    keys: tuple[str, ...]
    models: tuple[str, ...]
    kinds: tuple[str, ...]
    languages: tuple[str, ...]
    versions: tuple[str, ...]
    tenant: Integers
    key: Integers
    kind: Integers
    language: Integers
    version: Integers
    created: Floats
    characters: Integers
    question: Integers
    served: Integers
    taken: Integers
    served_allowance: Integers
    taken_allowance: Integers
    propensity: Floats
    dial: Floats
    pacing: Floats
    cost_nano: Integers
    difficulty: Floats
    is_default: NDArray[np.bool_]
    labels: Labels

    def __len__(self) -> int:
        return len(self.created)

    def with_labels(self, labels: Labels) -> Log:
        """The same decisions with other labels."""
        return replace(self, labels=labels)


def read_log(
    root: str,
    *,
    tenant: str | None = None,
    since: float = 0.0,
    until: float = 1e12,
    memory: str = MEMORY,
) -> Log:
    """Read a log.

    Args:
        root: a folder or an fsspec URL.
        tenant: his part only.
        since, until: Unix seconds that the decisions lie between.
        memory: what DuckDB may use, as it writes sizes.

    Raises:
        DataError: there are no decisions in it.
    """
    decisions, outcomes = (_files(root, table, tenant) for table in (DECISIONS, OUTCOMES))
    if not decisions:
        of = f" of the tenant {tenant}" if tenant else ""
        raise DataError(f"{root} holds no decisions{of}; give the folder that the gateway's decision log writes to")
    with duckdb.connect(config={"memory_limit": memory, "preserve_insertion_order": False}) as database:
        if "://" in root:
            database.register_filesystem(fsspec.filesystem(root.partition("://")[0]))
        database.execute(_DECISIONS, {"files": decisions, "since": since, "until": until})
        if outcomes:
            database.execute(_LABELS, {"files": outcomes, "trusted": TRUSTED})
        return _collected(database, root, has_labels=bool(outcomes))


def _files(root: str, table: str, tenant: str | None) -> list[str]:
    files, start = fsspec.core.url_to_fs(root)
    found = sorted(files.glob(f"{start.rstrip('/')}/{table}/tenant={tenant or '*'}/day=*/*.parquet"))
    return [files.unstrip_protocol(path) if "://" in root else path for path in found]


def _collected(database: duckdb.DuckDBPyConnection, root: str, *, has_labels: bool) -> Log:
    models = _names(database, *(("decision", name) for name in ("served_model", "taken_model")))
    keys = _names(database, ("decision", "key"))
    if has_labels:
        models = tuple(sorted({*models, *_names(database, ("label", "model"))}))
        keys = tuple(sorted({*keys, *_names(database, ("label", "teller"))}))
    names = {
        column: _names(database, ("decision", column))
        for column in ("filename", "tenant", "kind", "language", "classifier_version", "text_hash")
    }
    names |= {"model": models, "key": keys}
    got = database.sql("SELECT * FROM decision ORDER BY place").to_arrow_table()
    code = _Coder(got, names)
    number = _number_from(got)
    return Log(
        root=root,
        parts=names["filename"],
        part=code("filename"),
        row=number("file_row_number", np.int64),
        tenants=names["tenant"],
        keys=keys,
        models=models,
        kinds=names["kind"],
        languages=names["language"],
        versions=names["classifier_version"],
        tenant=code("tenant"),
        key=code("key"),
        kind=code("kind"),
        language=code("language"),
        version=code("classifier_version"),
        created=number("created", np.float64),
        characters=number("characters", np.int64),
        question=code("text_hash"),
        served=code("served_model", "model"),
        taken=code("taken_model", "model"),
        served_allowance=number("served_allowance", np.int64),
        taken_allowance=number("taken_allowance", np.int64),
        propensity=number("propensity", np.float64),
        dial=number("quality_dial", np.float64),
        pacing=number("pacing_price", np.float64),
        cost_nano=number("cost_nano", np.int64),
        difficulty=number("difficulty", np.float64),
        is_default=number("is_default", np.bool_),
        labels=_labels(database, names) if has_labels else _no_labels(),
    )


def _labels(database: duckdb.DuckDBPyConnection, names: dict[str, tuple[str, ...]]) -> Labels:
    got = database.sql("SELECT * FROM label ORDER BY place, model, allowance").to_arrow_table()
    code, number = _Coder(got, names), _number_from(got)
    return Labels(
        at=number("place", np.int64),
        model=code("model"),
        allowance=number("allowance", np.int64),
        is_served=number("is_served", np.bool_),
        teller=code("teller", "key"),
        value=number("value", np.float64),
        weight=number("weight", np.float64),
        is_trusted=number("is_trusted", np.bool_),
    )


def _no_labels() -> Labels:
    whole, real, flag = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_)
    return Labels(
        at=whole, model=whole, allowance=whole, is_served=flag, teller=whole, value=real, weight=real, is_trusted=flag
    )


def _names(database: duckdb.DuckDBPyConnection, *columns: tuple[str, str]) -> tuple[str, ...]:
    """The distinct values of (table, column) pairs, sorted."""
    found = [database.table(table).project(f'"{column}"').distinct().fetchall() for table, column in columns]
    return tuple(sorted({row[0] for rows in found for row in rows if row[0] is not None}))


class _Coder:
    """Turns text columns into codes of sorted names; -1 where there is none."""

    def __init__(self, got: Any, names: dict[str, tuple[str, ...]]) -> None:  # noqa: ANN401 - an Arrow table
        self._got, self._names = got, names

    def __call__(self, column: str, names: str | None = None) -> Integers:
        encoded = self._got[column].cast(pa.string()).combine_chunks().dictionary_encode()
        place = {name: i for i, name in enumerate(self._names[names or column])}
        code = np.array([*(place[name] for name in encoded.dictionary.to_pylist()), -1], np.int64)
        return code[np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)]


def _number_from(got: Any) -> Any:  # noqa: ANN401 - an Arrow table in, a reader of its columns out
    def number(column: str, kind: type) -> NDArray[Any]:
        values = got[column].to_numpy()
        if kind is np.float64:
            return np.asarray(values, np.float64)
        return (
            np.nan_to_num(np.asarray(values, np.float64)).astype(kind)
            if values.dtype.kind == "f"
            else values.astype(kind)
        )

    return number
