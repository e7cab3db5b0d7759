"""The model keeps its promises whatever it is given."""

from __future__ import annotations

import base64
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import Estimate, Query, load_default
from classifier.features import NAMES
from classifier.head import rising, softmax
from classifier.text import HEAD_CHARS, TAIL_CHARS, read

MODEL = load_default()
ORDINARY = "Which of these gases makes up most of the air that we breathe, and why does it not burn?"


def judge(text: str) -> Estimate:
    return MODEL.estimate(Query(text=text))


def is_sound(estimate: Estimate) -> bool:
    return (
        0.0 <= estimate.difficulty <= 1.0
        and 0.0 < estimate.uncertainty <= 0.5
        and list(estimate.success) == sorted(estimate.success)
        and all(0.0 <= p <= 1.0 for p in estimate.success)
        and math.isclose(sum(estimate.kinds.values()), 1.0, abs_tol=1e-4)
        and estimate.kind in estimate.kinds
        and 1 <= estimate.tokens.expected <= estimate.tokens.high <= MODEL.layout.token_cap
    )


@settings(max_examples=200)
@given(st.text(max_size=400))
def test_every_text_gets_a_sound_estimate(text: str) -> None:
    assert is_sound(judge(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "\x00\x01\x02",
        "\ud800 half a surrogate pair",
        "🙂" * 3_000,
        "مرحبا كيف حالك اليوم " * 200,
        "量子力学" * 2_000,
        base64.b64encode(bytes(range(256)) * 40).decode(),
        "a" * 200_000,
        "Z̷̢̛a̶l̵g̴o̸" * 500,
        "9" * 50_000,
        "((((" * 20_000,
    ],
    ids=lambda text: f"{len(text)} of {text[:8]!r}",
)
def test_hostile_text_gets_a_sound_estimate(text: str) -> None:
    assert is_sound(judge(text))


def test_only_the_head_and_the_tail_of_a_huge_text_are_read() -> None:
    reading = read("word " * 40_000)
    assert reading.chars == 200_000
    assert len(reading.raw) == HEAD_CHARS + TAIL_CHARS + 1


def test_a_harness_around_the_same_last_turn_changes_nothing() -> None:
    bare = Query(text="Hi")
    wrapped = replace(bare, turns=9, system_chars=12_000, context_chars=40_000, tools=30, response_format="json_schema")
    assert MODEL.estimate(bare) == MODEL.estimate(wrapped)


def test_a_picture_widens_the_error_and_nothing_else() -> None:
    bare = MODEL.estimate(Query(text=ORDINARY))
    pictured = MODEL.estimate(Query(text=ORDINARY, images=1))
    assert pictured.uncertainty > bare.uncertainty
    assert pictured == replace(bare, uncertainty=pictured.uncertainty)


def test_the_same_text_gives_the_same_estimate_whatever_was_asked_before() -> None:
    first = judge(ORDINARY)
    for other in ("", "elecctron " * 50, "xq" * 1_000):
        judge(other)
    assert judge(ORDINARY) == first


@given(st.floats(0, 1))
def test_success_between_the_levels_is_interpolated(ability: float) -> None:
    estimate = judge(ORDINARY)
    assert estimate.success_at(ability) == np.interp(ability, estimate.abilities, estimate.success)


def test_texts_judged_together_are_judged_as_alone() -> None:
    texts = [
        "",
        "Hi",
        ORDINARY,
        "Prove that there are infinitely many primes.",
        "2+2",
        "def f(x): return x",
        "\u05e9",
        "a" * 500,
    ]
    for text, together in zip(texts, MODEL.estimate_many([Query(text=text) for text in texts]), strict=True):
        alone = judge(text)
        assert together.success == pytest.approx(alone.success, abs=1e-5)
        assert together.difficulty == pytest.approx(alone.difficulty, abs=1e-5)
        assert (together.kind, together.reasons, together.tokens) == (alone.kind, alone.reasons, alone.tokens)
        assert together.reading == alone.reading


