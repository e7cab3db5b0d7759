from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.training.results import made_up
from training.benchmarks import routing, slices
from training.benchmarks.cli import app
from training.benchmarks.routers import Judgement, oracle
from training.data import read_results, to_matrix

PAIR = ("tiny-7b", "big-70b")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """English questions of mathematics, and Russian ones of no known kind, twenty of them long."""
    russian = made_up(60, seed=1).assign(category="unheard of")
    number = russian["query_id"].str[1:].astype(int)
    tail = pd.Series(np.where(number < 20, " и так далее" * 20, ""), index=russian.index)
    russian["prompt"] = "Сколько будет " + number.astype(str) + " и ещё один" + tail
    english = made_up(100).assign(category="mmlu_pro:math")
    english["prompt"] = "What is this, if you look at every single word that follows? " + english["prompt"]
    path = tmp_path / "both.parquet"
    pd.concat([english, russian]).to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("Which planet is the largest?", "English"),
        ("Wie viele Räder hat ein Auto, und was kostet es?", "Latin"),
        ("Was ist das Gegenteil von warm?", "Latin"),
        ("用中文写一首诗", "CJK"),
        ("ما هي عاصمة فرنسا", "Arabic"),
        ("12 * 12 =", "no letters"),
        ("", "no letters"),
    ],
)
def test_a_language_is_told_by_common_words_or_by_its_letters(prompt: str, language: str):
    assert slices.language_of(prompt) == language


@pytest.mark.parametrize(
    ("length", "band"),
    [(0, "under 100"), (99, "under 100"), (100, "100 to 399"), (1599, "400 to 1599"), (1600, "1600 and more")],
)
def test_bands_of_length_meet_without_a_gap(length: int, band: str):
    assert slices.length_of("x" * length) == band


def test_each_slice_is_ranked_by_itself_and_small_ones_are_left_out(data: Path):
    held = routing.contest(routing.arrange(to_matrix(read_results([data])), "shipped"), PAIR)
    rows = slices.measure(oracle(held.matrix.score), held, resamples=20)
    by = {(row["by"], row["slice"]): row for row in rows}
    assert set(by) == {
        ("language", "English"),
        ("language", "Cyrillic"),
        ("length", "100 to 399"),
        ("kind", "mathematics"),
        ("kind", "other"),
    }
    english = by["language", "English"]
    at = np.array([str(prompt).startswith("What") for prompt in held.matrix.prompts])
    assert (english["queries"], english["gap"]) == (100, pytest.approx(held.gain[at].mean()))
    assert english["auroc"] == 1.0
    assert english["apgr_ci"][0] <= english["apgr"] <= english["apgr_ci"][1]


def test_knowing_only_which_slice_a_query_is_of_earns_nothing_within_it(data: Path):
    held = routing.contest(routing.arrange(to_matrix(read_results([data])), "shipped"), PAIR)
    known = np.array([float(slices.language_of(str(prompt)) == "English") for prompt in held.matrix.prompts])
    rows = slices.measure(Judgement(gain=known), held, resamples=0)
    assert {row["apgr"] for row in rows if row["by"] in {"language", "kind"}} == {0.5}


def test_the_command_prints_slices_only_when_asked_and_in_json_too(data: Path):
    asked = ["routing", "--data", str(data), "--resamples", "5"]
    plain = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert plain["slices"] is None
    sliced = json.loads(CliRunner().invoke(app, [*asked, "--slices", "--json"]).stdout)
    assert {row["by"] for row in sliced["slices"]} >= {"language", "kind"}
    assert {**sliced, "slices": None, "results": None} == {**plain, "results": None}
    text = CliRunner().invoke(app, [*asked, "--slices"]).stdout
    assert "Cyrillic" in text
    assert "mathematics" in text


def test_a_file_of_one_sort_says_that_it_has_no_slices(tmp_path: Path):
    frame = made_up(60)
    frame.assign(prompt="What? " + frame["query_id"]).to_parquet(tmp_path / "x.parquet")
    asked = ["routing", "--data", str(tmp_path / "x.parquet"), "--resamples", "0", "--slices"]
    assert "by slices: each is too small, or the whole" in CliRunner().invoke(app, asked).stdout
