from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.declared import InvalidPolicy, Mistake, parse
from policies.policy import DEFAULT
from policies.quality import CURVES, Curve
from tests.policies.ladders import USD


def test_an_empty_policy_is_the_default():
    assert parse({}) == DEFAULT


def test_every_knob_can_be_set_and_dollars_are_exact():
    policy = parse(
        {
            "version": "2026-11",
            "value_usd": {"at_0": "0.001", "at_1": 2},
            "tolerance": 0.05,
            "answer_cap": 2048,
            "answer_cap_factor": 3,
            "max_attempts": 2,
            "fallback_hold_usd": 0.5,
            "fallback_hold_factor": 3,
            "thinking_quantile": 0.9,
            "explore_extra_usd": 0.000000001,
            "curves": {"logic": {"gain": 3}, "chess": {"gain": 2.0, "floor_tokens": 500, "tokens": 1.5}},
        }
    )
    assert (policy.version, policy.max_attempts, policy.answer_cap) == ("2026-11", 2, 2048)
    assert (policy.value_at_0_nano, policy.value_at_1_nano) == (USD // 1000, 2 * USD)
    assert policy.explore_extra_nano == 1
    assert (policy.fallback_hold_nano, policy.fallback_hold_factor) == (USD // 2, 3)
    assert policy.curves["logic"] == Curve(gain=3.0)
    assert policy.curves["chess"] == Curve(gain=2.0, floor_tokens=500, tokens=1.5)
    assert policy.curves["coding"] == CURVES["coding"]


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ([], r"policy: must be a mapping"),
        ({"tolerence": 0.1}, r"tolerence: is not a setting; did you mean `tolerance`"),
        ({"xyz": 0.1}, r"xyz: is not a setting; known are answer_cap"),
        ({"tolerance": 2}, r"tolerance: must be a number from 0 to 1, not 2"),
        ({"tolerance": "much"}, r"tolerance: must be a number"),
        ({"tolerance": True}, r"tolerance: must be a number"),
        ({"tolerance": float("nan")}, r"tolerance: must be a number"),
        ({"tolerance": None}, r"tolerance: must be a number"),
        ({"answer_cap": 20.5}, r"answer_cap: must be a whole number"),
        ({"thinking_quantile": 1}, r"thinking_quantile: must be a number strictly between 0 and 1"),
        ({"version": 3}, r"version: must be a text in quotes"),
        ({"value_usd": 3}, r"value_usd: must be a mapping"),
        ({"value_usd": {"at_0": 5, "at_1": 1}}, r"value_usd.at_1: must not be below at_0"),
        ({"curves": 1}, r"curves: must be a mapping"),
        ({"curves": {"logic": 1}}, r"curves.logic: must be a mapping"),
        ({"curves": {"logic": {}}}, r"curves.logic: needs a `gain`"),
        ({"curves": {"logic": {"gain": "x"}}}, r"curves.logic.gain: must be a number"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_its_remedy(declared: Any, said: str):
    with pytest.raises(InvalidPolicy, match=said) as refused:
        parse(declared)
    assert len(refused.value.mistakes) == 1


def test_all_mistakes_are_told_at_once():
    with pytest.raises(InvalidPolicy) as refused:
        parse({"tolerance": -1, "max_attempts": 0, "curves": {"a": {}, "b": {"gian": 1}}})
    assert [m.path for m in refused.value.mistakes] == [
        ("tolerance",),
        ("max_attempts",),
        ("curves", "a"),
        ("curves", "b", "gian"),
        ("curves", "b"),
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["tolerance", "curves", "gain", "version", "value_usd", "at_0", "z"]), inner
            )
        ),
        max_leaves=6,
    )
)
def test_whatever_is_declared_is_either_a_policy_or_named_as_wrong(declared: Any):
    mistakes: tuple[Mistake, ...] = ()
    policy = DEFAULT
    try:
        policy = parse(declared)
    except InvalidPolicy as refused:
        mistakes = refused.mistakes
    assert mistakes or (isinstance(declared, dict) and policy.value_at_0_nano <= policy.value_at_1_nano)
