"""Attempts that fail, seen from outside: who answers, what is booked, and who is kept away from."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.resources.pepper import read_pepper
from router.store import Store, embedded
from router.testing import Answer, FakeUpstream
from tests.gateway import Running, fake_ladder, fake_settings, running
from tests.patience import PATIENCE_S
from tests.router.api.conftest import Books, Loop
from tests.store_servers import PATIENT

PUZZLE = "Five people live in five houses. Prove who owns the zebra, step by step. Case {}"
_fresh = itertools.count()
FAILURES = 3


def ask(client: httpx.Client, **fields: Any) -> httpx.Response:
    question = PUZZLE.format(next(_fresh))
    body = {"model": "large", "messages": [{"role": "user", "content": question}], "rung": {"cache": "off"}}
    return client.post("/v1/chat/completions", json={**body, **fields})


def record(client: httpx.Client, reply: httpx.Response) -> dict[str, Any]:
    return client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").raise_for_status().json()


@pytest.fixture(scope="module")
def impatient_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Models that give up after a while, and breakers."""
    models = [{**model, "timeout_s": 2.0} for model in fake_ladder(shared_upstream.openai_base)]
    data_dir = tmp_path_factory.mktemp("impatient")
    settings = fake_settings(shared_upstream.openai_base, data_dir, models=models, breaker_failures=FAILURES)
    with running(settings) as gateway:
        yield gateway


@pytest.fixture
def impatient(impatient_gateway: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=impatient_gateway.url, headers=impatient_gateway.headers, timeout=30) as made:
        yield made


@pytest.fixture
def its_books(impatient_gateway: Running, loop: Loop) -> Iterator[Books]:
    made = Books(loop, impatient_gateway)
    yield made
    made.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_a_starved_answer_and_its_second_try_are_both_billed_to_the_nano_dollar(
    client: httpx.Client, upstream: FakeUpstream, books: Books, stream: bool
) -> None:
    before = books.settled()
    upstream.say(Answer(text="", finish_reason="length", input_tokens=40, output_tokens=900, reasoning_tokens=900))
    rung = {"cache": "off", "quality": 1}
    reply = ask(client, rung=rung, stream=stream, stream_options={"include_usage": True} if stream else None)
    assert reply.status_code == 200, reply.text
    assert "42" in reply.text
    assert reply.headers["x-rung-attempts"] == "2"
    assert "reasoning_effort" in upstream.received[0].body
    bills = [5_000 * bill.input + 25_000 * bill.output for bill in upstream.bills]
    assert books.settled() - before == sum(bills)
    served = record(client, reply)["served"]
    assert (served["lost_nano"], served["cost_nano"]) == (bills[0], sum(bills))


def test_a_timed_out_attempt_is_booked_at_what_it_was_expected_to_cost(
    impatient: httpx.Client, upstream: FakeUpstream, its_books: Books
) -> None:
    before = its_books.settled()
    upstream.say(Answer(gate=asyncio.Event()))
    reply = ask(impatient, model="auto")
    assert reply.status_code == 200, reply.text
    told = record(impatient, reply)
    lost = told["receipt"]["plan"][0]["expected_cost_nano"]
    assert (told["served"]["lost_nano"], told["served"]["estimated"]) == (lost, True)
    assert its_books.settled() - before == told["served"]["cost_nano"] > lost > 0


def test_a_prompt_is_billed_by_the_prices_of_its_true_length(
    shared_upstream: FakeUpstream, upstream: FakeUpstream, tmp_path: Path
) -> None:
    dear = {"from_input_tokens": 1_000, "input": 50, "output": 50}
    models = [{**model, "price_rules": [dear]} for model in fake_ladder(shared_upstream.openai_base)]
    settings = fake_settings(shared_upstream.openai_base, tmp_path, models=models)
    upstream.say(Answer(input_tokens=999, output_tokens=10), Answer(input_tokens=1_000, output_tokens=10))
    with (
        running(settings) as gateway,
        httpx.Client(base_url=gateway.url, headers=gateway.headers, timeout=30) as client,
    ):
        text = "word " * 900  # some 1,000 tokens at the very most, of which the plan has a bound
        costs = []
        for _ in range(2):
            reply = ask(client, messages=[{"role": "user", "content": text}])
            served = record(client, reply)["served"]
            costs.append((served["cost_nano"], served["prices"]["input"]))
    assert costs == [(999 * 5_000 + 10 * 25_000, 5_000_000_000), (1_010 * 50_000, 50_000_000_000)]


def test_a_model_that_keeps_failing_is_kept_away_from_and_the_receipt_says_so(
    impatient: httpx.Client, upstream: FakeUpstream, impatient_gateway: Running, loop: Loop
) -> None:
    upstream.say(*[Answer(status=503)] * FAILURES)
    for _ in range(FAILURES):
        assert ask(impatient).status_code == 503
    assert len(upstream.received) == FAILURES
    kept_away = ask(impatient)
    assert kept_away.status_code == 503
    assert kept_away.json()["error"]["code"] == "model_not_available"
    assert 0 < int(kept_away.headers["retry-after"]) <= 8
    assert len(upstream.received) == FAILURES
    other = ask(impatient, model="auto", rung={"quality": 1, "cache": "off"})
    assert other.status_code == 200
    assert other.headers["x-rung-model"] != "large"
    assert f"failed {FAILURES} times in a row" in other.headers["x-rung-preferred-unavailable"]
    assert f"failed {FAILURES} times in a row" in record(impatient, other)["receipt"]["served"]
    assert "rung_breaker_openings_total" in impatient.get("/metrics").text
    assert list(loop.run(_told(impatient_gateway))) == ["large"]


async def _told(gateway: Running) -> dict[str, bytes]:
    """What any other process would hear."""
    url = f"unix://{embedded.socket_path(gateway.settings.store.data_dir)}"
    store = await Store.connect(url, pepper=read_pepper(gateway.settings), upkeep=False, **PATIENT)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (rows := await store.health.exchange({}, ())):  # noqa: ASYNC110 - another process' news
                await asyncio.sleep(0.01)
        return rows
    finally:
        await store.close()
