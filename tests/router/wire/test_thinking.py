"""Thinking in a history."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.thinking import carries_thinking, without_thinking

PLAIN: list[dict[str, Any]] = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b", "tool_calls": []},
    {"role": "user", "content": "c"},
]


@pytest.mark.parametrize("field", ["thinking_blocks", "reasoning_content", "reasoning", "reasoning_details"])
def test_a_history_reads_the_same_without_its_thinking(field: str) -> None:
    request = {"model": "auto", "messages": [PLAIN[0], {**PLAIN[1], field: "hm"}, PLAIN[2]]}
    assert carries_thinking(request)
    assert without_thinking(request) == {"model": "auto", "messages": PLAIN}
    assert field in request["messages"][1]


def test_a_plain_history_carries_none() -> None:
    assert not carries_thinking({"messages": PLAIN})
    assert not carries_thinking({"messages": PLAIN[:1]})
