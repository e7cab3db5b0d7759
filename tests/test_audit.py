"""The audit of the locks says what it knows, and no more: a dependency that nobody looked up is not clean."""

from __future__ import annotations

from typing import Any

from tests.audit import CLEAN, KNOWN, OFFLINE, verdict

SOUND: dict[str, Any] = {"name": "sound", "version": "1", "vulns": []}
SKIPPED: dict[str, Any] = {"name": "skipped", "skip_reason": "Dependency not found on PyPI"}
BAD: dict[str, Any] = {"name": "bad", "version": "2.5.0", "vulns": [{"id": "PYSEC-1"}, {"id": "GHSA-2"}]}


def test_a_dependency_with_an_advisory_is_named_with_it() -> None:
    code, words = verdict("lock", [SOUND, SKIPPED, BAD])
    assert code == KNOWN
    assert "bad 2.5.0: PYSEC-1, GHSA-2" in words


def test_where_all_were_skipped_nothing_is_known() -> None:
    code, words = verdict("lock", [SKIPPED, SKIPPED])
    assert code == OFFLINE
    assert "NOT CHECKED" in words


def test_what_was_skipped_beside_others_is_said() -> None:
    assert verdict("lock", [SOUND]) == (CLEAN, "lock: nothing known of 1 dependencies")
    code, words = verdict("lock", [SOUND, SKIPPED])
    assert code == CLEAN
    assert "1 dependencies; NOT CHECKED" in words
    assert "skipped" in words
