"""A question in other words through the whole gateway: who gets an earlier answer, who does not, and what it says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from router.store import INFERENCE
from router.tenants.declared import DEMO_TENANT
from router.testing import Answer, FakeUpstream
from tests.gateway import Running, fake_settings, running
from tests.router.api.conftest import Books

_fresh = itertools.count()
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def running_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With the semantic cache on."""
    folder = tmp_path_factory.mktemp("gateway")
    with running(fake_settings(shared_upstream.openai_base, folder, cache={"semantic": "on"})) as gateway:
        yield gateway


def body(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "large", "messages": [{"role": "user", "content": text}], **fields}


def pair() -> tuple[str, str]:
    """A question that nobody has asked before, twice."""
    number = next(_fresh)
    return (
        f"Where is the capital of the region number {number}?",
        f"hello, where's the capital of region number {number}",
    )


def test_the_same_in_other_words_is_answered_without_a_call(
    client: httpx.Client, upstream: FakeUpstream, books: Books
) -> None:
    one, other = pair()
    first = client.post(CHAT, json=body(one))
    spent = books.settled()
    second = client.post(CHAT, json=body(other))
    assert (first.headers["x-rung-cache"], second.headers["x-rung-cache"]) == ("miss", "semantic")
    assert len(upstream.received) == 1
    assert second.json()["choices"] == first.json()["choices"]
    assert second.headers["x-rung-tier"] == "cache"
    assert float(second.headers["x-rung-cost-usd"]) == 0
    assert second.headers["x-rung-saved-usd"] == first.headers["x-rung-cost-usd"]
    assert books.settled() == spent
    record = client.get(f"/v1/decisions/{second.headers['x-rung-decision-id']}").json()
    assert (record["cache"], record["served"]["saved_usd"]) == ("semantic", first.headers["x-rung-cost-usd"])
    assert record["served"]["cost_nano"] == 0


def test_what_is_saved_is_counted_by_month_and_kind(client: httpx.Client, books: Books) -> None:
    from datetime import UTC, datetime

    month = datetime.now(UTC).strftime("%Y-%m")
    one, other = pair()
    before = books.run(books.store.savings.of(DEMO_TENANT, month))
    cost = client.post(CHAT, json=body(one)).headers["x-rung-cost-usd"]
    for text in (other, one, one):
        last = client.post(CHAT, json=body(text))
    client.get(f"/v1/decisions/{last.headers['x-rung-decision-id']}").raise_for_status()
    after = books.run(books.store.savings.of(DEMO_TENANT, month))
    grown = {
        kind: (after[kind].nano - before[kind].nano, after[kind].requests - before[kind].requests) for kind in after
    }
    nano = round(float(cost) * 1e9)
    assert grown == {"hit": (2 * nano, 2), "semantic": (nano, 1)}
    assert 'rung_saved_usd_total{cache="semantic"}' in client.get("/metrics").text


def test_a_stream_is_kept_and_told_again_as_a_stream(client: httpx.Client, upstream: FakeUpstream) -> None:
    one, other = pair()
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    client.post(CHAT, json=body(one, **stream))
    again = client.post(CHAT, json=body(other, **stream))
    assert again.headers["x-rung-cache"] == "semantic"
    events = [line.removeprefix("data: ") for line in again.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    assert orjson.loads(events[-2])["rung"]["cache"] == "semantic"
    assert client.post(CHAT, json=body(other)).headers["x-rung-cache"] == "semantic"
    assert len(upstream.received) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "medium"},
        {"temperature": 0.5},
        {"max_tokens": 77},
        {"seed": 3},
        {"stop": ["x"]},
        {"response_format": {"type": "json_object"}},
        {"rung": {"quality": 0.9}},
        {"rung": {"max_reasoning_tokens": 100}},
        {"reasoning_effort": "low"},
    ],
)
def test_anything_else_that_differs_asks_afresh(
    client: httpx.Client, upstream: FakeUpstream, fields: dict[str, Any]
) -> None:
    one, other = pair()
    client.post(CHAT, json=body(one))
    assert client.post(CHAT, json={**body(other), **fields}).headers["x-rung-cache"] == "miss"
    assert len(upstream.received) == 2


def test_the_system_prompt_and_earlier_turns_must_be_equal(client: httpx.Client, upstream: FakeUpstream) -> None:
    one, other = pair()

    def talk(system: str, earlier: str, text: str) -> str:
        turns = [("system", system), ("user", earlier), ("assistant", "Yes."), ("user", text)]
        messages = [{"role": role, "content": content} for role, content in turns]
        return client.post(CHAT, json={"model": "large", "messages": messages}).headers["x-rung-cache"]

    assert talk("Be brief.", "Hello?", one) == "miss"
    assert talk("Be brief.", "Hello?", other) == "semantic"
    assert talk("Be verbose.", "Hello?", other) == "miss"
    assert talk("Be brief.", "Hi?", other) == "miss"
    assert len(upstream.received) == 3


