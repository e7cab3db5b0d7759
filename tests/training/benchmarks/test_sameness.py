"""The measurement of the semantic cache: its pairs, its intervals, and the figures that the documents promise."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from classifier.sameness import REACH, shipped_reader
from training.benchmarks.cli import app
from training.benchmarks.sameness import generated, measure, natural, own_pairs, wilson

PROMPTS = [
    "Please explain what happened between Napoleon and Wellington in 1815 near the village",
    "How many different combinations are possible with 7 letters and 3 colours for Napoleon?",
    "What is the atmospheric pressure on the highest mountain according to Wellington?",
]


def test_our_own_pairs_are_whole_and_no_question_stands_twice() -> None:
    alike, unlike = own_pairs()
    assert len(alike) == len(unlike) > 150
    assert len({pair.one for pair in alike}) == len(alike)
    assert all(pair.one != pair.other and pair.other for pair in [*alike, *unlike])


def test_no_near_miss_of_our_own_is_taken_for_the_same_and_most_rewordings_are() -> None:
    result = measure([])
    assert result["false_hits"]["hits"] == 0
    assert result["hits"]["rate"] > 0.6
    assert result["calibration"]["widest_without_false_hit"] >= REACH


def test_the_wider_the_reach_the_more_is_taken_for_the_same() -> None:
    steps = measure([])["calibration"]["steps"]
    assert [step["hit"] for step in steps] == sorted(step["hit"] for step in steps)
    assert steps[-1]["false_hit"] > 0, "the calibration sees false hits where the reach is too wide"


def test_pairs_are_made_of_prompts_by_changes_that_keep_and_that_do_not() -> None:
    kept, changed = generated(PROMPTS, Random(0))  # noqa: S311 - not a secret
    assert {pair.kind for pair in kept} >= {"small letters", "courtesy before", "letters swapped"}
    assert {pair.kind for pair in changed} >= {"another number", "negated", "another name", "two words exchanged"}
    assert all(pair.other.split() != pair.one.split() for pair in changed)
    assert measure(PROMPTS, sample=3)["false_hits"]["hits"] == 0


def test_different_questions_that_are_taken_for_the_same_are_counted_and_shown() -> None:
    reader = shipped_reader(b"s" * 32)
    found = natural(
        reader, ["Explain the effect of it", "explain the effect of it!", "Explain the effects of it", "Who?"]
    )
    assert (found["questions"], found["pairs"], found["taken"], found["of_other_letters"]) == (4, 6, 3, 2)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(0, 100, 0.0, 0.037), (50, 100, 0.404, 0.596), (0, 0, 0.0, 1.0)]
)
def test_intervals_are_wilson_s(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=0.0006)


def test_the_command_prints_rates_with_intervals(tmp_path: Path) -> None:
    data = tmp_path / "own.jsonl"
    rows = [{"prompt": prompt, "model": model, "score": 1} for prompt in PROMPTS for model in ("a", "b")]
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    done = CliRunner().invoke(app, ["cache", "--data", str(data), "--sample", "50"])
    assert done.exit_code == 0, done.output
    assert "our own, near misses" in done.stdout
    as_json = CliRunner().invoke(app, ["cache", "--json"])
    assert json.loads(as_json.stdout)["reach"] == REACH
