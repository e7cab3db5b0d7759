"""The decision log's contract is whole: unique names, known types, and sources that can be told apart."""

from __future__ import annotations

import pytest

from policies.log_schema import DECISION_COLUMNS, OPTION, OUTCOME_COLUMNS, Column, is_source

TYPES = {"string", "int64", "float64", "bool", "list<float32>", "list<struct>"}


@pytest.mark.parametrize("table", [DECISION_COLUMNS, OUTCOME_COLUMNS, OPTION], ids=["decisions", "outcomes", "option"])
def test_columns_have_unique_names_known_types_and_a_meaning(table: tuple[Column, ...]) -> None:
    names = [column.name for column in table]
    assert len(set(names)) == len(names)
    assert {column.type for column in table} <= TYPES
    assert all(column.meaning.endswith(".") for column in table)


def test_both_tables_can_be_joined_deduplicated_and_partitioned() -> None:
    for table, identity in ((DECISION_COLUMNS, "decision_id"), (OUTCOME_COLUMNS, "outcome_id")):
        must = {column.name for column in table if not column.nullable}
        assert {identity, "decision_id", "tenant", "key", "created", "written"} <= must


@pytest.mark.parametrize("source", ["feedback.thumbs", "implicit.starved", "checker.json", "judge"])
def test_known_sources_are_taken(source: str) -> None:
    assert is_source(source)


@pytest.mark.parametrize("source", ["", "feedback", "feedback.stars", "implicit", "implicit.", "checker", "oracle"])
def test_other_sources_are_not(source: str) -> None:
    assert not is_source(source)
