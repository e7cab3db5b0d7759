"""What can be seen of an answer itself."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.outcomes.answers import Said, faults, read_completion, read_stream

JSON = {"response_format": {"type": "json_object"}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "any": {}},
            "required": ["city"],
        },
    },
}


@pytest.mark.parametrize(
    ("request_", "said", "expected"),
    [
        (JSON, Said(text='{"a": 1}'), []),
        (JSON, Said(text="Sure! {"), ["json_invalid"]),
        (JSON, Said(text="{", finish="length"), []),
        (JSON, Said(calls=[("weather", "{}")]), []),
        ({}, Said(text="not JSON"), []),
        ({"response_format": {"type": "text"}}, Said(text="not JSON"), []),
        ({"tools": [WEATHER]}, Said(calls=[("weather", '{"city": "Riga", "days": 2, "any": [1]}')]), []),
        ({"tools": [WEATHER]}, Said(calls=[("weather", '{"days": 2}')]), ["tool_call_invalid"]),
        ({"tools": [WEATHER]}, Said(calls=[("weather", '{"city": 5}')]), ["tool_call_invalid"]),
        ({"tools": [WEATHER]}, Said(calls=[("weather", '{"city": "Riga", "days": true}')]), ["tool_call_invalid"]),
        ({"tools": [WEATHER]}, Said(calls=[("weather", '{"city"')]), ["tool_call_invalid"]),
        ({"tools": [WEATHER]}, Said(calls=[("weather", '"Riga"')]), ["tool_call_invalid"]),
        ({"tools": [WEATHER]}, Said(calls=[("launch", "{}")]), ["tool_call_invalid"]),
        ({"tools": [WEATHER]}, Said(text="It is warm."), []),
        ({}, Said(text="I'm sorry, but I can't help with that."), ["refused"]),
        ({}, Said(text="I\u2019m sorry, but I can\u2019t do that."), ["refused"]),
        ({}, Said(text="He said: I can't help with that."), []),
    ],
)
def test_faults_are_seen(request_: dict[str, Any], said: Said, expected: list[str]) -> None:
    assert list(faults(request_, said)) == expected


def test_an_answer_is_read_the_same_whole_or_as_a_stream() -> None:
    call = {"index": 0, "function": {"name": "weather", "arguments": '{"city": '}}
    rest = {"index": 0, "function": {"arguments": '"Riga"}'}}
    deltas: list[dict[str, Any]] = [
        {"content": "It "},
        {"content": "is."},
        {"tool_calls": [call]},
        {"tool_calls": [rest]},
    ]
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}, {"choices": [], "usage": {}}]
    frames = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    whole = {"content": "It is.", "tool_calls": [{"function": {"name": "weather", "arguments": '{"city": "Riga"}'}}]}
    body = orjson.dumps({"choices": [{"message": whole, "finish_reason": "tool_calls"}]})
    expected = Said(text="It is.", calls=[("weather", '{"city": "Riga"}')], finish="tool_calls")
    assert read_stream(frames) == read_completion(body) == expected


@given(st.binary(max_size=200))
def test_no_bytes_make_the_readers_fail(body: bytes) -> None:
    for content in (body, b'{"choices": [' + body, b"data: {" + body + b"}\n\n"):
        assert read_completion(content) is None or isinstance(read_completion(content), Said)
        assert read_stream(content) is None or isinstance(read_stream(content), Said)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"choices": []}', b'{"choices": [5]}', b'{"choices": [{"message": 5}]}']
)
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert read_completion(body) is None
