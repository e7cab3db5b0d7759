"""Hedging through the whole gateway: the books of a request that asked two models at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from router.dispatch.hedging import LEAST_SEEN
from router.testing import Answer, FakeUpstream
from tests.gateway import Running, fake_ladder, fake_settings, running
from tests.router.api.conftest import Books, Loop

CHAT = "/v1/chat/completions"


def asked(*, stream: bool) -> dict[str, Any]:
    message = {"role": "user", "content": "Hello?"}
    return {"model": "auto", "messages": [message], "stream": stream, "rung": {"cache": "off"}}


@pytest.fixture(scope="module")
def running_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two models of one tier, of which this process knows how long they take."""
    medium = fake_ladder(shared_upstream.openai_base)[1]
    twins = [{**medium, "id": name} for name in ("one", "two")]
    settings = fake_settings(
        shared_upstream.openai_base,
        tmp_path_factory.mktemp("gateway"),
        models=twins,
        hedging={"enabled": True, "least_delay_s": 0.05, "share": 1.0},
    )
    with running(settings) as gateway:
        with httpx.Client(base_url=gateway.url, headers=gateway.headers, timeout=30) as client:
            for number in range(2 * LEAST_SEEN):
                client.post(CHAT, json=asked(stream=bool(number % 2))).raise_for_status()
        yield gateway


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_the_winner_is_billed_exactly_and_the_loser_as_expected(
    client: httpx.Client, upstream: FakeUpstream, books: Books, loop: Loop, stream: bool
) -> None:
    before = books.settled()
    upstream.say(Answer(gate=loop.run(_event()), text="slow"), Answer(text="quick"))
    reply = client.post(CHAT, json=asked(stream=stream))
    assert reply.status_code == 200
    assert "quick" in reply.text
    spent = books.settled() - before
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").json()["served"]
    assert len(upstream.received) == 2
    assert (record["attempts"], record["estimated"]) == (2, True)
    won_by = record["model"]
    assert record["failures"] == [f"{'two' if won_by == 'one' else 'one'}: cancelled, because {won_by} answered first"]
    usage = record["usage"]
    won = usage["input"] * 1_000 + usage["output"] * 4_000
    assert record["lost_nano"] > 0
    assert spent == record["cost_nano"] == won + record["lost_nano"]


async def _event() -> asyncio.Event:
    return asyncio.Event()
