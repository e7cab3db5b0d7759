"""The formats that the fake speaks: OpenAI's chat completions and Anthropic's messages, whole and streamed.

Written from the providers' published references, and apart from `router.upstream`, so that one cannot copy
the other's mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from router.testing.script import Answer, Bill

Body = Mapping[str, Any]

_CREATED = 1_700_000_000
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def openai_reply(answer: Answer, bill: Bill, body: Body) -> dict[str, Any]:
    """A `chat.completion`."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.tool_calls:
        message["tool_calls"] = _openai_calls(answer)
    choices = [
        {"index": index, "message": message, "finish_reason": answer.finish_reason}
        for index in range(body.get("n") or 1)
    ]
    reply: dict[str, Any] = _openai_head(body, "chat.completion") | {"choices": choices}
    return reply | _openai_usage(answer, bill)


def openai_events(answer: Answer, bill: Bill, body: Body) -> Iterator[bytes]:
    """The events of a streamed `chat.completion`, the opening role first; without the end mark."""
    head = _openai_head(body, "chat.completion.chunk")

    def event(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choices = [{"index": index, "delta": delta, "finish_reason": finish} for index in range(body.get("n") or 1)]
        return _data(head | {"choices": choices})

    yield event({"role": "assistant", "content": ""})
    if answer.thinking:
        yield event({"reasoning_content": answer.thinking})
    for piece in answer.chunks if answer.text else ():
        yield event({"content": piece})
    if answer.tool_calls:
        yield event({"tool_calls": [{"index": i} | call for i, call in enumerate(_openai_calls(answer))]})
    yield event({}, answer.finish_reason)
    options = body.get("stream_options") or {}
    if answer.usage is not False and options.get("include_usage"):
        yield _data(head | {"choices": []} | _openai_usage(answer, bill))


def openai_end() -> bytes:
    """The end mark of OpenAI's streams."""
    return b"data: [DONE]\n\n"


def anthropic_reply(answer: Answer, bill: Bill, body: Body) -> dict[str, Any]:
    """A `message`."""
    content: list[dict[str, Any]] = []
    if answer.thinking:
        content.append({"type": "thinking", "thinking": answer.thinking, "signature": "c2ln"})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    content += [
        {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": orjson.loads(arguments)}
        for index, (name, arguments) in enumerate(answer.tool_calls)
    ]
    message = _anthropic_head(body) | {
        "content": content,
        "stop_reason": _STOP_REASONS.get(answer.finish_reason, answer.finish_reason),
    }
    return message | ({} if answer.usage is False else {"usage": _anthropic_usage(answer, bill)})


def anthropic_events(answer: Answer, bill: Bill, body: Body) -> Iterator[bytes]:
    """The events of a streamed `message`, but for the last one."""
    usage = _anthropic_usage(answer, bill) if answer.usage is not False else {}
    opening = {name: count for name, count in usage.items() if name != "output_tokens"}
    started = {"usage": opening | {"output_tokens": 1}} if usage else {}
    yield _named("message_start", {"message": _anthropic_head(body) | {"content": []} | started})
    for index, (block, deltas) in enumerate(_anthropic_blocks(answer)):
        yield _named("content_block_start", {"index": index, "content_block": block})
        for delta in deltas:
            yield _named("content_block_delta", {"index": index, "delta": delta})
        yield _named("content_block_stop", {"index": index})
    reason = _STOP_REASONS.get(answer.finish_reason, answer.finish_reason)
    closing = {"usage": {"output_tokens": usage["output_tokens"]}} if usage else {}
    yield _named("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}} | closing)


def anthropic_end() -> bytes:
    """The last event of Anthropic's streams."""
    return _named("message_stop", {})


def _anthropic_blocks(answer: Answer) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    if answer.thinking:
        thought = [
            {"type": "thinking_delta", "thinking": answer.thinking},
            {"type": "signature_delta", "signature": "c2ln"},
        ]
        yield {"type": "thinking", "thinking": "", "signature": ""}, thought
    if answer.text:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in answer.chunks]
    for index, (name, arguments) in enumerate(answer.tool_calls):
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
        yield block, [{"type": "input_json_delta", "partial_json": arguments}]


def _openai_head(body: Body, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "object": kind, "created": _CREATED, "model": body.get("model", "fake")}


def _openai_calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(answer.tool_calls)
    ]


def _openai_usage(answer: Answer, bill: Bill) -> dict[str, Any]:
    if answer.usage is False:
        return {}
    if isinstance(answer.usage, Mapping):
        return {"usage": answer.usage}
    usage: dict[str, Any] = {
        "prompt_tokens": bill.input,
        "completion_tokens": bill.output,
        "total_tokens": bill.input + bill.output,
    }
    if bill.reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": bill.reasoning}
    if bill.cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": bill.cached}
    return {"usage": usage}


def _anthropic_head(body: Body) -> dict[str, Any]:
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "fake"),
        "stop_reason": None,
        "stop_sequence": None,
    }


def _anthropic_usage(answer: Answer, bill: Bill) -> Mapping[str, Any]:
    if isinstance(answer.usage, Mapping):
        return answer.usage
    cached = bill.cached or 0
    usage = {"input_tokens": bill.input - cached, "output_tokens": bill.output}
    if bill.cached is not None:
        usage["cache_read_input_tokens"] = cached
    return usage


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _named(name: str, value: Mapping[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\n" + _data({"type": name, **value})
