"""What a user may hand to `rung bench` by mistake: one line that says how to mend it, exit code 2, no traceback."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.training.results import made_up
from training.benchmarks import latency
from training.benchmarks.cli import app

GOOD = made_up(40)
LINES = "".join(json.dumps(row) + "\n" for row in GOOD.to_dict("records")).encode()

UNREADABLE = {
    "empty.parquet": (b"", "cannot be read as .parquet"),
    "empty.csv": (b"", "cannot be read as .csv"),
    "empty.jsonl": (b"\n \n", "is empty; it needs prompt, model, score"),
    "header.csv": (b"prompt,model,score\n", "no row with a prompt, a model and a score"),
    "latin.csv": ("prompt,model,score\ncaf\xe9,m,1\n".encode("latin-1"), "not text in UTF-8 (byte "),
    "latin.jsonl": ('{"prompt": "caf\xe9", "model": "m", "score": 1}'.encode("latin-1"), "convert it to UTF-8"),
    "good.csv.gz": (gzip.compress(b"prompt,model,score\na,m,1\n"), "is compressed (.gz): unpack it first"),
    "good.jsonl.zst": (b"\x28\xb5\x2f\xfd", "is compressed (.zst): unpack it first"),
    "packed.csv": (gzip.compress(b"prompt,model,score\na,m,1\n"), "unpack it if it is compressed"),
    "array.jsonl": (b"[" + LINES.splitlines()[0] + b"]", "line 1: every line must be a JSON object"),
    "broken.jsonl": (LINES.splitlines()[0] + b'\n{"prompt": \n', "line 2: no JSON"),
    "ragged.csv": (b"prompt,model,score\na,m,1\na,m,1,2,3\n", "Expected 3 fields in line 3"),
    "semicolons.csv": (b"prompt;model;score\na;m;1\n", "lacks prompt, model, score (it has prompt;model;score)"),
    "lists.jsonl": (b'{"prompt": ["a"], "model": "m", "score": 1}', "lists.jsonl: the column prompt must hold plain"),
}

UNFIT = {
    "missing columns": (GOOD.drop(columns=["model", "score"]), "lacks model, score"),
    "no score": (GOOD.assign(score=np.nan), "no row with a prompt, a model and a score"),
    "percent": (GOOD.assign(score=100.0 * GOOD["score"]), "scores run from 0 to 100"),
    "one row": (GOOD.iloc[:1], "needs two models, the data has only tiny-7b"),
    "one question": (GOOD.iloc[:2], "only 1 test queries were answered by all of"),
    "one model": (GOOD[GOOD["model"] == "tiny-7b"], "needs two models, the data has only tiny-7b"),
    "nothing fails": (GOOD.assign(score=1.0), "is 1 on all 40 queries: nothing tells them apart"),
    "nothing succeeds": (GOOD.assign(score=0.0), "is 0 on all 40 queries: nothing tells them apart"),
}


def refused(*args: str | Path) -> str:
    """The error's line of a command that has to fail politely."""
    result = CliRunner().invoke(app, [*map(str, args)])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert line.lower().startswith("error: ")
    return line


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.parquet"
    GOOD.to_parquet(path)
    return path


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("command", ["routing", "tokens"])
def test_a_file_that_cannot_be_read_is_refused_with_its_remedy(tmp_path: Path, name: str, command: str):
    content, message = UNREADABLE[name]
    (tmp_path / name).write_bytes(content)
    assert message in refused(command, "--data", tmp_path / name)


@pytest.mark.parametrize("name", UNFIT)
def test_results_that_say_nothing_are_refused_with_the_reason(tmp_path: Path, name: str):
    frame, message = UNFIT[name]
    frame.to_parquet(tmp_path / "x.parquet")
    assert message in refused("routing", "--data", tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weak", "tiny-7b", "--strong", "tiny-7b"], "tiny-7b is both the weak and the strong model"),
        (["--strong", "nobody"], "no rows of the model nobody; the data has big-70b, tiny-7b"),
        (["--drop", "tiny-7b", "big-70b"], "--drop leaves no model of big-70b, tiny-7b"),
        (["--prices", "nowhere.csv"], "the price list cannot be used"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--mode", "transfer", "--train", "nowhere.csv"], "nowhere.csv is not a file"),
    ],
)
def test_options_that_do_not_go_with_the_data_are_refused(good: Path, options: list[str], message: str):
    assert message in refused("routing", "--data", good, *options)


def test_questions_that_stand_twice_are_no_error_and_count_as_one(tmp_path: Path):
    again = GOOD.assign(query_id="again " + GOOD["query_id"])
    pd.concat([GOOD, again]).to_parquet(tmp_path / "twice.parquet")
    result = CliRunner().invoke(app, ["routing", "--data", str(tmp_path / "twice.parquet"), "--resamples", "5"])
    assert result.exit_code == 0
    assert "80 queries of 40 questions" in result.stdout


def test_a_file_beginning_with_a_byte_order_mark_is_read(tmp_path: Path):
    (tmp_path / "bom.jsonl").write_bytes(b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n"))
    result = CliRunner().invoke(app, ["tokens", "--data", str(tmp_path / "bom.jsonl"), "--resamples", "5"])
    assert result.exit_code == 0, result.output


def test_too_few_questions_to_learn_from_are_refused(good: Path, tmp_path: Path):
    made_up(3, seed=7).to_parquet(tmp_path / "few.parquet")
    train = ["--train", str(tmp_path / "few.parquet")]
    assert "has only 3 questions to learn from" in refused("routing", "--data", good, "--mode", "transfer", *train)


def test_one_file_given_twice_leaves_nothing_to_learn_from(good: Path):
    assert "leaving one file out needs two" in refused("transfer", "--data", good, good)


def test_pictures_that_cannot_be_written_are_refused_before_the_work(good: Path):
    assert "cannot be made a folder (File exists)" in refused("routing", "--data", good, "--plot", good)


def test_a_strong_model_that_is_no_better_is_said_and_has_no_gap(good: Path):
    options = ["--weak", "big-70b", "--strong", "tiny-7b", "--resamples", "5"]
    result = CliRunner().invoke(app, ["routing", "--data", str(good), *options])
    assert result.exit_code == 0
    assert "tiny-7b is no better than big-70b on these queries: there is no gap to recover" in result.stdout
    assert "nan" not in result.stdout


def test_a_machine_that_is_too_busy_to_be_measured_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(latency, "TIMEOUT_S", 0.001)
    assert "too busy to be measured" in refused("latency")
