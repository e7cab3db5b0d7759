"""Attempts: which failures are tried again, how often, and never after the first byte; counted at the provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from policies.types import Attempt
from router.dispatch import Dispatcher
from router.errors import UpstreamError, UpstreamRejected, UpstreamTimeout
from router.testing import Answer, FakeUpstream, Fault
from router.upstream.client import UpstreamClient
from router.upstream.types import UpstreamModel

BODY = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
FAILING = {
    "429": Answer(status=429),
    "500": Answer(status=500),
    "502": Answer(status=502),
    "503": Answer(status=503),
    "401": Answer(status=401),
    "reset": Answer(fault=Fault.RESET, fault_after=-1),
    "garbage": Answer(fault=Fault.GARBAGE, fault_after=-1),
    "empty": Answer(fault=Fault.EMPTY, fault_after=-1),
}


def plan(*models: str) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(model=model, tier="t", allowance=0, max_tokens=100, expected_cost_nano=1, worst_cost_nano=2)
        for model in models
    )


class Bench:
    def __init__(self, upstream: FakeUpstream, client: UpstreamClient) -> None:
        self.upstream = upstream
        self.failures: list[str] = []
        self.dispatcher = Dispatcher(
            client, lambda attempt, error: self.failures.append(f"{attempt.model} {error.code}")
        )
        target = UpstreamModel(name="openai/fake", api_base=upstream.openai_base, api_key=SecretStr("k"))
        self.targets = dict.fromkeys(("a", "b", "c"), target)

    async def ask(self, stream: bool, *models: str, timeout_s: float = 20) -> tuple[int, bytes]:
        """How many calls it took, and what came."""
        if not stream:
            served = await self.dispatcher.complete(plan(*models), self.targets, BODY, timeout_s)
            return served.trail.number, served.reply.body
        opened = await self.dispatcher.open(plan(*models), self.targets, BODY, timeout_s)
        async with opened.closing:
            return opened.trail.number, opened.first + b"".join([frames async for frames in opened.rest])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with FakeUpstream() as upstream, UpstreamClient() as client:
        await client.warm()
        yield Bench(upstream, client)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.parametrize("failed", [1, 2, 3])
async def test_what_another_can_mend_is_tried_once_with_each_and_no_more(
    bench: Bench, stream: bool, kind: str, failed: int
) -> None:
    bench.upstream.say(*[FAILING[kind]] * failed)
    if failed < 3:
        number, body = await bench.ask(stream, "a", "b", "c")
        assert number == failed + 1
        assert b"42" in body
    else:
        with pytest.raises(UpstreamError):
            await bench.ask(stream, "a", "b", "c")
    assert len(bench.upstream.received) == min(failed + 1, 3)
    assert len(bench.failures) == failed


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_what_nobody_can_mend_is_not_tried_again(bench: Bench, stream: bool, status: int) -> None:
    bench.upstream.say(Answer(status=status))
    with pytest.raises(UpstreamRejected):
        await bench.ask(stream, "a", "b")
    assert len(bench.upstream.received) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
async def test_the_deadline_is_for_all_attempts_together(bench: Bench, stream: bool) -> None:
    bench.upstream.say(Answer(gate=asyncio.Event()))
    with pytest.raises(UpstreamTimeout):
        await bench.ask(stream, "a", "b", timeout_s=0.3)
    assert len(bench.upstream.received) == 1


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.TRUNCATE, Fault.ERROR_EVENT, Fault.GARBAGE])
async def test_nothing_is_tried_again_after_the_first_frame(bench: Bench, fault: Fault) -> None:
    gate = asyncio.Event()
    bench.upstream.say(Answer(text="one two three", fault=fault, fault_after=2, between=gate))
    opened = await bench.dispatcher.open(plan("a", "b"), bench.targets, BODY, 20)
    gate.set()
    async with opened.closing:
        with pytest.raises(UpstreamError):
            _ = [frames async for frames in opened.rest]
    assert len(bench.upstream.received) == 1


async def test_leaving_a_stream_early_closes_the_connection(bench: Bench) -> None:
    bench.upstream.say(Answer(text="one two three", between=asyncio.Event()))
    opened = await bench.dispatcher.open(plan("a"), bench.targets, BODY, 20)
    await opened.closing.aclose()
    received = await bench.upstream.arrived()
    await asyncio.wait_for(received.closed.wait(), 1)


async def test_an_answer_that_breaks_the_reader_is_the_provider_s_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = UpstreamClient.complete
    calls: list[str] = []

    async def odd(client: UpstreamClient, call: object) -> object:
        calls.append("call")
        if len(calls) == 1:
            raise TypeError("an odd answer")
        return await real(client, call)  # type: ignore[arg-type]

    monkeypatch.setattr(UpstreamClient, "complete", odd)
    number, body = await bench.ask(False, "a", "b")  # noqa: FBT003 - named by the parameter of the other tests
    assert (number, b"42" in body) == (2, True)
    assert bench.failures == ["a upstream_unreachable"]
