"""Providers that answer nonsense: the client gets one clear error or a fallback's answer, and the books close."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import httpx
import pytest

from router.testing import Answer, FakeUpstream, Fault
from tests.gateway import Running
from tests.router.api.conftest import Books, Loop

_fresh = itertools.count()
NONSENSE = (Fault.GARBAGE, Fault.HTML, Fault.EMPTY, Fault.TRUNCATE, Fault.RESET, Fault.BAD_UTF8, Fault.ERROR_EVENT)


def question(**fields: Any) -> dict[str, Any]:
    words = f"Who wrote book number {next(_fresh)}?"
    return {"model": "large", "messages": [{"role": "user", "content": words}], "rung": {"cache": "off"}, **fields}


@pytest.mark.parametrize("fault", NONSENSE)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_nonsense_instead_of_an_answer_is_a_server_error_and_nothing_stays_held(
    client: httpx.Client, upstream: FakeUpstream, books: Books, fault: Fault, stream: bool
) -> None:
    upstream.say(Answer(fault=fault, fault_after=-1))
    reply = client.post("/v1/chat/completions", json=question(stream=stream))
    assert reply.status_code in {502, 503, 504}
    assert reply.json()["error"]["type"] == "server_error"
    books.settled()


@pytest.mark.parametrize("fault", NONSENSE)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_nonsense_is_mended_by_the_fallback(
    client: httpx.Client, upstream: FakeUpstream, fault: Fault, stream: bool
) -> None:
    upstream.say(Answer(fault=fault, fault_after=-1))
    reply = client.post("/v1/chat/completions", json=question(model="auto", stream=stream))
    assert reply.status_code == 200
    assert "42" in reply.text
    assert reply.headers["x-rung-attempts"] == "2"
    assert len(upstream.received) == 2


@pytest.mark.parametrize(
    ("fault", "may_be_billed"),
    [(Fault.GARBAGE, True), (Fault.TRUNCATE, True), (Fault.BAD_UTF8, True), (Fault.HTML, False), (Fault.EMPTY, False)],
)
def test_an_answer_that_cannot_be_used_may_be_billed_and_is_booked_as_an_estimate(
    client: httpx.Client, upstream: FakeUpstream, books: Books, fault: Fault, may_be_billed: bool
) -> None:
    before = books.settled()
    upstream.say(Answer(fault=fault, fault_after=-1))
    reply = client.post("/v1/chat/completions", json=question())
    assert reply.status_code == 502
    assert (books.settled() > before) == may_be_billed


def test_the_lost_attempt_is_booked_beside_the_answer_that_came(client: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.say(Answer(fault=Fault.GARBAGE), Answer(input_tokens=10, output_tokens=1))
    reply = client.post("/v1/chat/completions", json=question(model="auto"))
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()["served"]
    assert record["estimated"] is True
    assert 0 < record["lost_nano"] < record["cost_nano"]


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.TRUNCATE, Fault.GARBAGE, Fault.ERROR_EVENT, Fault.BAD_UTF8])
def test_what_breaks_in_the_middle_is_one_error_event_and_never_tried_again(
    client: httpx.Client, upstream: FakeUpstream, loop: Loop, books: Books, fault: Fault
) -> None:
    before = books.settled()
    gate = asyncio.Event()
    upstream.say(Answer(text="one two three four", fault=fault, fault_after=3, between=gate))
    with client.stream("POST", "/v1/chat/completions", json=question(model="auto", stream=True)) as reply:
        loop.loop.call_soon_threadsafe(gate.set)  # the client has the head of its answer: nothing may be tried again
        text = "".join(reply.iter_text())
    told = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert json.loads(told[0])["choices"][0]["delta"]["role"] == "assistant"
    assert [number for number, event in enumerate(told) if "error" in json.loads(event)] == [len(told) - 1]
    assert len(upstream.received) == 1
    assert books.settled() > before


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices": 5}',
        b'{"choices": [null, 3, "x"]}',
        b'{"choices": [{"index": 0, "delta": "text"}]}',
        b'{"choices": [{"index": 0, "delta": {"content": ["a"]}}]}',
        b'{"choices": [{"index": 0, "delta": {"content": 7, "tool_calls": 3}}]}',
        b'{"choices": {"a": 1}, "usage": [1], "model": 3}',
        b'{"choices": [], "usage": {"prompt_tokens": 1e999}}',
        b'{"choices": [{"index": {}, "finish_reason": {}, "delta": null}]}',
        b"[]",
        b"null",
        b'{"usage": {"prompt_tokens": -5, "completion_tokens": "many"}, "choices": null}',
    ],
)
def test_an_event_of_odd_types_breaks_nothing(
    client: httpx.Client, upstream: FakeUpstream, books: Books, event: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from router.testing import fake_upstream, formats

    def events(answer: Answer, bill: Any, body: Any) -> Any:
        opening, *rest = formats.openai_events(answer, bill, body)
        yield opening
        yield b"data: " + event + b"\n\n"
        yield from rest

    monkeypatch.setattr(fake_upstream, "_OPENAI", (formats.openai_reply, events, formats.openai_end))
    asked = {**question(stream=True), "rung": {"cache": "use"}}
    reply = client.post("/v1/chat/completions", json=asked)
    assert reply.status_code in {200, 502}
    told = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    ended = reply.status_code == 502 or told[-1] == "[DONE]" or "error" in json.loads(told[-1])
    assert ended, told[-1]
    books.settled()


def test_a_provider_s_wait_is_handed_on_where_nobody_else_can_serve(
    client: httpx.Client, upstream: FakeUpstream
) -> None:
    upstream.say(Answer(status=429, headers={"Retry-After": "7"}))
    reply = client.post("/v1/chat/completions", json=question())
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "7"
    assert reply.json()["error"]["code"] == "upstream_rate_limited"


def test_several_choices_are_billed_each(client: httpx.Client, upstream: FakeUpstream, books: Books) -> None:
    before = books.settled()
    reply = client.post("/v1/chat/completions", json=question(n=3))
    assert len(reply.json()["choices"]) == 3
    bill = upstream.bills[0]
    assert books.settled() - before == bill.input * 5_000 + bill.output * 25_000


def test_a_lie_about_usage_is_billed_as_told_and_an_absurd_one_is_marked(
    client: httpx.Client, upstream: FakeUpstream
) -> None:
    lie = {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": -1}}
    upstream.say(Answer(usage=lie))
    told = client.post("/v1/chat/completions", json=question())
    assert told.headers["x-rung-cost-usd"].startswith("0.000175")
    upstream.say(Answer(usage={"prompt_tokens": "many"}))
    absurd = client.post("/v1/chat/completions", json=question())
    record = client.get(f"/v1/decisions/{absurd.headers['x-rung-decision-id']}").json()
    assert record["served"]["estimated"] is True


@pytest.mark.parametrize("count", [10**12, 2**53, 2**63], ids=["10^12", "2^53", "2^63"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_a_count_that_no_answer_can_have_is_none_and_the_hold_ends(
    client: httpx.Client, upstream: FakeUpstream, books: Books, count: int, *, stream: bool
) -> None:
    before = books.settled()
    upstream.say(Answer(usage={"prompt_tokens": count, "completion_tokens": count}))
    reply = client.post("/v1/chat/completions", json=question(stream=stream))
    assert reply.status_code == 200
    assert not stream or reply.text.endswith("data: [DONE]\n\n")
    assert 0 < books.settled() - before < 10**7
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()
    assert record["served"]["estimated"] is True


def test_a_stream_that_ends_without_having_said_anything_is_mended_by_the_fallback(
    client: httpx.Client, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    from router.testing import fake_upstream, formats

    told = iter([[], None])

    def events(answer: Answer, bill: Any, body: Any) -> Any:
        yield from formats.openai_events(answer, bill, body) if next(told) is None else ()

    monkeypatch.setattr(fake_upstream, "_OPENAI", (formats.openai_reply, events, formats.openai_end))
    reply = client.post("/v1/chat/completions", json=question(model="auto", stream=True))
    assert reply.status_code == 200
    assert "42" in reply.text
    assert len(upstream.received) == 2


def test_a_session_that_is_used_twice_at_once_is_only_a_name(client: httpx.Client, gateway: Running) -> None:
    for _ in range(2):
        reply = client.post("/v1/chat/completions", json=question(), headers={"x-session-id": "same"})
        record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()
        assert record["session"] == "same"
