"""What an answer amounts to: reads OpenAI's chat format, whole or chunk by chunk, and changes nothing."""

from __future__ import annotations

from typing import Any

from router.upstream.types import Usage
from router.upstream.usage import NOT_REPORTED, merge, read_openai

# Where producers of OpenAI's format put thinking: DeepSeek, vLLM and LiteLLM the first; OpenRouter and Groq
# the second.
_THINKING_FIELDS = ("reasoning_content", "reasoning")


class Tally:
    """Running account of one answer, good at any moment: when a client goes away, for example.

    Attributes:
        usage: what the provider has reported so far.
        finish_reason: of the first choice, or None while it is open.
        model: the model that the provider says it serves. id, created: the answer's own.
        text_chars, thinking_chars, tool_chars: characters produced, over all choices. wide: how many bytes more than
            characters they are in UTF-8.
        chunks: events seen.
    """

    __slots__ = (
        "_finished",
        "chunks",
        "created",
        "finish_reason",
        "id",
        "model",
        "refused",
        "text_chars",
        "thinking_chars",
        "tool_chars",
        "usage",
        "wide",
    )

    def __init__(self) -> None:
        self.usage: Usage = NOT_REPORTED
        self.finish_reason: str | None = None
        self.model: str | None = None
        self.id: object = None
        self.created: object = None
        self.text_chars = 0
        self.thinking_chars = 0
        self.tool_chars = 0
        self.wide = 0
        self.chunks = 0
        self.refused = False
        self._finished: set[int] = set()

    @property
    def output_chars(self) -> int:
        """All characters produced, thinking included."""
        return self.text_chars + self.thinking_chars + self.tool_chars

    @property
    def output_bytes(self) -> int:
        """The same in UTF-8, whose bytes tell more of the tokens than characters do."""
        return self.output_chars + self.wide

    @property
    def empty(self) -> bool:
        """Whether nothing has been produced that a user could read or a tool could run."""
        return not (self.text_chars or self.tool_chars or self.refused)

    @property
    def choices_finished(self) -> int:
        """How many choices have given a finish reason."""
        return len(self._finished)

    def open_choices(self, choices: int) -> list[int]:
        """Those of so many choices that have given no finish reason yet."""
        return [index for index in range(choices) if index not in self._finished]

    def reply(self, body: dict[str, Any]) -> None:
        """Read a whole `chat.completion`, as it was parsed."""
        self._read(body, "message")

    def chunk(self, chunk: dict[str, Any]) -> None:
        """Read one `chat.completion.chunk`, as it was parsed."""
        self.chunks += 1
        self._read(chunk, "delta")

    def _read(self, body: dict[str, Any], part: str) -> None:
        if report := body.get("usage"):
            self.usage = merge(self.usage, read_openai(report))
        if self.model is None and isinstance(model := body.get("model"), str):
            self.model, self.id, self.created = model, body.get("id"), body.get("created")
        choices: Any = body.get("choices")
        listed: list[object] = choices if isinstance(choices, list) else []
        for position, choice in enumerate(listed):
            if isinstance(choice, dict):
                self._choice(choice, part, position)

    def _choice(self, choice: dict[str, Any], part: str, position: int) -> None:
        if isinstance(message := choice.get(part), dict):
            self._message(message)
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            index = choice.get("index")
            index = index if isinstance(index, int) else position
            self._finished.add(index)
            if index == 0 or self.finish_reason is None:
                self.finish_reason = reason

    def _message(self, message: dict[str, Any]) -> None:
        content = message.get("content")
        if isinstance(content, str):
            self.text_chars += len(content)
            self.wide += 0 if content.isascii() else _wide(content)
        else:
            self.text_chars += _parts_chars(content)
        if len(message) == 1 and content:  # most chunks say some text and nothing else
            return
        for name in _THINKING_FIELDS:
            if isinstance(thinking := message.get(name), str) and thinking:
                self.thinking_chars += len(thinking)
                self.wide += _wide(thinking)
                break
        if isinstance(calls := message.get("tool_calls"), list):
            self.tool_chars += sum(_call_chars(call) for call in calls)
            self.wide += sum(_call_wide(call) for call in calls)
        if message.get("refusal") or message.get("audio"):
            self.refused = True


def _parts_chars(content: object) -> int:
    """Characters of a content that comes as a list of parts, as Mistral's thinking models send it."""
    if not isinstance(content, list):
        return 0
    return sum(len(text) for part in content if isinstance(part, dict) and isinstance(text := part.get("text"), str))


def _wide(text: str) -> int:
    return len(text.encode(errors="replace")) - len(text)


def _call_chars(call: object) -> int:
    return sum(len(words) for words in _call_words(call))


def _call_wide(call: object) -> int:
    return sum(_wide(words) for words in _call_words(call))


def _call_words(call: object) -> list[str]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return []
    return [value for name in ("name", "arguments") if isinstance(value := function.get(name), str)]
