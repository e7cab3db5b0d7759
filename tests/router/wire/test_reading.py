"""What is read of a request: never a crash on a checked body, and never more difficulty for more harness."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.types import Capability
from router.errors import InvalidRequest
from router.wire.chat import check_chat, unknown_fields
from router.wire.reading import (
    cacheable,
    canonical,
    demand_of,
    extensions_of,
    input_bytes,
    query_of,
    wishes_of,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PIXEL = "data:image/png;base64,aGk="
part = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": text}),
    st.just({"type": "image_url", "image_url": {"url": PIXEL}}),
    st.just({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
    st.just({"type": "file", "file": {"file_id": "x"}}),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": text}),
)
content = text | st.lists(part, min_size=1, max_size=3)
harness = st.one_of(
    st.fixed_dictionaries({"role": st.just("system"), "content": content}),
    st.fixed_dictionaries({"role": st.just("developer"), "content": content}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": content | st.none()}),
    st.fixed_dictionaries({"role": st.just("tool"), "content": content, "tool_call_id": st.just("t")}),
    st.just({"role": "assistant", "tool_calls": [{"id": "t", "function": {"name": "f"}}]}),
    st.fixed_dictionaries({"role": st.just("function"), "name": st.just("f"), "content": text | st.none()}),
)
user = st.fixed_dictionaries({"role": st.just("user"), "content": content})
optional = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(1, 4),
        "max_tokens": st.integers(1, 10**6),
        "temperature": st.floats(0, 2),
        "tools": st.just([{"type": "function", "function": {"name": "f"}}]),
        "response_format": st.sampled_from([{"type": "json_object"}, {"type": "text"}]),
        "logprobs": st.booleans(),
        "stream": st.booleans(),
        "reasoning_effort": st.sampled_from(["none", "low", "high", None]),
        "thinking": st.just({"type": "enabled", "budget_tokens": 2000}),
        "rung": st.fixed_dictionaries({}, optional={"quality": st.floats(0, 1), "max_cost_usd": st.floats(0, 9)}),
        "metadata": st.just({"session_id": "s"}),
        "modalities": st.just(["text", "audio"]),
        "unheard_of": st.integers(-(2**63), 2**64 - 1),  # others end at `parse_object`
    },
)


def body_of(messages: list[dict[str, Any]], more: dict[str, Any], model: str) -> dict[str, Any]:
    return {"model": model, "messages": messages, **more}


bodies = st.builds(
    body_of,
    st.lists(user | harness, min_size=1, max_size=5),
    optional,
    st.sampled_from(["auto", "auto:economy", "auto:quality", "gpt-x"]),
)


@given(bodies)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_every_checked_body_can_be_read(body: dict[str, Any]) -> None:
    request = check_chat(json.loads(json.dumps(body)))
    query = query_of(request)
    demand = demand_of(request)
    extensions = extensions_of(request, {})
    wishes = wishes_of(request, extensions, default_quality=0.5, allow=None)
    assert demand.input_tokens > 0
    assert query.turns == len(body["messages"])
    assert 0 <= wishes.quality <= 1
    assert input_bytes(request) >= 0
    assert isinstance(cacheable(request, unknown_fields(request), 1.0), bool)
    assert canonical(request, wishes, "v") == canonical(dict(reversed(request.items())), wishes, "v")


@given(user, st.lists(harness, max_size=4), st.lists(harness, max_size=2))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_harness_around_the_last_turn_leaves_its_text_alone(
    turn: dict[str, Any], before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    bare = query_of({"messages": [turn]})
    dressed = query_of({"messages": [*before, turn, *after]})
    assert dressed.text == bare.text
    assert dressed.images == bare.images


def test_a_request_without_a_user_s_turn_has_an_empty_query() -> None:
    assert query_of({"messages": [{"role": "system", "content": "be brief"}]}).text == ""


def test_what_a_request_needs_of_a_model_is_seen() -> None:
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": PIXEL}},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            ],
        }
    ]
    request = {
        "model": "auto",
        "messages": messages,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "n": 2,
        "logprobs": True,
        "response_format": {"type": "json_schema"},
    }
    assert demand_of(request).needs == frozenset(Capability) - {Capability.JSON_OBJECT}
    spoken = {"model": "auto", "messages": [{"role": "user", "content": "x"}], "modalities": ["text", "audio"]}
    assert demand_of(spoken).needs == {Capability.AUDIO}
    assert demand_of({**spoken, "modalities": ["text"]}).needs == frozenset()


@pytest.mark.parametrize(
    ("headers", "mode"),
    [
        ({}, "use"),
        ({b"cache-control": b"no-store"}, "off"),
        ({b"cache-control": b"max-age=0, No-Cache"}, "refresh"),
        ({b"x-rung-cache": b"use", b"cache-control": b"no-store"}, "use"),
    ],
)
def test_how_the_cache_may_be_used_stands_in_either_header(headers: dict[bytes, bytes], mode: str) -> None:
    assert extensions_of({}, headers).cache == mode


def test_the_body_s_wishes_win_over_the_headers() -> None:
    headers = {
        b"x-rung-quality": b"0.1",
        b"x-rung-explain": b"1",
        b"x-session-id": b"of-header",
        b"x-rung-max-reasoning-tokens": b"7",
        b"x-rung-max-cost-usd": b"0.5",
    }
    read = extensions_of({"rung": {"quality": 0.9, "session_id": "of-body"}}, headers)
    assert (read.quality, read.session_id, read.explain) == (0.9, "of-body", True)
    assert (read.max_reasoning_tokens, read.max_cost_usd) == (7, 0.5)


SAID = "z" * 4_000
HIDING_PLACES: dict[str, dict[str, Any]] = {
    "an author's name": {"messages": [{"role": "user", "content": "Hi", "name": SAID}]},
    "an unheard-of field": {"messages": [{"role": "user", "content": "Hi", "notes": [{"a": SAID}]}]},
    "an old function's call": {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": SAID}}]},
    "a tool's call": {"messages": [{"role": "assistant", "tool_calls": [{"id": "t", "function": {"name": SAID}}]}]},
    "earlier thinking": {"messages": [{"role": "assistant", "content": "Hi", "reasoning_content": SAID}]},
    "a refusal": {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": SAID}]}]},
    "beside a text": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "notes": SAID}]}]},
    "a file": {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": SAID}}]}]},
    "a tool": {"tools": [{"type": "function", "function": {"name": "f", "description": SAID}}]},
    "a function": {"functions": [{"name": "f", "description": SAID}]},
    "a schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": SAID}}}},
    "a prediction": {"prediction": {"type": "content", "content": SAID}},
}


@pytest.mark.parametrize("place", HIDING_PLACES.values(), ids=HIDING_PLACES.keys())
def test_words_are_counted_wherever_they_stand(place: dict[str, Any]) -> None:
    request = check_chat({"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **place})
    plain = demand_of(check_chat({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]})).input_tokens
    assert demand_of(request).input_tokens >= plain + len(SAID) // 2
    assert input_bytes(request) >= len(SAID)


def test_pictures_and_short_recordings_are_counted_by_their_kind_and_long_ones_by_their_length() -> None:
    def tokens(*parts: dict[str, Any]) -> int:
        return demand_of({"model": "auto", "messages": [{"role": "user", "content": list(parts)}]}).input_tokens

    def audio(chars: int, kind: str) -> dict[str, Any]:
        return {"type": "input_audio", "input_audio": {"data": "a" * chars, "format": kind}}

    nothing = tokens()
    assert (
        tokens({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "a" * 10**6}}) == nothing + 3_000
    )
    assert tokens(audio(4, "mp3"), audio(160_000, "mp3")) == nothing + 8_000
    assert tokens(audio(3_200_000, "wav")) == nothing + 10_000
    assert tokens(audio(3_200_000, "mp3")) == nothing + 80_000


def test_an_auto_that_does_not_exist_is_named() -> None:
    with pytest.raises(InvalidRequest, match="auto:best"):
        demand_of({"model": "auto:best", "messages": []})


@given(
    st.dictionaries(
        st.sampled_from(
            [
                b"x-rung-quality",
                b"x-rung-max-cost-usd",
                b"x-rung-max-reasoning-tokens",
                b"x-rung-explain",
                b"x-rung-cache",
                b"x-rung-strategy",
                b"x-rung-session-id",
                b"x-rung-odd",
            ]
        ),
        st.binary(max_size=12),
    )
)
def test_any_bytes_in_a_wish_are_read_or_refused(headers: dict[bytes, bytes]) -> None:
    try:
        read = extensions_of({}, headers)
    except InvalidRequest:
        return
    assert read.quality is None or 0 <= read.quality <= 1
    assert read.max_cost_usd is None or 0 <= read.max_cost_usd <= 1e6


def test_what_may_not_be_empty_is_told_in_words() -> None:
    with pytest.raises(InvalidRequest, match="`messages` must not be empty"):
        check_chat({"model": "auto", "messages": []})
