"""A stream that thinks beyond its cap, through the whole gateway: the client's end, and the books."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import orjson
import pytest

from router.testing import Answer, FakeUpstream, Fault
from tests.gateway import Running, fake_ladder, fake_settings, running
from tests.router.api.conftest import Books

NANO_PER_TOKEN_OUT = 25_000


@pytest.fixture(scope="module")
def running_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One model that always thinks, and that nothing but `max_tokens` bounds."""
    large = fake_ladder(shared_upstream.openai_base)[2]
    always = {"family": "openai-effort", "control": "levels", "can_disable": False, "levels": {"low": 1024}}
    settings = fake_settings(
        shared_upstream.openai_base, tmp_path_factory.mktemp("gateway"), models=[{**large, "reasoning": always}]
    )
    with running(settings) as gateway:
        yield gateway


def test_it_ends_with_length_and_is_billed_as_what_has_passed(
    client: httpx.Client, upstream: FakeUpstream, books: Books
) -> None:
    before = books.settled()
    upstream.say(Answer(text="".join(f"{n:04} " for n in range(20_000)), fault=Fault.STALL, fault_after=9_000))
    body = {"model": "large", "messages": [{"role": "user", "content": "Hello?"}], "stream": True}
    with client.stream("POST", "/v1/chat/completions", json={**body, "max_tokens": 2_000}) as reply:
        told = [line.removeprefix("data: ") for line in reply.read().decode().split("\n\n") if line]
    assert told[-1] == "[DONE]"
    events = [orjson.loads(event) for event in told[:-1]]
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    relayed = sum(len(event["choices"][0]["delta"].get("content") or "") for event in events)
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()["served"]
    assert (record["finish_reason"], record["estimated"]) == ("length", True)
    assert record["usage"]["output"] == min(-(-relayed // 4), 2_000), "an estimate is no more than the call could make"
    paid = books.settled() - before
    assert paid == record["cost_nano"]
    assert paid >= record["usage"]["output"] * NANO_PER_TOKEN_OUT
    again = client.post("/v1/chat/completions", json={**body, "stream": False, "max_tokens": 2_000})
    assert again.headers["x-rung-cache"] == "miss", "a partial answer is nobody else's"
