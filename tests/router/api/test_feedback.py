"""`POST /v1/feedback`, and what Rung sees of answers by itself, over the running gateway."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import orjson
import pytest

from router.store import FEEDBACK, INFERENCE
from router.testing import Answer, FakeUpstream
from tests.gateway import Running, fake_settings, running
from tests.router.api.conftest import Books

TENANTS = [{"id": "demo"}, {"id": "other"}, {"id": "open", "log_text": True}]
# A checker that likes every answer in which a 42 stands.
LIKES_42 = "import json, sys; print(float('42' in json.load(sys.stdin)['answer']))"


@pytest.fixture(scope="module")
def running_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    checker = {"name": "likes-42", "command": [sys.executable, "-c", LIKES_42], "tenants": ["other"]}
    settings = fake_settings(
        shared_upstream.openai_base, tmp_path_factory.mktemp("gateway"), tenants=TENANTS, log={"checkers": [checker]}
    )
    with running(settings) as gateway:
        yield gateway


def key_of(books: Books, tenant: str) -> dict[str, str]:
    _, token = books.run(books.store.directory.create_key(tenant, scopes=frozenset({INFERENCE})))
    return {"authorization": f"Bearer {token}"}


def ask(client: httpx.Client, headers: dict[str, str] | None = None, **extra: Any) -> str:
    body = {"model": "small", "messages": [{"role": "user", "content": "?"}], "rung": {"cache": "off"}, **extra}
    reply = client.post("/v1/chat/completions", json=body, headers=headers).raise_for_status()
    return reply.headers["x-rung-decision-id"]


def told(books: Books, tenant: str, decision: str) -> list[dict[str, Any]]:
    entries = books.run(books.store.outcomes.entries(tenant))
    return [one for entry in entries if (one := orjson.loads(entry.content))["decision_id"] == decision]


def test_a_key_for_feedback_tells_what_became_of_an_answer_and_opens_nothing_else(
    client: httpx.Client, books: Books
) -> None:
    decision = ask(client)
    _, token = books.run(books.store.directory.create_key("demo", scopes=frozenset({FEEDBACK})))
    headers = {"authorization": f"Bearer {token}"}
    said = {"decision_id": decision, "thumbs": "up"}
    assert client.post("/v1/feedback", json=said, headers=headers).status_code == 200
    for method, path in (("POST", "/v1/chat/completions"), ("GET", f"/v1/decisions/{decision}"), ("GET", "/v1/models")):
        refused = client.request(method, path, headers=headers)
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")


def test_everything_that_is_said_becomes_an_outcome_of_the_decision(client: httpx.Client, books: Books) -> None:
    decision = ask(client)
    said = {"decision_id": decision, "score": 0.4, "thumbs": "down", "label": "partly_correct", "correction": "43"}
    reply = client.post("/v1/feedback", json=said).raise_for_status().json()
    assert {one["source"]: one["value"] for one in reply["outcomes"]} == {
        "feedback.score": 0.4,
        "feedback.thumbs": 0.0,
        "feedback.label": 0.5,
        "feedback.correction": 0.25,
    }
    outcomes = told(books, "demo", decision)
    assert {one["source"] for one in outcomes} == {one["source"] for one in reply["outcomes"]}
    assert all(one["reliability"] > 0 and one["tenant"] == "demo" for one in outcomes)
    assert "43" not in {one["label"] for one in outcomes}, "no text is kept of a tenant that does not allow it"


def test_texts_are_kept_where_the_tenant_allows_it(client: httpx.Client, books: Books) -> None:
    headers = key_of(books, "open")
    decision = ask(client, headers)
    client.post("/v1/feedback", json={"decision_id": decision, "correction": "43"}, headers=headers).raise_for_status()
    assert [one["label"] for one in told(books, "open", decision)] == ["43"]


def test_the_same_word_twice_counts_once_and_another_one_takes_its_place(client: httpx.Client, books: Books) -> None:
    decision = ask(client)
    states = [
        client.post("/v1/feedback", json={"decision_id": decision, "thumbs": thumbs}).json()["outcomes"][0]["status"]
        for thumbs in ("up", "up", "down")
    ]
    assert states == ["recorded", "repeated", "recorded"]
    outcomes = told(books, "demo", decision)
    assert len({one["outcome_id"] for one in outcomes}) == 1
    assert outcomes[-1]["value"] == 0.0


def test_an_idempotency_key_is_one_piece_of_feedback(client: httpx.Client) -> None:
    first, second = ask(client), ask(client)
    headers = {"idempotency-key": "k-1"}
    for decision, thumbs, status in ((first, "up", 200), (first, "up", 200), (first, "down", 422), (second, "up", 422)):
        reply = client.post("/v1/feedback", json={"decision_id": decision, "thumbs": thumbs}, headers=headers)
        assert reply.status_code == status
    assert reply.json()["error"]["code"] == "idempotency_key_reused"


def test_another_tenants_decision_is_not_found_and_neither_is_none(client: httpx.Client, books: Books) -> None:
    decision = ask(client)
    foreign = client.post(
        "/v1/feedback", json={"decision_id": decision, "thumbs": "up"}, headers=key_of(books, "other")
    )
    unknown = client.post("/v1/feedback", json={"decision_id": "dec_none", "thumbs": "up"})
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.json() == unknown.json()
    assert told(books, "other", decision) == []


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({}, "score"),
        ({"score": 2}, "score"),
        ({"score": "1"}, "score"),
        ({"score": True}, "score"),
        ({"thumbs": "sideways"}, "thumbs"),
        ({"label": "meh"}, "label"),
        ({"correction": ""}, "correction"),
        ({"correction": "x" * 20_001}, "correction"),
        ({"comment": "only"}, "score"),
        ({"stars": 5, "thumbs": "up"}, "stars"),
        ({"decision_id": None, "thumbs": "up"}, "decision_id"),
        ({"decision_id": "a b", "thumbs": "up"}, "decision_id"),
        ({"thumbs": "up", "user": "x" * 257}, "user"),
    ],
)
def test_wrong_feedback_is_refused_by_name(client: httpx.Client, change: dict[str, Any], param: str) -> None:
    reply = client.post("/v1/feedback", json={"decision_id": "dec_1", **change})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_feedback_is_bounded_and_needs_a_key(client: httpx.Client, gateway: Running) -> None:
    huge = client.post("/v1/feedback", json={"decision_id": "d", "thumbs": "up", "comment": "x" * 70_000})
    assert huge.status_code == 413
    bare = httpx.post(f"{gateway.url}/v1/feedback", json={"decision_id": "d", "thumbs": "up"}, timeout=30)
    assert bare.status_code == 401
    odd = client.post("/v1/feedback", json={"decision_id": "d", "thumbs": "up"}, headers={"idempotency-key": "x" * 300})
    assert odd.status_code == 400


def test_an_openai_client_can_post_it(gateway: Running, client: httpx.Client, books: Books) -> None:
    decision = ask(client)
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key) as theirs:
        reply = theirs.post("/feedback", body={"decision_id": decision, "thumbs": "up"}, cast_to=object)
    assert reply["outcomes"][0]["status"] == "recorded"  # type: ignore[index]
    assert len(told(books, "demo", decision)) == 1


def looked(gateway: Running) -> None:
    """Wait until the gateway has looked at all answers so far."""
    aftermath = gateway.gateway.aftermath
    assert aftermath is not None
    deadline = time.monotonic() + 30
    while aftermath.pending:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # another thread's loop: there is no event to wait for


def test_json_that_is_none_is_seen_whole_and_streamed(
    client: httpx.Client, upstream: FakeUpstream, gateway: Running, books: Books
) -> None:
    found: list[list[str]] = []
    for text, stream in (("{", False), ("{ no", True), ('{"a": 1}', False), ('{"a": 1}', True)):
        upstream.say(Answer(text=text))
        decision = ask(client, response_format={"type": "json_object"}, stream=stream)
        looked(gateway)
        found.append([one["source"] for one in told(books, "demo", decision)])
    assert found == [["implicit.json_invalid"], ["implicit.json_invalid"], [], []]


def test_a_tool_call_that_does_not_fit_is_seen(
    client: httpx.Client, upstream: FakeUpstream, gateway: Running, books: Books
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "required": ["x"]}}}
    found: list[list[str]] = []
    for arguments, stream in (('{"x": 1}', False), ("{}", False), ("{}", True)):
        upstream.say(Answer(text="", tool_calls=(("f", arguments),), finish_reason="tool_calls"))
        decision = ask(client, model="medium", tools=[tool], stream=stream)
        looked(gateway)
        found.append([one["source"] for one in told(books, "demo", decision)])
    assert found == [[], ["implicit.tool_call_invalid"], ["implicit.tool_call_invalid"]]


def test_an_operators_checker_judges_its_tenants_answers(
    client: httpx.Client, upstream: FakeUpstream, gateway: Running, books: Books
) -> None:
    upstream.say(Answer(text="It is 42."), Answer(text="It is 41."))
    headers = key_of(books, "other")
    decisions = [ask(client, headers), ask(client, headers), ask(client)]
    looked(gateway)
    judged = [[(one["source"], one["value"]) for one in told(books, "other", decision)] for decision in decisions[:2]]
    assert judged == [[("checker.likes-42", 1.0)], [("checker.likes-42", 0.0)]]
    assert told(books, "demo", decisions[2]) == []
