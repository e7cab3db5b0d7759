"""Reasons are what a person would say: what is asked for, and how it looks; never the name of a feature."""

from __future__ import annotations

import numpy as np
import pytest

from classifier import Query, load_default
from classifier.features import NAMES
from classifier.reasons import top_reasons

MODEL = load_default()
NOTHING = np.zeros(len(NAMES), np.float32)


def reasons(text: str) -> tuple[str, ...]:
    return MODEL.estimate(Query(text=text)).reasons


def pushed(name: str, push: float, *, count: float) -> tuple[str, ...]:
    """The reasons where one feature has this count and moved the difficulty by this much."""
    pushes, features = NOTHING.copy(), NOTHING.copy()
    pushes[NAMES.index(name)], features[NAMES.index(name)] = push, count
    return top_reasons(pushes, 0.0, features, "knowledge")


@pytest.mark.parametrize(
    ("name", "count", "said"),
    [
        ("log_cue_prove", 1.0, "asks for a proof"),
        ("log_words", 6.0, "a long text"),
        ("log_words", 1.0, "a short text"),
        ("log_questions", 1.5, "several questions"),
        ("log_cue_code", 2.0, "code"),
        ("log_numbers", 3.0, "many numbers"),
    ],
)
def test_a_feature_is_said_in_words_with_its_sign(name: str, count: float, said: str) -> None:
    assert pushed(name, 1.0, count=count)[0] == f"harder: {said}"
    assert pushed(name, -1.0, count=count)[0] == f"easier: {said}"


def test_what_is_not_there_is_no_reason() -> None:
    assert pushed("log_cue_prove", -1.0, count=0.0) == ()


def test_reasons_are_ordered_by_what_they_moved() -> None:
    pushes, features = NOTHING.copy(), NOTHING.copy()
    for name, push in (("log_cue_prove", 0.4), ("log_cue_law", -0.8)):
        pushes[NAMES.index(name)], features[NAMES.index(name)] = push, 1.0
    assert top_reasons(pushes, 0.6, features, "professional") == (
        "easier: law", "harder: a question for professionals", "harder: asks for a proof",
    )  # fmt: skip


def test_small_sums_and_greetings_are_called_what_they_are() -> None:
    assert reasons("What is 2+2?")[0] == "easier: small arithmetic"
    assert reasons("Hello")[0].startswith("easier: a greeting")


def test_a_proof_is_named_where_one_is_asked_for() -> None:
    said = reasons("Prove that the sum of two odd integers is even, and derive a lemma for three.")
    assert "harder: asks for a proof" in said
