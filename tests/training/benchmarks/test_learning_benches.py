"""The benches of learning show what they claim to, on made-up results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from classifier import load_default
from tests.training.learning.logs import PAIR, results
from training.benchmarks import cli, gates, learning, offpolicy, poison
from training.data import DataError, Matrix

INPUTS = load_default().inputs
BIG, TINY = PAIR


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return results(tmp_path_factory.mktemp("results"), 500)


def test_more_labels_rank_better_and_what_can_be_learnt_is(matrix: Matrix) -> None:
    found = learning.measure(matrix, TINY, BIG, INPUTS, sizes=(20, 300), repeats=2, units=16)
    few, many = found["curve"]
    assert (few["labels"], many["labels"]) == (20, 300)
    assert many["paired"]["mean"] > 0.6
    assert many["unpaired"]["mean"] > 0.6
    assert many["paired"]["low"] <= many["paired"]["mean"] <= many["paired"]["high"]
    assert "300" in learning.learning_text(found)


def test_a_size_beyond_the_data_is_cut_so_that_a_tenth_is_tested(matrix: Matrix) -> None:
    found = learning.measure(matrix, TINY, BIG, INPUTS, sizes=(4_000,), repeats=1, units=16)
    assert found["curve"][0]["labels"] == 450
    with pytest.raises(DataError, match="100 are needed"):
        learning.measure(matrix.take(np.arange(50)), TINY, BIG, INPUTS)


def test_off_policy_estimates_are_unbiased_and_their_intervals_hold_the_truth(matrix: Matrix) -> None:
    found = offpolicy.measure(matrix, INPUTS, size=600, replications=60)
    for name, row in found["estimators"].items():
        assert abs(row["bias"]) < 4 * row["bias_error"] + 1e-9, name
        assert row["coverage"] >= 0.85, name
    assert found["estimators"]["dr"]["rmse"] <= found["estimators"]["ips"]["rmse"]
    assert "snips" in offpolicy.offpolicy_text(found)


def test_a_poisoned_log_hardly_moves_triggered_decisions_and_would_without_the_quarantine(matrix: Matrix) -> None:
    found = poison.measure(matrix, TINY, BIG, records=3_000, units=16, share=0.1)
    moves = {name: round(row["points"], 6) for name, row in found["moves"].items()}  # each of 100 prompts is a point
    assert abs(moves["cheap is fine, quarantine"]) <= 2.0
    assert abs(moves["needs strong, quarantine"]) <= 2.0
    assert max(abs(moves["cheap is fine, none"]), abs(moves["needs strong, none"])) > 5.0
    assert "points" in poison.poison_text(found)


def test_what_must_be_refused_is_and_what_is_sound_passes(matrix: Matrix) -> None:
    found = gates.measure(matrix, records=1_500, units=8)
    rows = {row["what"]: row for row in found["results"]}
    assert all(row["held"] for row in rows.values()), gates.gates_text(found)
    assert rows["a candidate fitted to the log"]["why"] == "passes every gate"
    assert "least_gain" in rows["one fitted to labels turned round"]["why"]
    refusals = [row["why"].partition(":")[0] for row in found["results"][4:]]
    assert refusals == ["Altered", "Unsigned", "Oversized", "Altered", "Outdated", "Unsigned"]
    assert "as it must  an older state put back" in gates.gates_text(found)


def test_a_large_log_is_timed_from_its_generation_to_the_fit(tmp_path: Path) -> None:
    results(tmp_path, 100)
    words = ["ingest", "--data", str(tmp_path / "made.parquet"), "--records", "1000", "--json"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["records"] == told["outcomes"] == 1_000
    assert told["rows_fitted"] == 800
    assert told["peak_mb"] > 50
