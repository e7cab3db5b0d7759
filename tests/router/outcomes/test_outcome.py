"""Outcomes: each once, and every source with a reliability."""

from __future__ import annotations

from policies.log_schema import is_source
from router.outcomes.outcome import RELIABILITY, UNLISTED, VALUE, outcome_id, reliability, unknown_sources


def test_every_listed_source_is_one_of_the_contract() -> None:
    assert all(is_source(source) for source in (*RELIABILITY, *VALUE))
    assert set(VALUE) == {source for source in RELIABILITY if source.startswith("implicit.")}


def test_a_source_is_believed_as_declared_else_by_default() -> None:
    assert reliability("judge", {}) == RELIABILITY["judge"]
    assert reliability("judge", {"judge": 0.1}) == 0.1
    assert reliability("checker.mine", {}) == UNLISTED
    assert unknown_sources({"judge": 1, "juge": 1}) == ["juge"]


def test_ids_depend_on_every_part_and_on_where_they_are_split() -> None:
    assert outcome_id("a", "b") == outcome_id("a", "b")
    assert len({outcome_id("a", "b"), outcome_id("ab", ""), outcome_id("b", "a"), outcome_id("a", "b", "")}) == 4
