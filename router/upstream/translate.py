"""Answers in a provider's own format, turned into OpenAI's by LiteLLM's configurations.

`Verbatim` is for those who speak OpenAI's format already: it only checks. `Claude` is Anthropic's messages
format.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Protocol

import orjson

from router.upstream import engine, faults
from router.upstream.request import Wire
from router.upstream.tally import Tally
from router.upstream.usage import merge, read_anthropic

DONE = b"[DONE]"
# llama.cpp's server adds how fast it was to a whole answer. It is no part of OpenAI's format, and changes every time.
_LLAMA_TIMINGS = "timings"


class Translation(Protocol):
    """One answer's way into OpenAI's format. Stateful: one object for one answer."""

    def reply(self, raw: bytes, tally: Tally) -> bytes:
        """A whole answer as a `chat.completion`. Raises UpstreamError."""
        ...

    def event(self, payload: bytes, tally: Tally) -> bytes | None:
        """A payload as a `chat.completion.chunk`; None where nobody need see it. Raises UpstreamError."""
        ...

    @property
    def done(self) -> bool:
        """Whether the provider has said that the answer is complete."""
        ...


class Verbatim:
    """OpenAI's format: read, checked, and passed on byte by byte, but for the model's name.

    Args:
        name: of the model, for errors. alias: what answers shall call it; "": what the provider calls it.
    """

    def __init__(self, name: str, alias: str = "") -> None:
        self._name = name
        self._alias = alias
        self._known: object = None
        self._before = self._after = b""
        self.done = False

    def reply(self, raw: bytes, tally: Tally) -> bytes:
        """The bytes under our name. Raises UpstreamError where they are no `chat.completion`."""
        body = checked_reply(raw, self._name)
        tally.reply(body)
        if body.pop(_LLAMA_TIMINGS, None) is not None:
            raw = orjson.dumps(body)
        return self._renamed(raw, body)

    def _renamed(self, raw: bytes, body: dict[str, Any]) -> bytes:
        """The bytes with our name for the model.

        Every quote inside a JSON string has a backslash before it, so `"model":"..."` can only be a member. In all
        chunks of an answer it is written in one way.
        """
        model = body.get("model")
        if not self._alias or model == self._alias or not isinstance(model, str):
            return raw
        if model != self._known:
            self._known, name = model, orjson.dumps(model)
            gap = b"" if b'"model":' + name in raw else b" "
            self._before = b'"model":' + gap + name
            self._after = b'"model":' + gap + orjson.dumps(self._alias)
        renamed = raw.replace(self._before, self._after)
        return renamed if renamed != raw else orjson.dumps({**body, "model": self._alias})

    def event(self, payload: bytes, tally: Tally) -> bytes | None:
        """The payload under our name; None for the end mark and for the event that only carries usage."""
        if payload == DONE:
            self.done = True
            return None
        chunk = parsed(payload, self._name)
        if not isinstance(chunk.get("choices", []), list):
            raise faults.garbage(self._name, "a chunk whose choices are no list")
        tally.chunk(chunk)
        if not chunk.get("choices") and chunk.get("usage"):
            return None
        return self._renamed(payload if b"\n" not in payload else orjson.dumps(chunk), chunk)


class Claude:
    """Anthropic's messages format, by LiteLLM's own translation."""

    def __init__(self, wire: Wire, tool_names: dict[str, str] | None, *, json_mode: bool) -> None:
        engine.load()
        from litellm.llms.anthropic.chat.handler import ModelResponseIterator

        self._wire = wire
        self._name = wire.model.name
        self._json_mode = json_mode
        self._tool_names = tool_names
        self._events = ModelResponseIterator(
            streaming_response=None,
            sync_stream=False,
            json_mode=json_mode,
            tool_name_reverse_map=self._tool_names,
        )
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": wire.model.alias or wire.name,
        }
        self._begun = False
        self.done = False

    def reply(self, raw: bytes, tally: Tally) -> bytes:
        """A message as a `chat.completion`. Raises UpstreamError where it is none."""
        litellm = engine.load()
        message = parsed(raw, self._name)
        if not isinstance(message.get("content"), list) or "stop_reason" not in message:
            raise faults.garbage(self._name, "the reply is no message")
        usage = read_anthropic(message.get("usage"))
        # LiteLLM wants a usage to read; what is billed by is what was reported, and that has been read above.
        message["usage"] = {"input_tokens": 0, "output_tokens": 0}
        try:
            translated = self._wire.config.transform_parsed_response(
                completion_response=message,
                raw_response=SimpleNamespace(headers={}),
                model_response=litellm.ModelResponse(),
                json_mode=self._json_mode,
                tool_name_reverse_map=self._tool_names,
            ).model_dump(exclude_none=True)
        except Exception as error:  # noqa: BLE001 - LiteLLM raises whatever its reading runs into
            raise faults.garbage(self._name, f"the message cannot be read ({type(error).__name__})") from None
        translated.pop("usage", None)
        tally.reply(translated)
        translated["model"] = self._wire.model.alias or translated.get("model")
        tally.usage = usage
        if usage.reported:
            translated["usage"] = usage.as_openai()
        return orjson.dumps(translated)

    def event(self, payload: bytes, tally: Tally) -> bytes | None:
        """An event as a chunk; None for those that carry nothing for the client."""
        event = parsed(payload, self._name)
        kind = event.get("type")
        if kind == "message_stop":
            self.done = True
        self._read_usage(event, tally)
        if kind in {"ping", "message_stop", "content_block_stop"} and not self._json_mode:
            return None
        try:
            chunk = self._events.chunk_parser(event).model_dump(exclude_none=True)
        except Exception as error:  # noqa: BLE001 - LiteLLM raises whatever its parsing runs into
            raise faults.garbage(self._name, f"an event cannot be read ({type(error).__name__})") from None
        return self._chunk(chunk, tally)

    def _read_usage(self, event: Mapping[str, Any], tally: Tally) -> None:
        """`message_start` reports the input, `message_delta` the output so far."""
        message = event.get("message")
        if isinstance(message, Mapping):
            # Its output is a place-holder (1): whoever left before the end would pay for that one token alone.
            tally.usage = merge(tally.usage, replace(read_anthropic(message.get("usage")), output=None))
            if isinstance(model := message.get("model"), str) and not self._wire.model.alias:
                self._head["model"] = model
        elif event.get("usage"):
            tally.usage = merge(tally.usage, read_anthropic(event["usage"]))

    def _chunk(self, chunk: dict[str, Any], tally: Tally) -> bytes | None:
        chunk.pop("usage", None)
        choices = chunk.get("choices") or []
        if not any(_carries(choice) for choice in choices):
            return None
        for choice in choices:
            if not choice.get("finish_reason"):
                choice["finish_reason"] = None
            if not self._begun:
                choice["delta"] = {"role": "assistant"} | choice["delta"]
        self._begun = True
        whole = self._head | {"choices": choices}
        tally.chunk(whole)
        return orjson.dumps(whole)


def parsed(raw: bytes, name: str) -> dict[str, Any]:
    """The JSON object in these bytes. Raises UpstreamError for anything else, and for an error object."""
    try:
        value: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        page = not raw or raw.lstrip()[:1] == b"<"  # a proxy's, or nothing at all: no model has worked for it
        raise faults.garbage(name, _looks_like(raw), answered=not page) from None
    if not isinstance(value, dict):
        raise faults.garbage(name, "JSON, but no object")
    if error := value.get("error"):
        raise faults.from_event(error, name)
    return value


def checked_reply(raw: bytes, name: str) -> dict[str, Any]:
    """The `chat.completion` in these bytes. Raises UpstreamError where they are none."""
    reply = parsed(raw, name)
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices:
        raise faults.garbage(name, "a reply without choices")
    if not all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices):
        raise faults.garbage(name, "a choice without a message")
    return reply


def _carries(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    said = any(delta.get(name) for name in ("content", "tool_calls", "reasoning_content", "thinking_blocks"))
    return bool(said or choice.get("finish_reason"))


def _looks_like(raw: bytes) -> str:
    head = raw[:200].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        return "a web page instead of JSON; check its api_base"
    if not raw.strip():
        return "an empty body"
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "bytes that are not UTF-8"
    return "text that is not JSON"
