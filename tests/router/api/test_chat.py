"""The chat surface, over a real socket, with a real store."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import pytest

from router.testing import Answer, FakeUpstream, Fault
from tests.gateway import Running

_fresh = itertools.count()


def question(**fields: Any) -> dict[str, Any]:
    """A request that no other test has asked."""
    words = f"What is the capital of country number {next(_fresh)}?"
    return {"model": "auto", "messages": [{"role": "user", "content": words}], **fields}


def events(reply: httpx.Response) -> list[str]:
    return [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]


def spent_nano(client: httpx.Client, reply: httpx.Response) -> int:
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()
    return int(record["served"]["cost_nano"])


def test_an_answer_bears_the_decision_in_its_headers(client: httpx.Client) -> None:
    reply = client.post("/v1/chat/completions", json=question())
    assert reply.status_code == 200
    assert reply.json()["choices"][0]["message"]["content"] == "The answer is 42."
    assert reply.headers["x-rung-model"] in {"small", "medium", "large"}
    assert reply.headers["x-rung-tier"] in {"economy", "standard", "premium"}
    assert reply.headers["x-rung-cache"] == "miss"
    assert reply.headers["x-rung-attempts"] == "1"
    assert 0 <= float(reply.headers["x-rung-difficulty"]) <= 1
    assert float(reply.headers["x-rung-cost-usd"]) > 0
    assert reply.headers["x-rung-decision-id"].startswith("dec_")
    assert reply.headers["x-request-id"].startswith("req_")


def test_an_answer_and_every_chunk_name_the_model_as_the_ladder_does(client: httpx.Client) -> None:
    asked = question()
    whole = client.post("/v1/chat/completions", json=asked)
    again = client.post("/v1/chat/completions", json=asked)
    assert (whole.headers["x-rung-cache"], again.headers["x-rung-cache"]) == ("miss", "hit")
    name = whole.json()["model"]
    assert name in {model["id"] for model in client.get("/v1/models").json()["data"]}
    assert name == whole.headers["x-rung-model"] == again.json()["model"]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    for fields in (question(**options), {**asked, **options}):
        streamed = client.post("/v1/chat/completions", json=fields)
        chunks = [json.loads(event) for event in events(streamed)[:-1]]
        assert {chunk["model"] for chunk in chunks} == {streamed.headers["x-rung-model"]}
        assert len(chunks) > 2


def test_the_client_s_request_id_is_kept(client: httpx.Client) -> None:
    reply = client.post("/v1/chat/completions", json=question(), headers={"x-request-id": "mine-1"})
    assert reply.headers["x-request-id"] == "mine-1"


def test_the_same_question_again_is_a_cache_hit_at_no_cost(client: httpx.Client, upstream: FakeUpstream) -> None:
    asked = question()
    first = client.post("/v1/chat/completions", json=asked)
    again = client.post("/v1/chat/completions", json=asked)
    assert again.headers["x-rung-cache"] == "hit"
    assert float(again.headers["x-rung-cost-usd"]) == 0
    assert again.content == first.content
    assert len(upstream.received) == 1


def test_a_kept_answer_is_told_as_a_stream(client: httpx.Client, upstream: FakeUpstream) -> None:
    asked = question()
    client.post("/v1/chat/completions", json=asked)
    told = events(client.post("/v1/chat/completions", json={**asked, "stream": True}))
    text = "".join(json.loads(e)["choices"][0]["delta"].get("content", "") for e in told[:-1])
    assert text == "The answer is 42."
    assert told[-1] == "[DONE]"
    assert len(upstream.received) == 1


def test_a_streamed_answer_is_kept_for_who_asks_again(client: httpx.Client, upstream: FakeUpstream) -> None:
    asked = question()
    client.post("/v1/chat/completions", json={**asked, "stream": True})
    again = client.post("/v1/chat/completions", json=asked)
    assert again.headers["x-rung-cache"] == "hit"
    assert again.json()["choices"][0]["message"]["content"] == "The answer is 42."
    assert len(upstream.received) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 1.5},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"top_k": 3},
        {"rung": {"cache": "off"}},
    ],
    ids=["hot", "tools", "unknown field", "asked not to"],
)
def test_what_should_not_be_kept_is_not(client: httpx.Client, upstream: FakeUpstream, change: dict[str, Any]) -> None:
    asked = question(**change)
    replies = [client.post("/v1/chat/completions", json=asked) for _ in range(2)]
    assert [reply.headers["x-rung-cache"] for reply in replies] == ["bypass", "bypass"]
    assert len(upstream.received) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(finish_reason="length"),
        Answer(text="", tool_calls=(("f", "{}"),), finish_reason="tool_calls"),
        Answer(finish_reason="content_filter"),
    ],
    ids=["cut off", "tool call", "refused"],
)
def test_a_partial_answer_is_never_kept(client: httpx.Client, upstream: FakeUpstream, answer: Answer) -> None:
    asked = question()
    upstream.say(answer)
    client.post("/v1/chat/completions", json=asked)
    assert client.post("/v1/chat/completions", json=asked).headers["x-rung-cache"] == "miss"


def test_no_cache_asks_afresh_and_keeps_the_new_answer(client: httpx.Client, upstream: FakeUpstream) -> None:
    asked = question()
    client.post("/v1/chat/completions", json=asked)
    upstream.say(Answer(text="Newer."))
    client.post("/v1/chat/completions", json=asked, headers={"cache-control": "no-cache"})
    kept = client.post("/v1/chat/completions", json=asked)
    assert kept.headers["x-rung-cache"] == "hit"
    assert kept.json()["choices"][0]["message"]["content"] == "Newer."


def test_a_stream_ends_with_usage_cost_and_decision_where_it_was_asked_for(client: httpx.Client) -> None:
    reply = client.post("/v1/chat/completions", json=question(stream=True, stream_options={"include_usage": True}))
    told = events(reply)
    last = json.loads(told[-2])
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert told[-1] == "[DONE]"
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert last["rung"]["decision_id"] == reply.headers["x-rung-decision-id"]
    assert last["rung"]["cost_nano_usd"] > 0
    assert len({(chunk["id"], chunk["created"]) for chunk in map(json.loads, told[:-1])}) == 1


def test_a_stream_says_nothing_of_usage_where_nobody_asked(client: httpx.Client) -> None:
    told = events(client.post("/v1/chat/completions", json=question(stream=True)))
    assert all("usage" not in json.loads(event) for event in told[:-1])


def test_a_stream_that_fails_in_the_middle_ends_with_one_error_and_no_done(
    client: httpx.Client, upstream: FakeUpstream
) -> None:
    upstream.say(Answer(text="one two three four", fault=Fault.RESET, fault_after=2))
    told = events(client.post("/v1/chat/completions", json=question(stream=True)))
    errors = [event for event in told if "error" in json.loads(event)]
    assert len(errors) == 1
    assert told[-1] == errors[0]


def test_a_failed_attempt_is_served_by_the_fallback(client: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.say(Answer(status=500))
    reply = client.post("/v1/chat/completions", json=question())
    assert reply.status_code == 200
    assert reply.headers["x-rung-attempts"] == "2"
    assert len({received.body["model"] for received in upstream.received}) == 2


def test_a_request_that_the_provider_refuses_is_not_tried_again(client: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.say(Answer(status=400, error={"message": "no such thing", "type": "invalid_request_error"}))
    reply = client.post("/v1/chat/completions", json=question())
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "upstream_rejected"
    assert len(upstream.received) == 1


def test_an_explicit_model_wins_and_has_no_fallback(client: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.say(Answer(status=503))
    reply = client.post("/v1/chat/completions", json=question(model="large"))
    assert reply.status_code in {502, 503}
    assert reply.json()["error"]["type"] == "server_error"
    assert [received.body["model"] for received in upstream.received] == ["fake-large"]


def test_the_client_s_dial_is_a_ceiling(client: httpx.Client, upstream: FakeUpstream) -> None:
    hard = "Prove that there are infinitely many primes congruent to 3 modulo 4. " + str(next(_fresh))
    asked = question(model="auto:quality", messages=[{"role": "user", "content": hard}])
    reply = client.post("/v1/chat/completions", json={**asked, "reasoning_effort": "none"})
    assert reply.headers["x-rung-reasoning-tokens"] == "0"
    assert upstream.received[0].body.get("reasoning_effort") in {None, "none"}


def test_an_unknown_field_reaches_only_a_model_that_takes_it(client: httpx.Client, upstream: FakeUpstream) -> None:
    reply = client.post("/v1/chat/completions", json=question(top_k=7))
    assert reply.headers["x-rung-model"] == "medium"
    assert upstream.received[0].body["top_k"] == 7


def test_settled_spend_is_the_upstream_s_usage_at_the_catalogue_s_prices(
    client: httpx.Client, upstream: FakeUpstream
) -> None:
    upstream.say(Answer(input_tokens=1000, output_tokens=500))
    reply = client.post("/v1/chat/completions", json=question(model="large"))
    assert spent_nano(client, reply) == 1000 * 5_000 + 500 * 25_000


def test_usage_that_is_not_reported_is_estimated_and_marked(client: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.say(Answer(usage=False))
    reply = client.post("/v1/chat/completions", json=question(model="large"))
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()
    assert record["served"]["estimated"] is True
    assert record["served"]["cost_nano"] > 0


def test_explain_puts_the_receipt_into_the_reply(client: httpx.Client) -> None:
    body = client.post("/v1/chat/completions", json=question(rung={"explain": True})).json()
    receipt = body["rung"]["receipt"]
    assert receipt["why_not_cheaper"]
    assert receipt["why_not_better"]
    assert receipt["candidates"]


def test_the_receipt_is_there_afterwards_and_only_for_its_tenant(client: httpx.Client, gateway: Running) -> None:
    reply = client.post("/v1/chat/completions", json=question())
    path = f"/v1/decisions/{reply.headers['x-rung-decision-id']}"
    record = client.get(path).json()
    assert record["object"] == "rung.decision"
    assert record["receipt"]["chosen"]["model"] == reply.headers["x-rung-model"]
    assert httpx.get(gateway.url + path, timeout=30).status_code == 401


def test_a_prompt_s_text_is_in_no_record(client: httpx.Client) -> None:
    asked = question(messages=[{"role": "user", "content": f"a very private matter {next(_fresh)}"}])
    reply = client.post("/v1/chat/completions", json=asked)
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").text
    assert "private matter" not in record


def test_a_dry_run_quotes_the_whole_ladder_and_calls_nobody(client: httpx.Client, upstream: FakeUpstream) -> None:
    quote = client.post("/v1/route", json={"messages": [{"role": "user", "content": "hi"}]}).json()
    assert {row["model"] for row in quote["menu"]} == {"small", "medium", "large"}
    assert all("expected_cost_usd" in row and "quality" in row and "allowance" in row for row in quote["menu"])
    assert upstream.received == []


def test_a_dry_run_prefers_another_rung_for_a_proof_than_for_a_greeting(client: httpx.Client) -> None:
    def choice(text: str) -> dict[str, Any]:
        return dict(client.post("/v1/route", json={"messages": [{"role": "user", "content": text}]}).json()["choice"])

    proof = "Prove that there are infinitely many primes congruent to 3 modulo 4."
    assert choice("Hi") != choice(proof)


def test_models_lists_auto_and_the_ladder(client: httpx.Client) -> None:
    listed = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert listed == ["auto:economy", "auto", "auto:quality", "small", "medium", "large"]
    assert client.get("/v1/models/large").json()["rung"]["tier"] == "premium"
    assert client.get("/v1/models/nothing").status_code == 404


def test_a_ceiling_on_cost_below_every_rung_is_refused_with_the_reasons(client: httpx.Client) -> None:
    reply = client.post("/v1/chat/completions", json=question(rung={"max_cost_usd": 0.0}))
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "no_admissible_model"


def test_health_readiness_and_metrics_need_no_key(gateway: Running) -> None:
    assert httpx.get(gateway.url + "/healthz", timeout=30).json() == {"status": "ok"}
    assert httpx.get(gateway.url + "/readyz", timeout=30).json()["status"] == "ready"
    assert "rung_requests_total" in httpx.get(gateway.url + "/metrics", timeout=30).text


def test_the_description_of_the_interface_names_every_route(gateway: Running) -> None:
    document = httpx.get(gateway.url + "/openapi.json", timeout=30).json()
    assert {"/v1/chat/completions", "/v1/route", "/v1/models", "/v1/decisions/{decision_id}"} <= set(document["paths"])