def test_tools_pictures_and_warm_sampling_bypass_it(client: httpx.Client, upstream: FakeUpstream) -> None:
    one, other = pair()
    client.post(CHAT, json=body(one))
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    seen = [
        client.post(CHAT, json=body(other, tools=[tool])),
        client.post(CHAT, json=body(other, temperature=1.5)),
        client.post(
            CHAT,
            json={**body(""), "messages": [{"role": "user", "content": [{"type": "text", "text": other}, picture]}]},
        ),
    ]
    assert [reply.headers["x-rung-cache"] for reply in seen] == ["bypass", "bypass", "miss"]
    assert len(upstream.received) == 4


@pytest.mark.parametrize(
    "answer", [Answer(finish_reason="length", text="cut"), Answer(finish_reason="content_filter", text="no")]
)
def test_a_partial_answer_or_a_refusal_is_nobody_else_s(
    client: httpx.Client, upstream: FakeUpstream, answer: Answer
) -> None:
    one, other = pair()
    upstream.say(answer)
    client.post(CHAT, json=body(one))
    assert client.post(CHAT, json=body(other)).headers["x-rung-cache"] == "miss"


def test_a_request_may_want_equal_questions_only_or_a_fresh_answer(
    client: httpx.Client, upstream: FakeUpstream
) -> None:
    one, other = pair()
    client.post(CHAT, json=body(one))
    ways: list[tuple[dict[str, Any], dict[str, str], str]] = [
        ({"rung": {"cache": "exact"}}, {}, "miss"),
        ({}, {"x-rung-cache": "off"}, "bypass"),
        ({}, {"cache-control": "no-store"}, "bypass"),
    ]
    for fields, headers, expected in ways:
        fresh = f"{other} thanks" if fields else other
        reply = client.post(CHAT, json={**body(fresh), **fields}, headers=headers)
        assert reply.headers["x-rung-cache"] == expected
    assert client.post(CHAT, json=body(other), headers={"cache-control": "no-cache"}).headers["x-rung-cache"] == "miss"
    assert len(upstream.received) == 5


def test_another_tenant_s_question_finds_nothing(client: httpx.Client, upstream: FakeUpstream, books: Books) -> None:
    one, other = pair()
    books.run(books.store.directory.create_tenant("stranger"))
    _, token = books.run(books.store.directory.create_key("stranger", scopes=frozenset({INFERENCE})))
    client.post(CHAT, json=body(one))
    theirs = client.post(CHAT, json=body(other), headers={"authorization": f"Bearer {token}"})
    assert theirs.headers["x-rung-cache"] == "miss"
    assert len(upstream.received) == 2


def test_a_purge_from_outside_forgets_it(client: httpx.Client, upstream: FakeUpstream, books: Books) -> None:
    one, other = pair()
    client.post(CHAT, json=body(one))
    assert client.post(CHAT, json=body(other)).headers["x-rung-cache"] == "semantic"
    books.run(books.store.purge(DEMO_TENANT))
    assert client.post(CHAT, json=body(other)).headers["x-rung-cache"] == "miss"


def test_an_answer_that_vanished_is_asked_for_again_and_nothing_stays_held(
    client: httpx.Client, upstream: FakeUpstream, books: Books
) -> None:
    one, other = pair()
    client.post(CHAT, json=body(one))
    books.settled()  # so that its answer is there to be purged
    books.run(books.store.cache.purge(DEMO_TENANT))
    assert client.post(CHAT, json=body(other)).headers["x-rung-cache"] == "miss"
    books.settled()
    assert len(upstream.received) == 2


def test_a_tenant_s_own_word_goes_before_the_gateway_s(client: httpx.Client, books: Books) -> None:
    books.run(books.store.directory.create_tenant("strict", policy={"semantic_cache": "off"}))
    books.run(books.store.directory.create_tenant("asking", policy={"semantic_cache": "ask"}))
    said: dict[str, list[str]] = {}
    for tenant in ("strict", "asking"):
        _, token = books.run(books.store.directory.create_key(tenant, scopes=frozenset({INFERENCE})))
        for fields in ({}, {"rung": {"cache": "semantic"}}):
            one, other = pair()
            replies = [
                client.post(CHAT, json={**body(text), **fields}, headers={"authorization": f"Bearer {token}"})
                for text in (one, other)
            ]
            said.setdefault(tenant, []).append(replies[1].headers["x-rung-cache"])
    assert said == {"strict": ["miss", "miss"], "asking": ["miss", "semantic"]}
