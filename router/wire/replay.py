"""Answers kept and told again: a stream put together into one completion, and a completion told as a stream. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

# A finish other than this is a partial answer, a refusal or a tool call: none of them is anybody else's answer.
WHOLE = "stop"
# A replayed answer comes in pieces about as long as a sentence, as clients expect of a stream.
PIECE_CHARS = 80


def worth_keeping(completion: bytes, finish_reason: str | None) -> bool:
    """Whether a completion may be an equal request's answer: finished, with text, and without tool calls or refusal."""
    if finish_reason != WHOLE:
        return False
    choices = orjson.loads(completion).get("choices") or []
    message = choices[0].get("message") or {} if len(choices) == 1 else {}
    content = message.get("content")  # text; parts are told by few providers, and replayed by nobody
    return bool(content) and isinstance(content, str) and not message.get("tool_calls") and not message.get("refusal")


class Recorder:
    """Collects a stream's frames, up to a limit, and makes the completion of them.

    Args:
        limit: bytes that are kept at most; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._frames: list[bytes] = []

    def add(self, frames: bytes) -> None:
        """Keep some frames, unless the limit is reached: then all are dropped."""
        if self._left <= 0:
            return
        self._left -= len(frames)
        if self._left > 0:
            self._frames.append(frames)
        else:
            self._frames.clear()

    @property
    def frames(self) -> bytes | None:
        """All frames as they came, or None where they are too many or none."""
        return b"".join(self._frames) if self._left > 0 and self._frames else None

    def completion(self, usage: Mapping[str, Any]) -> bytes | None:
        """The whole answer as a `chat.completion`, or None where it is not to be kept."""
        if not self._frames or self._left <= 0:
            return None
        events = [event.removeprefix(b"data: ") for event in b"".join(self._frames).split(b"\n\n") if event]
        try:
            chunks: list[dict[str, Any]] = [orjson.loads(event) for event in events]
        except orjson.JSONDecodeError:  # the client had it as it came; nobody else shall
            return None
        choices = _choices(chunks)
        message = _message(choices)
        finish = next((choice["finish_reason"] for choice in choices if choice.get("finish_reason")), None)
        if message is None or finish != WHOLE:
            return None
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        head = {name: chunks[0].get(name) for name in ("id", "created", "model", "system_fingerprint")}
        return orjson.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


def _choices(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    listed: list[Any] = [chunk.get("choices") for chunk in chunks]
    return [choice for choices in listed if isinstance(choices, list) for choice in choices if isinstance(choice, dict)]


def _message(choices: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The assistant's message, or None where it is not plain text by one choice."""
    text: list[str] = []
    thinking: list[str] = []
    for choice in choices:
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict) or choice.get("index", 0) != 0:
            return None
        if delta.get("tool_calls") or delta.get("refusal"):
            return None
        said, thought_of = delta.get("content") or "", delta.get("reasoning_content") or ""
        if not (isinstance(said, str) and isinstance(thought_of, str)):
            return None
        text.append(said)
        thinking.append(thought_of)
    content = "".join(text)
    if not content:
        return None
    thought = {"reasoning_content": "".join(thinking)} if any(thinking) else {}
    return {"role": "assistant", "content": content, **thought}


def chunks_of(completion: Mapping[str, Any]) -> Iterator[bytes]:
    """The payloads of a stream that tells this completion: role, text in pieces, finish."""
    choice = completion["choices"][0]
    content = str(choice["message"]["content"])
    yield _chunk(completion, {"role": "assistant", "content": ""}, None)
    for start in range(0, len(content), PIECE_CHARS):
        yield _chunk(completion, {"content": content[start : start + PIECE_CHARS]}, None)
    yield _chunk(completion, {}, choice["finish_reason"])


def _chunk(completion: Mapping[str, Any], delta: Mapping[str, str], finish: str | None) -> bytes:
    head = {name: completion.get(name) for name in ("id", "created", "model")}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return orjson.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]})


def completion_with(completion: bytes, extension: Mapping[str, Any]) -> bytes:
    """The completion with Rung's own object in it."""
    return orjson.dumps({**orjson.loads(completion), "rung": extension})
