"""What a fake provider is to say: an honest answer, or one of the ways in which real ones go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """Ways to break an answer. In a stream they happen after `Answer.fault_after` chunks of text."""

    NONE = "none"
    RESET = "reset"  # the connection is torn down
    TRUNCATE = "truncate"  # the answer ends in the middle, politely
    BAD_UTF8 = "bad_utf8"
    GARBAGE = "garbage"  # text that is not JSON
    HTML = "html"  # a web page, as from a wrong URL or a proxy
    EMPTY = "empty"  # a 200 without a body
    STALL = "stall"  # nothing more comes until the test is over
    ERROR_EVENT = "error_event"  # an error object in the middle of a stream, or inside a 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One scripted answer.

    Attributes:
        text: what the model says; in a stream, one chunk for each word.
        thinking: what it thinks before, shown as `reasoning_content` or as a thinking block.
        tool_calls: the calls that it makes, as (name, JSON arguments).
        finish_reason: in OpenAI's words.
        status: the HTTP status; from 400 on, `error` is the body.
        error: the error object of a status or of Fault.ERROR_EVENT.
        headers: extra headers of the answer, for example `{"Retry-After": "7"}`.
        input_tokens, output_tokens, reasoning_tokens, cached_tokens: what is billed; None counts the words.
        usage: False: none is reported (and still billed); a mapping: this lie is reported instead.
        fault, fault_after: what goes wrong, and after how many chunks of a stream.
        split: cut the bytes into pieces of this size, each one written by itself; 0 writes whole events.
        gate: wait for this event before the first byte; between: before each further chunk of a stream.
    """

    text: str = "The answer is 42."
    thinking: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str = "stop"
    status: int = 200
    error: Mapping[str, Any] = field(default_factory=lambda: {"message": "scripted", "type": "server_error"})
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    usage: bool | Mapping[str, Any] = True
    fault: Fault = Fault.NONE
    fault_after: int = 1
    split: int = 0
    gate: asyncio.Event | None = None
    between: asyncio.Event | None = None

    @property
    def chunks(self) -> list[str]:
        """The text in pieces that give it back when joined."""
        words = self.text.split(" ")
        return [word if last else f"{word} " for word, last in zip(words, _last(words), strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one answer costs: tokens, as counted here, and nano-dollars at the fake's prices."""

    input: int
    output: int
    reasoning: int | None
    cached: int | None
    nano: int


def _last(words: list[str]) -> list[bool]:
    return [False] * (len(words) - 1) + [True]
