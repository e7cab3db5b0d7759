from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.quality import (
    CURVES,
    PRIORS,
    UNKNOWN,
    Curve,
    curve_for,
    need_tokens,
    quality,
    success_without_head,
    thinking_tokens,
)

LOGIC, CODING = PRIORS["logic"], PRIORS["coding"]


def gain(kind: str, p0: float, difficulty: float, allowance: int = 16_384) -> float:
    return quality(p0, allowance, difficulty=difficulty, curve=curve_for(kind)) - p0


@pytest.mark.parametrize("kind", ["logic", "mathematics", "instruction_following"])
def test_effort_pays_for_logic_mathematics_and_instructions_and_hardly_for_code(kind: str):
    assert gain(kind, 0.6, 0.7) > 3 * gain("coding", 0.6, 0.7)
    assert 0 < gain("coding", 0.6, 0.7) < 0.07


def test_effort_pays_more_where_the_model_is_in_doubt_than_where_it_is_sure():
    assert gain("logic", 0.5, 0.7) > 5 * gain("logic", 0.97, 0.1)


def test_effort_does_not_pay_on_a_false_premise():
    assert gain("false_premise", 0.5, 0.5) == pytest.approx(0.0)


def test_a_trick_question_needs_much_thinking_although_it_looks_easy():
    trick = PRIORS["trick"]
    assert need_tokens(0.05, trick) == pytest.approx(4000)
    assert quality(0.46, 16_384, difficulty=0.05, curve=trick) == pytest.approx(0.69, abs=0.02)


@pytest.mark.parametrize(
    ("low", "medium"), [(0.911, 0.979), (0.645, 0.880), (0.230, 0.600)], ids=["medium", "large", "largest"]
)
def test_one_gain_in_odds_describes_what_zebralogic_shows_from_low_to_medium(low: float, medium: float):
    gained = Curve(gain=1.5)
    predicted = quality(low, 10**9, difficulty=0.5, curve=gained)
    assert predicted == pytest.approx(medium, abs=0.03)


def test_a_harder_question_takes_more_thinking_and_saturates_later():
    assert thinking_tokens(131_072, difficulty=0.0, curve=LOGIC) == 300
    assert thinking_tokens(131_072, difficulty=1.0, curve=LOGIC) == 6000
    early = quality(0.5, 1024, difficulty=0.1, curve=LOGIC) / quality(0.5, 131_072, difficulty=0.1, curve=LOGIC)
    late = quality(0.5, 1024, difficulty=1.0, curve=LOGIC) / quality(0.5, 131_072, difficulty=1.0, curve=LOGIC)
    assert early > late


def test_an_unknown_kind_gets_a_cautious_curve_and_a_known_alias_its_own():
    assert curve_for("poetry") is UNKNOWN
    assert curve_for("math") is CURVES["mathematics"]
    assert curve_for("logic", {"logic": CODING}) is CODING


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 131_072),
    st.integers(0, 131_072),
    st.sampled_from([*PRIORS]),
)
def test_more_thinking_never_lowers_quality_under_the_priors(p: float, d: float, a: int, b: int, kind: str):
    curve = curve_for(kind)
    low, high = (quality(p, x, difficulty=d, curve=curve) for x in sorted((a, b)))
    assert 0 < low <= high < 1


@given(st.integers(0, 131_072), st.floats(0, 1))
def test_expected_thinking_stays_within_the_allowance(allowance: int, difficulty: float):
    assert 0 <= thinking_tokens(allowance, difficulty=difficulty, curve=LOGIC) <= allowance


def test_a_model_without_a_head_is_as_good_as_its_ability_in_the_middle_and_better_below():
    assert success_without_head(0.7, 0.5) == pytest.approx(0.7)
    assert success_without_head(0.7, 0.1) > 0.9
    assert success_without_head(0.7, 0.9) < 0.3
