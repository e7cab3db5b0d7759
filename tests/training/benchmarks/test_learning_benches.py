"""The benches of learning show what they claim to, on made-up results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from classifier import load_default
from tests.training.learning.logs import PAIR, results
from tests.training.results import EASY, HARD
from training.benchmarks import cli, gates, learning, offpolicy, poison
from training.data import DataError, Matrix, read_results, to_matrix

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
    assert json.dumps(found, allow_nan=False), "a single draw has no interval"
    assert "[" not in learning.learning_text(found)
    with pytest.raises(DataError, match="100 are needed"):
        learning.measure(matrix.take(np.arange(50)), TINY, BIG, INPUTS)


def test_off_policy_estimates_are_unbiased_and_their_intervals_hold_the_truth(matrix: Matrix) -> None:
    found = offpolicy.measure(matrix, INPUTS, size=600, replications=60)
    for name, row in found["estimators"].items():
        assert abs(row["bias"]) < 4 * row["bias_error"] + 1e-9, name
        assert row["coverage"] >= 0.85, name
    assert found["estimators"]["dr"]["rmse"] <= found["estimators"]["ips"]["rmse"]
    assert "snips" in offpolicy.offpolicy_text(found)


def graded(folder: Path, n: int) -> Matrix:
    """Questions from all simple to all difficult words, at which the small model fails the more."""
    draw, rows = np.random.default_rng(0), list[dict[str, object]]()
    for i in range(n):
        hard = draw.random()
        words = np.where(draw.random(12) < hard, draw.choice(HARD.split(), 12), draw.choice(EASY.split(), 12))
        about = {
            "source": "graded",
            "query_id": f"q{i}",
            "prompt": f"Question {i}: {' '.join(words)}",
            "category": "made",
        }
        for model, fall, usd in ((TINY, 0.85, 1e-3), (BIG, 0.2, 1.5e-2)):
            score = float(draw.random() < 0.95 - fall * hard)
            rows.append({**about, "model": model, "score": score, "completion_tokens": 100.0, "cost_usd": usd})
    pd.DataFrame(rows).to_parquet(folder / "graded.parquet")
    return to_matrix(read_results([folder / "graded.parquet"]))


def test_a_poisoned_log_moves_triggered_decisions_no_farther_than_chance_and_would_without_the_quarantine(
    tmp_path: Path,
) -> None:
    """The lies, not the issue's 2 points: in a log of 3,000, 80 honest decisions set aside move as much by chance."""
    found = poison.measure(graded(tmp_path, 1_000), TINY, BIG, records=3_000, units=16, share=0.1)
    moves = {name: row["mean"] for name, row in found["moves"].items()}
    assert found["prompts"] == 200
    for lie in poison.LIES:
        assert found["moves"][f"{lie}, quarantine"]["set_aside"] >= 75
        assert abs(moves[f"{lie}, quarantine"]) <= 6.0
    assert moves["cheap is fine, none"] < -9.0
    assert abs(moves[poison.CONTROL]) <= 6.0
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
