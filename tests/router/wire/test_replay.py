"""Streams kept and told again, however they were cut."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.replay import Recorder, chunks_of, completion_with, worth_keeping

HEAD = {"id": "c", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def event(choice: Any) -> bytes:
    return b"data: " + orjson.dumps({**HEAD, "choices": [choice]}) + b"\n\n"


def told(pieces: list[str], finish: str = "stop") -> list[bytes]:
    frames = [event({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})]
    frames += [event({"index": 0, "delta": {"content": piece}, "finish_reason": None}) for piece in pieces]
    return [*frames, event({"index": 0, "delta": {}, "finish_reason": finish})]


def recorded(parts: list[bytes], limit: int = 1_000_000) -> dict[str, Any] | None:
    recorder = Recorder(limit)
    for part in parts:
        recorder.add(part)
    made = recorder.completion(USAGE)
    return None if made is None else orjson.loads(made)


texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=8)


@given(texts, st.data())
def test_a_stream_that_comes_in_any_pieces_gives_the_same_completion(pieces: list[str], data: st.DataObject) -> None:
    stream = b"".join(told(pieces))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=10)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    made = recorded(parts)
    assert made == recorded([stream])
    assert made is not None
    assert made["choices"][0]["message"]["content"] == "".join(pieces)
    assert made["usage"] == USAGE


@given(texts)
def test_a_completion_told_as_a_stream_is_recorded_as_itself(pieces: list[str]) -> None:
    completion = recorded(told(pieces))
    assert completion is not None
    again = recorded([b"data: " + payload + b"\n\n" for payload in chunks_of(completion)])
    assert again is not None
    assert again["choices"] == completion["choices"]


@pytest.mark.parametrize(
    "frames",
    [
        told(["a"], "length"),
        told(["a"])[:-1],
        told([]),
        [*told(["a"]), event({"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"})],
        [event({"index": 0, "delta": {"tool_calls": [{}]}}), *told(["a"])],
        [event({"index": 0, "delta": {"refusal": "no"}}), *told(["a"])],
        [event({"index": 0, "delta": {"content": ["parts"]}}), *told(["a"])],
        [event({"index": 0, "delta": "text"}), *told(["a"])],
        [b"data: {not json\n\n", *told(["a"])],
        [],
    ],
)
def test_what_is_not_one_whole_plain_answer_is_not_kept(frames: list[bytes]) -> None:
    assert recorded(frames) is None


@pytest.mark.parametrize("choices", [5, None, [None], [3, "x"], {"a": 1}])
def test_odd_choices_are_passed_over(choices: object) -> None:
    odd = b"data: " + orjson.dumps({**HEAD, "choices": choices}) + b"\n\n"
    made = recorded([odd, *told(["a"])])
    assert made is not None
    assert made["choices"][0]["message"]["content"] == "a"


def test_thinking_is_kept_beside_the_text() -> None:
    made = recorded([event({"index": 0, "delta": {"reasoning_content": "hm"}}), *told(["a"])])
    assert made is not None
    assert made["choices"][0]["message"] == {"role": "assistant", "content": "a", "reasoning_content": "hm"}


@pytest.mark.parametrize("limit", [0, 10, 200])
def test_an_answer_over_the_limit_is_dropped_whole(limit: int) -> None:
    assert recorded(told(["a"] * 10), limit) is None


@pytest.mark.parametrize(
    ("message", "finish", "kept"),
    [
        ({"content": "a"}, "stop", True),
        ({"content": "a"}, "length", False),
        ({"content": ""}, "stop", False),
        ({"content": None, "tool_calls": [{}]}, "stop", False),
        ({"content": "a", "refusal": "no"}, "stop", False),
        ({"content": [{"type": "text", "text": "a"}]}, "stop", False),
    ],
)
def test_only_whole_plain_answers_are_worth_keeping(message: dict[str, Any], finish: str, kept: bool) -> None:
    assert worth_keeping(orjson.dumps({"choices": [{"message": message}]}), finish) is kept
    assert not worth_keeping(orjson.dumps({"choices": [{"message": message}] * 2}), finish)


def test_rung_s_own_object_is_put_beside_the_rest() -> None:
    assert orjson.loads(completion_with(b'{"id":"c"}', {"a": 1})) == {"id": "c", "rung": {"a": 1}}
