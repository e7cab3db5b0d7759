"""A model's speed is learnt from its answers, and from enough of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decide import decide
from policies.types import Demand, Wishes
from router.dispatch.speeds import LEAST_SEEN, Speeds
from tests.policies.ladders import LADDER, MINI, OPUS, ask

MODELS = {model.id: model for model in (MINI, OPUS)}


def taken(speeds: Speeds, times: float, *, count: int = LEAST_SEEN, tokens: int = 400) -> dict[str, float]:
    for _ in range(count):
        speeds.note(MINI, tokens, times * (MINI.latency_s + tokens / MINI.tokens_per_s))
    return speeds.slowness(MODELS)


def test_a_model_that_takes_three_times_as_long_is_known_for_it_after_a_few_answers() -> None:
    assert taken(Speeds(), 3.0, count=LEAST_SEEN - 1) == {}
    assert taken(Speeds(), 3.0) == {MINI.id: pytest.approx(3.0, rel=1e-2)}


def test_what_was_is_forgotten() -> None:
    speeds = Speeds()
    taken(speeds, 10.0, count=50)
    assert taken(speeds, 1.0, count=100)[MINI.id] == pytest.approx(1.0, rel=0.05)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0.0, 1e6)), min_size=LEAST_SEEN, max_size=40))
def test_no_answer_makes_a_model_endlessly_slow_or_fast(answers: list[tuple[int, float]]) -> None:
    speeds = Speeds()
    for tokens, seconds in answers:
        speeds.note(MINI, tokens, seconds)
    assert 0.04 < speeds.slowness(MODELS)[MINI.id] < 21


def test_a_slow_reader_of_a_stream_says_nothing_of_the_model() -> None:
    speeds = Speeds()
    for _ in range(LEAST_SEEN):
        speeds.note(MINI, 400, 60.0, reader_s=55.0)
    assert speeds.slowness(MODELS) == {}
    for _ in range(LEAST_SEEN):
        speeds.note(MINI, 400, 60.0, reader_s=0.5)
    assert speeds.slowness(MODELS)[MINI.id] > 1


def test_a_deadline_counts_with_what_is_known_of_the_models_speed() -> None:
    def chosen(slowness: dict[str, float]) -> tuple[str, float]:
        demand = Demand(input_tokens=20, slowness=slowness)
        made = decide(**ask(catalog=LADDER, demand=demand, wishes=Wishes(quality=1.0, max_latency_s=15.0))).chosen
        return made.model, made.expected_latency_s

    usual, slow = chosen({}), chosen(dict.fromkeys(MODELS, 4.0))
    assert usual[1] <= 15.0
    assert slow[1] <= 15.0
    assert slow != usual
