from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.allowance import granted, predicted, spread
from policies.candidates import allowances
from policies.catalog import Catalog
from policies.decide import decide
from policies.policy import Policy
from policies.quality import curve_for, need_tokens
from policies.types import Control, Demand, Reasoning, Wishes
from tests.policies.ladders import ALWAYS, BUDGET, EFFORTS, OPUS, PROOF, SUM, ask, dials


def test_the_ninetieth_percentile_is_twice_the_median():
    assert spread(0.5) == pytest.approx(1.0)
    assert spread(0.9) == pytest.approx(2.0)
    assert predicted(1000, 0.9) == 2000


def named(**changes: object):
    return ask(demand=Demand(input_tokens=20, model="claude-opus"), wishes=Wishes(quality=1.0), **changes)


def test_a_model_that_takes_tokens_is_granted_what_the_question_is_predicted_to_take():
    hard, easy = decide(**named()).plan[0], decide(**named(forecast=SUM)).plan[0]
    assert hard.allowance == predicted(need_tokens(PROOF.difficulty, curve_for("mathematics")), 0.95)
    assert easy.allowance <= 1024
    assert hard.worst_cost_nano > easy.worst_cost_nano


def test_a_higher_quantile_grants_more():
    careful = decide(**named(policy=Policy(thinking_quantile=0.99))).plan[0]
    assert careful.allowance > decide(**named()).plan[0].allowance


def test_a_model_known_to_think_long_is_granted_more():
    long = replace(OPUS, reasoning=replace(OPUS.reasoning, thinking_factor=2.0))
    usual = decide(**named()).plan[0]
    doubled = decide(**named(catalog=Catalog([long]))).plan[0]
    assert doubled.allowance == pytest.approx(2 * usual.allowance, abs=2)
    assert doubled.expected_cost_nano > usual.expected_cost_nano


def test_the_least_budget_of_a_model_is_kept_when_less_would_suffice():
    greedy = replace(OPUS, reasoning=replace(BUDGET, min_tokens=8000, can_disable=False))
    assert decide(**named(catalog=Catalog([greedy]), forecast=SUM)).plan[0].allowance == 8000


@pytest.mark.parametrize(
    ("dial", "asked", "tokens", "level", "said"),
    [
        (EFFORTS, 4096, 4096, "medium", ""),
        (EFFORTS, 5000, 4096, "medium", "5,000 tokens of thinking rounded down to 4,096 (medium)"),
        (EFFORTS, 0, 0, "minimal", ""),
        (BUDGET, 5000, 5000, None, ""),
        (BUDGET, 500, 0, None, "500 tokens of thinking rounded down to 0"),
        (BUDGET, 200_000, 131_072, None, "200,000 tokens of thinking rounded down to 131,072"),
        (ALWAYS, 0, 8192, None, "0 tokens of thinking asked for; 8,192 is the least that the model can do"),
        (Reasoning(), 4096, 0, None, "4,096 tokens of thinking rounded down to 0"),
    ],
)
def test_what_a_model_cannot_honour_is_rounded_and_the_rounding_told(
    dial: Reasoning, asked: int, tokens: int, level: str | None, said: str
):
    grant = granted(dial, asked)
    assert (grant.tokens, grant.level, grant.note) == (tokens, level, said)


def test_a_soft_cap_is_called_advisory():
    assert granted(EFFORTS, 4096).advisory
    assert not granted(EFFORTS, 0).advisory
    assert not granted(BUDGET, 4096).advisory


@given(dials(), st.integers(0, 200_000))
def test_a_grant_exceeds_what_was_asked_only_where_the_model_cannot_do_less(dial: Reasoning, asked: int):
    grant = granted(dial, asked)
    if grant.tokens > asked:
        assert grant.tokens == allowances(dial)[0]
        assert "the least" in grant.note
    assert (grant.note == "") == (grant.tokens == asked)
    assert dial.control is not Control.NONE or grant.tokens == 0


def test_a_model_whose_largest_budget_is_less_than_the_question_takes_is_granted_its_largest_step():
    small = replace(OPUS, reasoning=replace(BUDGET, max_tokens=4096))
    assert decide(**named(catalog=Catalog([small]))).plan[0].allowance == 4096
