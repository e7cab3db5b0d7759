"""Token counts out of what providers report, brought to one meaning: parts lie inside their totals.

Reasoning tokens are inside the output for OpenAI and Anthropic, and beside it for Gemini and xAI; Anthropic
counts cached tokens beside its input, everybody else inside. A field that is absent, null, no count or too
large for one stays None: "not reported" is not zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.upstream.types import Usage

NOT_REPORTED = Usage()
# Far above every context window times every number of choices; what is more is no count, and no book holds its price.
MOST_TOKENS = 10**9


def read_openai(report: object) -> Usage:
    """A `usage` of OpenAI's chat format, and of those who say that they speak it.

    Some of them (xAI) count thinking beside `completion_tokens`. They show it: their total is the sum of all
    three, or there is more thinking than completion.
    """
    if not isinstance(report, Mapping):
        return NOT_REPORTED
    given, made = _count(report, "prompt_tokens"), _count(report, "completion_tokens")
    details = report.get("completion_tokens_details")
    reasoning = _first(_count(details, "reasoning_tokens"), _count(report, "reasoning_tokens"))
    prompt_details = report.get("prompt_tokens_details")
    return Usage(
        input=given,
        cached_read=_first(_count(prompt_details, "cached_tokens"), _count(report, "prompt_cache_hit_tokens")),
        cached_write=_first(
            _count(prompt_details, "cache_write_tokens"), _count(prompt_details, "cache_creation_tokens")
        ),
        output=_with_reasoning(made, reasoning, given, _count(report, "total_tokens")),
        reasoning=reasoning,
    )


def read_anthropic(report: object) -> Usage:
    """A `usage` of Anthropic's format: cached tokens stand beside the input, thinking inside the output."""
    if not isinstance(report, Mapping):
        return NOT_REPORTED
    fresh = _count(report, "input_tokens")
    read, written = _count(report, "cache_read_input_tokens"), _count(report, "cache_creation_input_tokens")
    return Usage(
        input=None if fresh is None else fresh + (read or 0) + (written or 0),
        cached_read=read,
        cached_write=written,
        output=_count(report, "output_tokens"),
        reasoning=_count(report.get("output_tokens_details"), "thinking_tokens"),
    )


def read_gemini(report: object) -> Usage:
    """A `usageMetadata` of Gemini's: thinking stands beside the answer, tool results beside the prompt."""
    if not isinstance(report, Mapping):
        return NOT_REPORTED
    prompt, answer = _count(report, "promptTokenCount"), _count(report, "candidatesTokenCount")
    thoughts = _count(report, "thoughtsTokenCount")
    return Usage(
        input=None if prompt is None else prompt + (_count(report, "toolUsePromptTokenCount") or 0),
        cached_read=_count(report, "cachedContentTokenCount"),
        output=None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0),
        reasoning=thoughts,
    )


def merge(earlier: Usage, later: Usage) -> Usage:
    """What a stream has reported so far: a later count replaces the earlier one, silence replaces nothing."""
    return Usage(
        input=_first(later.input, earlier.input),
        cached_read=_first(later.cached_read, earlier.cached_read),
        cached_write=_first(later.cached_write, earlier.cached_write),
        output=_first(later.output, earlier.output),
        reasoning=_first(later.reasoning, earlier.reasoning),
    )


def _with_reasoning(made: int | None, reasoning: int | None, given: int | None, total: int | None) -> int | None:
    """The whole output, whether the provider counts thinking inside `made` or beside it."""
    if made is None or not reasoning:
        return made
    beside = reasoning > made or (given is not None and total == given + made + reasoning)
    return made + reasoning if beside else made


def _count(report: object, name: str) -> int | None:
    if report is None:  # most reports have no details; asking for what a mapping is takes longer than the rest
        return None
    value = report.get(name) if isinstance(report, Mapping) else None
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _first(first: int | None, second: int | None) -> int | None:
    return second if first is None else first
