"""The contest of two looks: shares are exact, nothing and everything are the two looks alone, and a better one wins."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from router.cli.commands import build
from tests.training.results import made_up
from tests.training.test_second_look import LetterCounter
from training.benchmarks.second_look import GRID, sent

scores = st.permutations(range(20)).map(lambda order: np.array(order, np.float64))


@given(scores, scores, st.floats(0, 1))
def test_the_share_of_strong_calls_is_what_was_asked_for(
    first: NDArray[np.float64], second: NDArray[np.float64], share: float
) -> None:
    counts = sent(first, second, share).sum(axis=0)
    assert counts.tolist() == [round(wanted * 20) for wanted in np.linspace(0, 1, GRID)]


@given(scores, scores)
def test_nothing_looked_at_is_the_first_look_and_everything_the_second(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> None:
    for share, alone in ((0.0, first), (1.0, second)):
        assert (sent(first, second, share) == sent(alone, alone, 0.0)).all()


@given(scores, scores, st.floats(0, 1))
def test_only_those_near_the_cut_are_looked_at_again(
    first: NDArray[np.float64], second: NDArray[np.float64], share: float
) -> None:
    changed = (sent(first, second, share) != sent(first, second, 0.0)).sum(axis=0)
    assert (changed <= round(share * 20)).all()


def test_a_better_second_look_sends_better_ones() -> None:
    draw = np.random.default_rng(0)
    truth = draw.standard_normal(400)
    first, second = truth + 2.0 * draw.standard_normal(400), truth + 0.1 * draw.standard_normal(400)

    def won(share: float) -> float:
        return float(sum(truth[mask].sum() for mask in sent(first, second, share).T))

    assert won(0.0) < won(0.1) < won(0.25) < won(1.0)


def test_the_command_prints_all_shares_with_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("sentence_transformers")
    fake.SentenceTransformer = LetterCounter  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", fake)
    monkeypatch.setattr("sys.argv", ["rung", "bench"])
    path, other = tmp_path / "results.parquet", tmp_path / "others.parquet"
    made_up(60).to_parquet(path)
    made_up(60, seed=1).to_parquet(other)
    arguments = ["bench", "second-look", "--data", str(path), "--train", str(other), "--resamples", "20"]
    done = CliRunner().invoke(build(), [*arguments, "--encoder", "sentence-transformers:letter-counter", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert {row["looked"] for row in told["results"]} == {0.0, 0.1, 0.25, 0.5, 1.0}
    assert all(0.0 < row["apgr"] < 1.2 for row in told["results"])
    assert told["milliseconds"]["p50_ms"] > 0.0
    wrong = CliRunner().invoke(build(), [*arguments, "--encoder", "onnx:nowhere"])
    assert wrong.exit_code == 2
    assert "rung-train onnx" in wrong.output