def test_one_text_and_many_agree() -> None:
    texts = ["Hi", ORDINARY, "Prove Fermat's little theorem."]
    many = MODEL.success_many(MODEL.inputs.compute_many(texts))
    assert many == pytest.approx(np.array([judge(text).success for text in texts]), abs=1e-5)


@pytest.mark.parametrize(
    ("easy", "hard"),
    [
        ("What is 2+2?", "Find all integer solutions of x^3 + y^3 = z^3 + 1 with |z| < 50 and prove completeness."),
        ("Thanks!", "Derive the Black-Scholes formula with stochastic volatility."),
        ("Merci", "Montrer que pour tout entier n, n^5 - n est divisible par 30."),
        (
            "Write a short birthday message for my sister.",
            "Implement a persistent segment tree with range updates in O(log n) for 200000 queries.",
        ),
    ],
)
def test_a_hard_task_is_harder_than_an_easy_one(easy: str, hard: str) -> None:
    assert judge(easy).difficulty < judge(hard).difficulty


def test_unseen_trivial_prompts_stand_at_the_bottom() -> None:
    folder = Path(__file__).parents[2] / "training" / "own"
    trivial = [judge(line).difficulty for line in (folder / "trivial_test.txt").read_text("utf-8").splitlines()]
    rated = (folder / "rated.tsv").read_text("utf-8").splitlines()
    tasks = [judge(line.split("\t")[3]).difficulty for line in rated if line[0] in "3456"]
    assert np.median(trivial) < np.quantile(tasks, 0.02)
    assert np.quantile(trivial, 0.95) < np.quantile(tasks, 0.3)


@pytest.mark.parametrize("text", ["What is 2+2?", "hi there", "thanks a lot", "What is 3 + 5?", "Hola", "你好"])
def test_capable_models_answer_what_is_trivial(text: str) -> None:
    estimate = judge(text)
    assert estimate.success_at(0.8) >= 0.97
    assert estimate.success_at(0.3) >= 0.9


@pytest.mark.parametrize("text", ["Is P equal to NP?", "Prove Goldbach's conjecture.", "What is 4821 times 9377?"])
def test_a_short_question_is_not_trivial_for_being_short(text: str) -> None:
    assert judge(text).success_at(0.3) < 0.85


def test_a_plea_for_effort_hardly_moves_the_difficulty() -> None:
    plea = judge(f"This is very hard, think step by step. {ORDINARY}").difficulty
    assert plea == pytest.approx(judge(ORDINARY).difficulty, abs=0.08)


def test_reasons_name_what_moved_the_difficulty() -> None:
    reasons = judge("Prove that the sum of two odd integers is even.").reasons
    assert len(reasons) == 3
    assert all(reason.startswith(("harder: ", "easier: ")) for reason in reasons)


def test_features_have_one_finite_number_a_name() -> None:
    x = MODEL.inputs.compute("Σ x² = 5 👋 \n A. yes\n B. no")
    assert len(x) == MODEL.inputs.sizes[0] + len(NAMES)
    assert np.isfinite(x).all()


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=9))
def test_rising_logits_never_fall_and_softmax_sums_to_one(values: list[float]) -> None:
    logits = np.array(values)
    assert (np.diff(rising(logits)) >= 0).all()
    assert softmax(logits).sum() == pytest.approx(1.0)


def test_answer_options_and_long_passages_are_no_part_of_a_questions_length() -> None:
    stem = NAMES.index("log_stem") + MODEL.inputs.sizes[0]
    bare = MODEL.inputs.compute(ORDINARY)[stem]
    options = "\nA. Nitrogen, which is inert\nB. Oxygen, which is not\nC. Argon\nD. Carbon dioxide"
    assert MODEL.inputs.compute(ORDINARY + options)[stem] == bare == pytest.approx(math.log1p(len(ORDINARY)))
    assert MODEL.inputs.compute(ORDINARY * 9)[stem] == MODEL.inputs.compute(ORDINARY * 90)[stem]
