"""The allowance's arithmetic: rounding, ceilings, reserves and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.types import Control, Reasoning
from router.errors import InvalidRequest, NotAvailable, UpstreamRejected
from router.upstream.reasoning import ANSWER_RESERVE_TOKENS, EFFORT_TOKENS, FAMILIES, ceiling, grant

CLAUDE = Reasoning(
    family="anthropic-budget", control=Control.TOKENS, min_tokens=1_024, max_tokens=63_999, hard_cap=True
)
GPT = Reasoning(
    family="openai-effort",
    control=Control.LEVELS,
    levels=(("minimal", 256), ("low", 1_024), ("medium", 4_096), ("high", 16_384)),
    can_disable=False,
)
FREE = Reasoning(
    family="openai-effort-or-tools",
    control=Control.LEVELS,
    levels=(("none", 0), ("low", 1_024), ("high", 16_384)),
)
ALWAYS_ADAPTIVE = Reasoning(
    family="anthropic-adaptive", control=Control.LEVELS, levels=(("low", 1_024),), can_disable=False
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def test_an_allowance_is_rounded_down_to_a_level_and_says_so() -> None:
    granted = grant(GPT, allowance=5_000, max_tokens=10_000)
    assert granted.params == {"reasoning_effort": "medium"}
    assert granted.tokens == 4_096
    assert not granted.hard
    assert granted.notes == (
        "5000 tokens rounded down to medium (about 4096)",
        "advisory: only max_tokens is enforced",
    )


def test_a_model_that_cannot_stop_thinking_gets_its_least_and_says_so() -> None:
    granted = grant(GPT, allowance=0, max_tokens=1_000)
    assert granted.params == {"reasoning_effort": "minimal"}
    assert "raised to minimal" in granted.notes[0]


def test_a_budget_keeps_room_for_the_answer() -> None:
    granted = grant(CLAUDE, allowance=10_000, max_tokens=3_000)
    assert granted.params == {"thinking": {"type": "enabled", "budget_tokens": 3_000 - ANSWER_RESERVE_TOKENS}}


def test_a_budget_under_the_least_becomes_none() -> None:
    granted = grant(CLAUDE, allowance=10_000, max_tokens=1_000)
    assert granted.params == {}
    assert granted.tokens == 0
    assert granted.hard


def test_max_tokens_is_cut_to_the_models_output() -> None:
    granted = grant(CLAUDE, allowance=0, max_tokens=100_000, max_output=64_000)
    assert granted.max_tokens == 64_000
    assert "limit of 64000" in granted.notes[0]


def test_a_forced_tool_turns_claudes_thinking_off() -> None:
    body = {"tool_choice": {"type": "function", "function": {"name": "f"}}, "tools": [TOOL]}
    granted = grant(CLAUDE, allowance=4_096, max_tokens=8_000, body=body)
    assert granted.params == {}
    assert "tool_choice" in granted.notes[0]


def test_a_forced_tool_is_refused_by_a_claude_that_always_thinks() -> None:
    with pytest.raises(UpstreamRejected) as caught:
        grant(ALWAYS_ADAPTIVE, allowance=4_096, max_tokens=8_000, body={"tool_choice": "required"})
    assert caught.value.param == "tool_choice"


def test_function_tools_turn_the_reasoning_of_the_later_gpts_off() -> None:
    granted = grant(FREE, allowance=16_384, max_tokens=20_000, body={"tools": [TOOL]})
    assert granted.params == {"reasoning_effort": "none"}
    assert granted.omit == frozenset()


def test_a_model_without_a_dial_is_sent_none() -> None:
    granted = grant(Reasoning(), allowance=4_096, max_tokens=8_000)
    assert (granted.params, granted.extra, granted.tokens) == ({}, {}, 0)
    assert granted.hard


def test_a_family_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(NotAvailable, match="openai-effort"):
        grant(Reasoning(family="opanai-effort"), allowance=0, max_tokens=100)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, None),
        ({"reasoning_effort": None}, None),
        ({"reasoning_effort": "none"}, 0),
        ({"reasoning_effort": "high"}, 16_384),
        ({"reasoning": {"effort": "low"}}, 1_024),
        ({"reasoning": {"max_tokens": 777}}, 777),
        ({"reasoning": {"enabled": False}}, 0),
        ({"reasoning": {"enabled": True, "exclude": True}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2_000}}, 2_000),
        ({"thinking": {"type": "adaptive"}}, 131_072),
        ({"thinking": {"type": "disabled"}}, 0),
        ({"enable_thinking": False}, 0),
        ({"enable_thinking": True, "thinking_budget": 500}, 500),
        ({"reasoning_effort": "high", "thinking": {"type": "enabled", "budget_tokens": 100}}, 100),
    ],
)
def test_a_clients_dial_is_a_ceiling_in_tokens(body: dict[str, Any], tokens: int | None) -> None:
    assert ceiling(body) == tokens


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": []}}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": -1}}, "reasoning.max_tokens"),
        ({"reasoning": {"max_tokens": True}}, "reasoning.max_tokens"),
        ({"thinking": {"type": "loud"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": "9"}}, "thinking.budget_tokens"),
        ({"enable_thinking": "yes"}, "enable_thinking"),
    ],
)
def test_a_dial_that_is_none_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ceiling(body)
    assert caught.value.param == param


def test_a_clients_effort_comes_back_as_the_same_effort() -> None:
    for effort, tokens in EFFORT_TOKENS.items():
        levels = tuple(EFFORT_TOKENS.items())
        dial = Reasoning(family="openai-effort", control=Control.LEVELS, levels=levels)
        granted = grant(dial, allowance=131_072, max_tokens=200_000, body={"reasoning_effort": effort})
        assert granted.params == {"reasoning_effort": effort}
        assert granted.tokens == tokens


_LEVELS = tuple(EFFORT_TOKENS.items())


@st.composite
def _dials(draw: st.DrawFn) -> Reasoning:
    control = draw(st.sampled_from(Control))
    first = draw(st.integers(0, 3))
    least = draw(st.integers(0, 2_000))
    return Reasoning(
        family=draw(st.sampled_from(sorted(FAMILIES))),
        control=control,
        levels=_LEVELS[first:],
        min_tokens=least,
        max_tokens=draw(st.integers(least, 200_000)),
        can_disable=draw(st.booleans()) if control is not Control.NONE else True,
    )


@given(
    reasoning=_dials(),
    allowance=st.integers(0, 200_000),
    max_tokens=st.integers(1, 200_000),
    effort=st.one_of(st.none(), st.sampled_from(sorted(EFFORT_TOKENS))),
)
def test_what_is_granted_exceeds_neither_allowance_nor_ceiling_nor_room(
    reasoning: Reasoning, allowance: int, max_tokens: int, effort: str | None
) -> None:
    body = {} if effort is None else {"reasoning_effort": effort}
    try:
        granted = grant(reasoning, allowance=allowance, max_tokens=max_tokens, body=body)
    except UpstreamRejected:
        assert not reasoning.can_disable
        return
    least = reasoning.levels[0][1] if reasoning.control is Control.LEVELS else reasoning.min_tokens
    floor = 0 if reasoning.can_disable else least
    bound = min(allowance, EFFORT_TOKENS[effort] if effort else allowance)
    assert granted.tokens <= max(floor, bound)
    assert granted.tokens <= max(floor, max_tokens - ANSWER_RESERVE_TOKENS, 0)
    assert granted.max_tokens <= max_tokens


@given(reasoning=_dials(), allowances=st.tuples(st.integers(0, 200_000), st.integers(0, 200_000)))
def test_more_allowance_never_grants_less(reasoning: Reasoning, allowances: tuple[int, int]) -> None:
    less, more = sorted(allowances)
    first = grant(reasoning, allowance=less, max_tokens=400_000)
    second = grant(reasoning, allowance=more, max_tokens=400_000)
    assert first.tokens <= second.tokens
