"""Thinking that a client sends back with its history, and a history without it. Pure.

Blocks of thinking are signed for, or only understood by, the model that made them; another model refuses them or takes
them for text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

# Where clients keep thinking in an assistant's message: LiteLLM and Anthropic's blocks, DeepSeek and vLLM, OpenRouter.
_FIELDS = frozenset({"thinking_blocks", "reasoning_content", "reasoning", "reasoning_details"})


def carries_thinking(request: Mapping[str, Any]) -> bool:
    """Whether any earlier answer is sent back with its thinking."""
    messages = cast("list[dict[str, Any]]", request["messages"])
    return len(messages) > 1 and any(not _FIELDS.isdisjoint(message) for message in messages)


def without_thinking(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with earlier answers as they read without their thinking."""
    messages = cast("list[dict[str, Any]]", request["messages"])
    stripped = [{name: value for name, value in message.items() if name not in _FIELDS} for message in messages]
    return {**request, "messages": stripped}
