"""Reading usage: every provider's habit, brought to one meaning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.upstream.types import Usage
from router.upstream.usage import merge, read_anthropic, read_gemini, read_openai


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(input=10, output=5)),
        ({"prompt_tokens": 10, "completion_tokens": 0}, Usage(input=10, output=0)),
        ({"prompt_tokens": 10}, Usage(input=10)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 50,
                "total_tokens": 60,
                "completion_tokens_details": {"reasoning_tokens": 40},
                "prompt_tokens_details": {"cached_tokens": 8},
            },
            Usage(input=10, output=50, reasoning=40, cached_read=8),
        ),
        (  # xAI: thinking beside the completion, shown by the total
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 55,
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(input=10, output=45, reasoning=40),
        ),
        (  # more thinking than completion, and no total: it can only stand beside
            {"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 40}},
            Usage(output=45, reasoning=40),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 0}},
            Usage(input=9, output=5, reasoning=0),
        ),
        (  # DeepSeek
            {"prompt_tokens": 9, "completion_tokens": 5, "prompt_cache_hit_tokens": 4},
            Usage(input=9, output=5, cached_read=4),
        ),
        ({"prompt_tokens": None, "completion_tokens": -3}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": "5"}, Usage()),
        ({"prompt_tokens": 1.5, "completion_tokens": float("nan")}, Usage()),
        ({"prompt_tokens_details": "x", "completion_tokens_details": None}, Usage()),
        (None, Usage()),
        ([], Usage()),
    ],
)
def test_openais_usage(report: object, expected: Usage) -> None:
    assert read_openai(report) == expected


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"input_tokens": 10, "output_tokens": 5}, Usage(input=10, output=5)),
        (
            {
                "input_tokens": 10,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 1_000,
                "output_tokens": 5,
            },
            Usage(input=1_110, cached_read=100, cached_write=1_000, output=5),
        ),
        (
            {"input_tokens": 10, "cache_read_input_tokens": 0, "output_tokens": 5},
            Usage(input=10, cached_read=0, output=5),
        ),
        (
            {"input_tokens": 1, "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 80}},
            Usage(input=1, output=90, reasoning=80),
        ),
        ({"output_tokens": 5}, Usage(output=5)),
        ("nothing", Usage()),
    ],
)
def test_anthropics_usage(report: object, expected: Usage) -> None:
    assert read_anthropic(report) == expected


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"promptTokenCount": 10, "candidatesTokenCount": 5}, Usage(input=10, output=5)),
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 40},
            Usage(input=10, output=45, reasoning=40),
        ),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 40}, Usage(input=10, output=40, reasoning=40)),
        (
            {"promptTokenCount": 10, "cachedContentTokenCount": 6, "toolUsePromptTokenCount": 3},
            Usage(input=13, cached_read=6),
        ),
        ({}, Usage()),
        (None, Usage()),
    ],
)
def test_geminis_usage(report: object, expected: Usage) -> None:
    assert read_gemini(report) == expected


def test_a_usage_is_reported_when_both_sides_are_there_and_a_zero_is_a_report() -> None:
    assert Usage(input=0, output=0).reported
    assert not Usage(input=3).reported
    assert not Usage(output=3).reported


def test_later_reports_replace_earlier_ones_and_silence_replaces_nothing() -> None:
    assert merge(Usage(input=9, output=1), Usage(output=7)) == Usage(input=9, output=7)
    assert merge(Usage(input=9, output=1), Usage(output=0)) == Usage(input=9, output=0)


_COUNTS = st.one_of(st.none(), st.integers(-5, 10_000), st.booleans(), st.floats(), st.text(max_size=3))


@given(
    report=st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": _COUNTS,
            "completion_tokens": _COUNTS,
            "total_tokens": _COUNTS,
            "completion_tokens_details": st.one_of(
                _COUNTS, st.fixed_dictionaries({}, optional={"reasoning_tokens": _COUNTS})
            ),
        },
    )
)
def test_reasoning_lies_inside_the_output_whatever_is_reported(report: dict[str, Any]) -> None:
    usage = read_openai(report)
    if usage.output is not None:
        assert usage.output >= (usage.reasoning or 0)
