"""Attempts: which failures are tried again, how often, and never after the first byte; counted at the provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from policies.fallback import Failure
from policies.types import Attempt, Control, Reasoning
from router.dispatch.course import Course
from router.dispatch.dispatcher import Dispatcher, Trail
from router.dispatch.health import Health
from router.errors import UpstreamError, UpstreamRejected, UpstreamTimeout
from router.store import Hold
from router.testing import Answer, FakeUpstream, Fault
from router.upstream.client import UpstreamClient
from router.upstream.types import UpstreamModel
from tests.patience import PATIENCE_S

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
        self.targets: dict[str, UpstreamModel] = dict.fromkeys(("a", "b", "c"), target)

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
@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404, error={"message": "The model `x` does not exist", "code": "model_not_found"}),
        Answer(status=400, error={"message": "too long", "code": "context_length_exceeded"}),
    ],
    ids=["an unknown model", "a short window"],
)
async def test_what_only_this_model_refuses_another_may_take(bench: Bench, stream: bool, answer: Answer) -> None:
    bench.upstream.say(answer)
    number, body = await bench.ask(stream, "a", "b")
    assert (number, b"42" in body) == (2, True)


async def test_of_many_failures_at_once_only_so_many_are_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.dispatch.dispatcher.RETRIES_AT_ONCE", 2.0)
    monkeypatch.setattr("router.dispatch.dispatcher.RETRIES_PER_REQUEST", 0.0)
    bench.upstream.default = Answer(status=503)
    for calls in (2, 4, 5, 6):
        with pytest.raises(UpstreamError):
            await bench.ask(False, "a", "b")  # noqa: FBT003 - named by the parameter of the other tests
        assert len(bench.upstream.received) == calls


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
async def test_a_model_s_own_time_out_leaves_time_for_the_next(bench: Bench, stream: bool) -> None:
    bench.targets["a"] = replace(bench.targets["a"], timeout_s=0.2)
    bench.upstream.say(Answer(gate=asyncio.Event()))
    number, body = await bench.ask(stream, "a", "b")
    assert (number, b"42" in body) == (2, True)
    assert bench.failures == ["a upstream_timeout"]


THINKER = Reasoning(
    family="openai-effort", control=Control.LEVELS, levels=(("low", 1024), ("medium", 4096)), can_disable=False
)
EATEN = Answer(text="", finish_reason="length", output_tokens=100, reasoning_tokens=100)


def thinking(bench: Bench, allowance: int) -> tuple[Attempt, ...]:
    bench.targets = {name: replace(target, reasoning=THINKER) for name, target in bench.targets.items()}
    return tuple(replace(attempt, allowance=allowance) for attempt in plan("a", "b"))


async def body_and_trail(
    bench: Bench, attempts: tuple[Attempt, ...], course: Course, *, stream: bool
) -> tuple[bytes, Trail]:
    if not stream:
        served = await bench.dispatcher.complete(attempts, bench.targets, BODY, 20, course)
        return served.reply.body, served.trail
    opened = await bench.dispatcher.open(attempts, bench.targets, BODY, 20, course)
    async with opened.closing:
        return opened.first + b"".join([frames async for frames in opened.rest]), opened.trail


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
async def test_a_starved_answer_is_asked_for_once_more_with_the_least_thinking(bench: Bench, stream: bool) -> None:
    attempts, course = thinking(bench, 4096), Course()
    bench.upstream.say(EATEN)
    body, trail = await body_and_trail(bench, attempts, course, stream=stream)
    assert b"42" in body
    assert (trail.attempt.model, trail.attempt.allowance, trail.number) == ("a", 1024, 2)
    assert [lost.usage.output for lost in course.lost if lost.usage] == [100]
    assert bench.failures == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
async def test_a_starved_answer_that_nobody_can_mend_is_told_as_it_is(bench: Bench, stream: bool) -> None:
    attempts, course = thinking(bench, 1024), Course()
    bench.upstream.say(EATEN)
    body, trail = await body_and_trail(bench, attempts, course, stream=stream)
    assert b'"length"' in body
    assert (trail.number, trail.lost_nano, course.lost) == (1, 0, [])
    assert len(bench.upstream.received) == 1


async def test_thinking_that_the_client_has_seen_is_not_begun_anew(bench: Bench) -> None:
    bench.upstream.say(Answer(thinking="hm hm hm", text="", finish_reason="length", reasoning_tokens=3))
    opened = await bench.dispatcher.open(thinking(bench, 4096), bench.targets, BODY, 20)
    async with opened.closing:
        assert b"hm hm" in opened.first + b"".join([frames async for frames in opened.rest])
    assert len(bench.upstream.received) == 1


async def test_a_further_attempt_needs_its_money(bench: Bench) -> None:
    asked: list[int] = []

    async def none_left(_hold: Hold, nano: int, _number: int) -> None:
        asked.append(nano)

    hold = Hold(tenant="t", id="h", amount_nano=2, windows="", scopes=(), reserved_at_ms=0)
    course = Course(hold=hold, more=none_left)
    bench.targets["a"] = replace(bench.targets["a"], timeout_s=0.2)
    bench.upstream.say(Answer(gate=asyncio.Event()))
    with pytest.raises(UpstreamTimeout):
        await bench.dispatcher.complete(plan("a", "b"), bench.targets, BODY, 20, course)
    assert asked == [1]  # one of the lost attempt and two of the next, of which two are held
    assert course.lost_nano == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
async def test_the_attempts_after_a_breaker_has_opened_pass_its_model_over(bench: Bench, stream: bool) -> None:
    for _ in range(5):
        bench.dispatcher.health.failed("a", Failure.TIMEOUT, None)
    number, _body = await bench.ask(stream, "a", "b")
    assert number == 1
    assert bench.dispatcher.health.down().keys() == {"a"}


async def test_a_client_that_leaves_ends_the_try_of_a_breaker(bench: Bench) -> None:
    now = [0.0]
    health = bench.dispatcher.health = Health(clock=lambda: now[0], draw=lambda: 0.0)
    health.failed("a", Failure.RATE_LIMITED, 1.0)
    now[0] = 1.0
    bench.upstream.say(Answer(gate=asyncio.Event()))
    asking = asyncio.create_task(bench.ask(False, "a"))  # noqa: FBT003 - named by the parameter of the other tests
    await bench.upstream.arrived()
    assert health.down().keys() == {"a"}
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not health.down()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
async def test_the_deadline_is_for_all_attempts_together(bench: Bench, stream: bool) -> None:
    bench.upstream.say(Answer(gate=asyncio.Event()))
    with pytest.raises(UpstreamTimeout):
        await bench.ask(stream, "a", "b", timeout_s=1.0)
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
    await asyncio.wait_for(received.closed.wait(), PATIENCE_S)


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
