"""Sessions over the running gateway: they stay, they have money of their own, and failure takes them higher."""

from __future__ import annotations

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from router.testing import Answer, FakeUpstream
from tests.router.api.conftest import Books

_fresh = itertools.count()
TASK = "Find out why the nightly job fails in region {}, and mend it."


@pytest.fixture
def session() -> str:
    return uuid.uuid4().hex


def ask(client: httpx.Client, session: str, *messages: tuple[str, str], **fields: Any) -> httpx.Response:
    told = [{"role": role, "content": text} for role, text in messages]
    for message in told:
        if message["role"] == "tool":
            message["tool_call_id"] = "call_1"
    rung = {"session_id": session, "cache": "off", **fields.pop("rung", {})}
    body = {"model": "auto", "messages": told or [{"role": "user", "content": TASK.format(next(_fresh))}], "rung": rung}
    return client.post("/v1/chat/completions", json={**body, **fields})


def receipt(client: httpx.Client, reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    return client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()["receipt"]


def test_steps_that_keep_failing_are_given_to_better_rungs(
    client: httpx.Client, upstream: FakeUpstream, session: str
) -> None:
    steps = [("user", TASK.format("x")), ("assistant", "I call it."), ("tool", "Error: permission denied")]
    dials = [receipt(client, ask(client, session, *steps))["wishes"]["quality"] for _ in range(4)]
    assert dials == [0.5, 0.75, 0.875, 0.9375]
    mended = [*steps[:-1], ("tool", "done")]
    assert receipt(client, ask(client, session, *mended))["wishes"]["quality"] == 0.5


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_a_session_spends_its_own_money_and_no_more(
    client: httpx.Client, upstream: FakeUpstream, books: Books, session: str, stream: bool
) -> None:
    before, budget = books.settled(), 0.08
    fields = {"model": "large", "stream": stream, "max_tokens": 1_000, "rung": {"session_budget_usd": budget}}
    upstream.say(*[Answer(output_tokens=500)] * 12)
    replies = [ask(client, session, **fields) for _ in range(12)]
    answers, reply = sum(reply.status_code == 200 for reply in replies), replies[-1]
    upstream.hush()
    spent = (books.settled() - before) / 1e9
    assert reply.status_code == 429
    assert reply.json()["error"]["code"] == "insufficient_quota"
    assert "session" in reply.json()["error"]["message"]
    assert answers >= 3
    assert 0.5 * budget < spent <= budget


def test_calls_at_the_same_moment_do_not_pass_the_session_s_money(
    client: httpx.Client, upstream: FakeUpstream, books: Books, session: str
) -> None:
    before, budget = books.settled(), 0.08
    fields = {"model": "large", "max_tokens": 1_000}
    upstream.say(*[Answer(output_tokens=500)] * 12)  # one after the other they would pass it as well
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, client, session, rung={"session_budget_usd": budget}, **fields) for _ in range(12)]
        codes = [each.result().status_code for each in asked]
    upstream.hush()
    assert set(codes) == {200, 429}
    assert (books.settled() - before) / 1e9 <= budget
    assert ask(client, session, rung={"session_budget_usd": 1.0}, **fields).status_code == 200


def test_another_model_gets_the_history_without_the_thinking_of_the_last(
    client: httpx.Client, upstream: FakeUpstream, session: str
) -> None:
    history = [
        {"role": "user", "content": "Who was it?"},
        {"role": "assistant", "content": "Ada.", "reasoning_content": "hm, a mathematician"},
        {"role": "user", "content": "And when?"},
    ]
    rung = {"session_id": session, "cache": "off"}
    for model in ("large", "large", "medium"):
        body = {"model": model, "messages": history, "rung": rung}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
    sent = ["reasoning_content" in received.body["messages"][1] for received in upstream.received]
    assert sent == [False, True, False]


def test_a_fallback_gets_the_history_without_the_thinking_of_the_model_that_failed(
    client: httpx.Client, upstream: FakeUpstream, session: str
) -> None:
    thought = {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}
    history = [
        {"role": "user", "content": TASK.format("y")},
        {"role": "assistant", "content": "I have.", **thought},
        {"role": "user", "content": "Prove it, step by step."},
    ]
    body = {"model": "auto", "messages": history, "rung": {"session_id": session, "cache": "off", "quality": 1.0}}
    maker = client.post("/v1/chat/completions", json=body).headers["x-rung-model"]
    upstream.received.clear()
    upstream.say(Answer(status=500), Answer())
    served = client.post("/v1/chat/completions", json=body)
    assert served.headers["x-rung-model"] != maker
    asked = [
        (received.body["model"], "thinking_blocks" in received.body["messages"][1]) for received in upstream.received
    ]
    assert asked == [(f"fake-{maker}", True), (f"fake-{served.headers['x-rung-model']}", False)]


def test_a_long_prompt_that_a_provider_has_in_its_cache_is_priced_so(
    client: httpx.Client, upstream: FakeUpstream, session: str
) -> None:
    long = "word " * 4_000
    upstream.say(Answer(input_tokens=5_000), Answer(input_tokens=5_000, cached_tokens=4_000), Answer())
    assert ask(client, session, ("user", long), model="large").status_code == 200
    reply = ask(client, session, ("user", long), model="large")
    assert reply.status_code == 200
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()
    assert record["session"] == session
    assert record["served"]["usage"]["cached_read"] == 4_000
