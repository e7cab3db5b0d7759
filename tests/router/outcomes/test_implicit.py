"""What Rung sees of answers by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from router.outcomes.implicit import Sessions, of_record
from tests.router.decision_log.records import NOON, record


def cut(finish: str, **usage: Any) -> dict[str, Any]:
    made = record(1)
    made["served"]["finish_reason"] = finish
    made["served"]["usage"].update(usage)
    return made


def sources(made: dict[str, Any]) -> list[str]:
    return [outcome.source for outcome in of_record(made, {})]


def test_an_answer_that_thinking_ate_is_starved_and_one_that_was_cut_is_truncated() -> None:
    assert sources(cut("length", output=1000, reasoning=1000)) == ["implicit.starved"]
    assert sources(cut("length", output=1000, reasoning=200)) == ["implicit.truncated"]
    assert sources(cut("length", output=1000, reasoning=None)) == ["implicit.truncated"]
    assert sources(cut("content_filter")) == ["implicit.refused"]
    assert sources(cut("stop")) == []


def test_an_answer_that_the_client_itself_bounded_says_nothing() -> None:
    made = cut("length")
    made["inputs"]["demand"]["max_output_tokens"] = 50
    assert sources(made) == []


def test_a_declared_reliability_overrides_the_default() -> None:
    (outcome,) = of_record(cut("length"), {"implicit.truncated": 0.11})
    assert (outcome.reliability, outcome.value) == (0.11, 0.2)


A, NEAR, FAR = np.array([1.0, 0.0]), np.array([0.95, 0.2]), np.array([0.0, 1.0])


def ask(number: int, at: float, same: str, *, session: str | None = "s", **changes: Any) -> dict[str, Any]:
    return record(number, session=session, created=NOON + at, log={"text_hash": same}, **changes)


@pytest.mark.parametrize(
    ("later", "vector", "expected"),
    [
        (ask(2, 60, "x"), A, "implicit.retried"),
        (ask(2, 60, "y"), NEAR, "implicit.rephrased"),
        (ask(2, 60, "x", requested_model="auto:quality"), A, "implicit.escalated"),
        (ask(2, 60, "y", requested_model="large"), NEAR, "implicit.escalated"),
        (ask(2, 60, "x", requested_model="auto:economy"), A, "implicit.retried"),
        (ask(2, 60, "y"), FAR, None),
        (ask(2, 60, "y"), None, None),
        (ask(2, 601, "x"), A, None),
        (ask(2, 60, "x", session="other"), A, None),
        (ask(2, 60, "x", session=None), A, None),
        (ask(2, 60, "x", tenant="other"), A, None),
    ],
)
def test_a_question_asked_again_says_something_of_the_former_answer(
    later: dict[str, Any], vector: Any, expected: str | None
) -> None:
    sessions = Sessions({})
    assert sessions.follow(ask(1, 0, "x"), A) is None
    outcome = sessions.follow(later, vector)
    assert (None if outcome is None else outcome.source) == expected
    if outcome is not None:
        assert outcome.decision_id == "dec_00001"


def test_a_part_that_is_read_again_does_not_look_like_a_question_asked_again() -> None:
    sessions = Sessions({})
    for _ in range(2):
        for number in (1, 2):
            again = sessions.follow(ask(number, number, f"{number}"), A if number == 1 else FAR)
            assert again is None
