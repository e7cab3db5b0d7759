"""Whatever a provider says, the answer is read or refused; nothing else is ever raised."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from router.errors import UpstreamError
from router.upstream.request import Wire
from router.upstream.tally import Tally
from router.upstream.translate import Claude, Translation, Verbatim
from router.upstream.types import UpstreamModel

_LEAF = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=4), st.just("message_start"))
_KEYS = [
    "choices",
    "delta",
    "message",
    "content",
    "content_block",
    "tool_calls",
    "function",
    "arguments",
    "finish_reason",
    "index",
    "usage",
    "prompt_tokens",
    "input_tokens",
    "output_tokens",
    "completion_tokens_details",
    "stop_reason",
    "model",
    "text",
    "type",
    "error",
    "code",
]
_TYPES = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "text", "tool_use", "thinking"]
)
_ANY = st.recursive(
    _LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    ),
    max_leaves=20,
)
_OBJECTS = st.dictionaries(st.sampled_from(_KEYS), _ANY, max_size=7)


def _verbatim() -> Translation:
    return Verbatim("m")


@pytest.fixture(scope="module")
def claude() -> Callable[[], Translation]:
    wire = Wire(UpstreamModel(name="anthropic/claude-haiku-4-5", api_key=SecretStr("k")))
    return lambda: Claude(wire, None, json_mode=False)


def _feed(make: Callable[[], Translation], value: dict[str, Any]) -> None:
    raw = orjson.dumps(value)
    for read in (make().reply, make().event):
        tally = Tally()
        try:
            read(raw, tally)
        except UpstreamError:
            continue
        assert tally.output_chars >= 0
        assert tally.usage.output is None or tally.usage.output >= 0


@example(value={"choices": 5})
@example(value={"choices": [{"delta": {"tool_calls": 5}, "message": {"tool_calls": 5}}]})
@example(value={"choices": [{"delta": {"content": [5]}, "message": {"content": [{"text": 5}]}}]})
@given(value=_OBJECTS)
def test_any_json_in_openais_place_is_read_or_refused(value: dict[str, Any]) -> None:
    _feed(_verbatim, value)


@settings(max_examples=60)
@given(value=_OBJECTS, kind=_TYPES)
def test_any_json_in_anthropics_place_is_read_or_refused(
    claude: Callable[[], Translation], value: dict[str, Any], kind: str
) -> None:
    _feed(claude, {**value, "type": kind})
    _feed(claude, {"content": [value], "stop_reason": kind, "usage": value.get("usage"), "model": "m"})


def test_the_output_at_the_beginning_of_claude_s_stream_is_no_report(claude: Callable[[], Translation]) -> None:
    stream, tally = claude(), Tally()
    usage = {"input_tokens": 25, "output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word " * 50}},
    ]
    for event in events:
        stream.event(orjson.dumps(event), tally)
    assert (tally.usage.input, tally.usage.output, tally.output_bytes) == (25, None, 250)
    closing = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 51}}
    stream.event(orjson.dumps(closing), tally)
    assert tally.usage.output == 51


@given(st.text(), st.text(), st.text())
def test_what_was_made_is_counted_in_bytes_too(said: str, thought: str, called: str) -> None:
    tally = Tally()
    calls = [{"function": {"name": "f", "arguments": called}}]
    tally.chunk({"choices": [{"delta": {"content": said, "reasoning_content": thought, "tool_calls": calls}}]})
    assert tally.output_chars == len(said + thought + called) + 1
    assert tally.output_bytes == len((said + thought + called).encode()) + 1


ANSWER = {"model": "vendor/x-2026", "choices": [{"message": {"content": 'say "model":"vendor/x-2026"'}}]}
CHUNK = {"choices": [{"index": 0, "delta": {"content": '"model": "vendor/x-2026"'}}], "model": "vendor/x-2026"}


@pytest.mark.parametrize("gap", ["", " "])
@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_an_answer_bears_our_name_for_the_model_and_is_else_as_it_was(gap: str, slash: str) -> None:
    def written(value: object) -> bytes:
        return json.dumps(value, separators=(",", f":{gap}")).replace("/", slash).encode()

    tally = Tally()
    assert orjson.loads(Verbatim("m", "ours").reply(written(ANSWER), tally)) == {**ANSWER, "model": "ours"}
    assert tally.model == "vendor/x-2026"
    stream = Verbatim("m", "ours")
    for _ in range(3):
        assert orjson.loads(stream.event(written(CHUNK), tally) or b"") == {**CHUNK, "model": "ours"}
    assert orjson.loads(stream.event(written({**CHUNK, "model": "other"}), tally) or b"")["model"] == "ours"


@given(model=st.text(), content=st.text(), alias=st.text(min_size=1))
def test_whatever_the_names_and_the_text_only_the_name_changes(model: str, content: str, alias: str) -> None:
    answer = {"choices": [{"message": {"content": content}}], "model": model}
    assert orjson.loads(Verbatim("m", alias).reply(orjson.dumps(answer), Tally())) == {**answer, "model": alias}


def test_how_fast_llama_cpp_was_is_no_part_of_an_answer() -> None:
    raw = orjson.dumps({**ANSWER, "timings": {"predicted_ms": 1.5}})
    assert orjson.loads(Verbatim("m").reply(raw, Tally())) == ANSWER


@given(raw=st.binary(max_size=60).filter(lambda raw: not raw.startswith((b"{", b"[DONE]"))))
def test_any_bytes_that_are_no_object_are_refused(raw: bytes) -> None:
    for read in (_verbatim().reply, _verbatim().event):
        with pytest.raises(UpstreamError):
            read(raw, Tally())
