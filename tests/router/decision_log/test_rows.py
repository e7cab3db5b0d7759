"""A record becomes a row that fits the contract, whatever kind of record it is."""

from __future__ import annotations

import pytest

from policies.log_schema import DECISION_COLUMNS, DECISIONS
from router.decision_log import parquet
from router.decision_log.rows import day_of, decision_row
from tests.router.decision_log.records import PACKED, RULES, record

pytest.importorskip("pyarrow")


def test_a_row_holds_the_rungs_that_could_have_been_taken_with_what_was_predicted_of_them() -> None:
    made = record(1)
    row = decision_row(made, PACKED, RULES, written=5.0)
    assert {option["model"] for option in row["options"]} >= {"small", "medium", "large"}
    assert row["taken_model"] in {option["model"] for option in row["options"]}
    assert row["catalog_version"]
    assert row["policy_version"]
    assert row["propensity"] == 1.0
    assert (row["kind"], row["difficulty"], row["served_model"]) == ("code", 0.4, made["served"]["model"])
    assert len(row["embedding"]) == 256
    assert row["feature_schema"]
    assert day_of(row) == "2025-10-09"


def test_rows_of_all_kinds_of_records_have_the_columns_and_survive_the_file() -> None:
    hit = record(2, inputs=None, decided=None, cache="hit", served={"model": "small", "tier": "cache", "cost_nano": 0})
    failed = record(3, error="upstream_error", served={"model": "small", "tier": "economy", "cost_nano": 0})
    old = {name: value for name, value in record(4).items() if name != "log"}
    rows = [
        decision_row(hit, b"", RULES, written=1.0),
        decision_row(failed, PACKED, RULES, written=1.0),
        decision_row(old, PACKED, None, written=1.0),
    ]
    for row in rows:
        assert set(row) == {column.name for column in DECISION_COLUMNS}
        for column in DECISION_COLUMNS:
            assert column.nullable or row[column.name] is not None, column.name
    read = parquet.decode(parquet.encode(DECISIONS, rows))
    assert [row["decision_id"] for row in read] == ["dec_00002", "dec_00003", "dec_00004"]
    assert [row["served_model"] for row in read] == ["small", None, old["served"]["model"]]
    assert read[1]["embedding"] == [1.0] * 256
    assert read[2]["options"] == []
