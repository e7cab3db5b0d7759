"""A log is read once a row, with the outcomes that belong to it and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.learning.logs import decision, outcome, write
from training.learning.dataset import data_hash
from training.learning.ingest import read_log
from training.rows import DataError


def test_of_a_row_that_was_written_twice_the_last_one_counts(tmp_path: Path) -> None:
    rows = [decision(1, cost_nano=5), decision(1, cost_nano=7, written=2e9), decision(2)]
    told = [outcome(1, 1, value=0.0), outcome(1, 1, value=1.0, written=2e9)]
    log = read_log(write(tmp_path, decisions=rows, outcomes=told))
    assert log.cost_nano.tolist() == [7, 5]
    assert log.labels.value.tolist() == [1.0]
    assert log.labels.at.tolist() == [0]


def test_an_outcome_never_reaches_another_tenants_decision(tmp_path: Path) -> None:
    told = [outcome(1, 1, tenant="stranger", key="s")]
    log = read_log(write(tmp_path, decisions=[decision(1)], outcomes=told))
    assert len(log.labels) == 0


def test_outcomes_are_weighed_by_their_reliability(tmp_path: Path) -> None:
    told = [outcome(1, 1, value=1.0, reliability=0.6), outcome(2, 1, value=0.0, reliability=0.2)]
    labels = read_log(write(tmp_path, decisions=[decision(1)], outcomes=told)).labels
    assert labels.value[0] == pytest.approx(0.75)
    assert labels.weight[0] == pytest.approx(1 - 0.4 * 0.8)


def test_a_trusted_outcome_stands_alone(tmp_path: Path) -> None:
    told = [outcome(1, 1, value=0.0, reliability=0.95, source="checker.json"), outcome(2, 1, value=1.0)]
    labels = read_log(write(tmp_path, decisions=[decision(1)], outcomes=told)).labels
    assert labels.value.tolist() == [0.0]
    assert labels.is_trusted.tolist() == [True]


def test_a_judges_outcome_is_about_the_rung_that_it_names(tmp_path: Path) -> None:
    told = [outcome(1, 1), outcome(2, 1, source="judge", model="other", allowance=1024, value=0.5)]
    log = read_log(write(tmp_path, decisions=[decision(1)], outcomes=told))
    assert [log.models[m] for m in log.labels.model] == ["m", "other"]
    assert log.labels.allowance.tolist() == [0, 1024]
    assert log.labels.is_served.tolist() == [True, False]


@pytest.mark.parametrize("bad", [{"value": 1.5}, {"value": float("nan")}, {"reliability": 0.0}])
def test_impossible_outcomes_are_left_out(tmp_path: Path, bad: dict[str, float]) -> None:
    log = read_log(write(tmp_path, decisions=[decision(1)], outcomes=[outcome(1, 1, **bad)]))
    assert len(log.labels) == 0


def test_a_decision_without_an_answer_or_from_the_cache_is_read_and_has_no_label(tmp_path: Path) -> None:
    rows = [decision(1, served_model=None, taken_model=None, propensity=None, options=[])]
    log = read_log(write(tmp_path, decisions=rows, outcomes=[outcome(1, 1)]))
    assert (log.served[0], log.taken[0], len(log.labels)) == (-1, -1, 0)


def test_one_tenant_or_a_stretch_of_time_can_be_read_alone(tmp_path: Path) -> None:
    root = write(tmp_path, decisions=[decision(1), decision(2, tenant="other")], outcomes=[])
    assert read_log(root, tenant="other").tenants == ("other",)
    assert len(read_log(root, since=1e9 + 2)) == 1
    with pytest.raises(DataError, match="no decisions of the tenant nobody"):
        read_log(root, tenant="nobody")


def test_equal_logs_have_equal_hashes_and_others_do_not(tmp_path: Path) -> None:
    first = write(tmp_path / "a", decisions=[decision(1)], outcomes=[outcome(1, 1)])
    again = write(tmp_path / "b", decisions=[decision(1)], outcomes=[outcome(1, 1)])
    other = write(tmp_path / "c", decisions=[decision(1)], outcomes=[outcome(1, 1, value=0.5)])
    assert data_hash(read_log(first)) == data_hash(read_log(again)) != data_hash(read_log(other))
