"""A slow first model is outrun by a second: who is told, who is cancelled, and what both cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from policies.types import Attempt
from router.dispatch.attempts import Starved, Way
from router.dispatch.course import Course, Lost
from router.dispatch.dispatcher import Dispatcher, Trail
from router.dispatch.health import Health
from router.dispatch.hedging import (
    AT_ONCE,
    LEAST_SEEN,
    Hedges,
    Terms,
    second,
)
from router.dispatch.race import lost_by
from router.errors import UpstreamError, UpstreamTimeout
from router.store import Hold
from router.testing import Answer, FakeUpstream, Fault
from router.upstream.client import UpstreamClient
from router.upstream.types import UpstreamModel
from tests.patience import PATIENCE_S

TERMS = Terms(quantile=0.95, least_delay_s=0.05, share=1.0)
BODY = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}


def slow() -> Answer:
    """An answer that does not come."""
    return Answer(gate=asyncio.Event(), text="slow")


def attempt(model: str, tier: str = "t", worst: int = 10) -> Attempt:
    return Attempt(model=model, tier=tier, allowance=0, max_tokens=100, expected_cost_nano=4, worst_cost_nano=worst)


PLAN = (attempt("a"), attempt("b"))


class Purse:
    """Money that may be set aside beyond the hold, as the settler would."""

    def __init__(self, nano: int) -> None:
        self.left = nano
        self.asked: list[int] = []
        self.was_asked = asyncio.Event()

    async def more(self, hold: Hold, nano: int, number: int) -> Hold | None:
        self.asked.append(nano)
        self.was_asked.set()
        if nano > self.left:
            return None
        return Hold(
            tenant=hold.tenant, id=f"{hold.id}-{number}", amount_nano=nano, windows="", scopes=(), reserved_at_ms=0
        )

    def course(self, terms: Terms | None = TERMS) -> Course:
        hold = Hold(tenant="t", id="h", amount_nano=10, windows="", scopes=(), reserved_at_ms=0)
        return Course(hold=hold, more=self.more, hedging=terms)


class Bench:
    def __init__(self, upstreams: dict[str, FakeUpstream], client: UpstreamClient) -> None:
        self.upstreams = upstreams
        self.health = Health()
        self.dispatcher = Dispatcher(client, lambda _attempt, _error: None, self.health)
        self.targets = {
            name: UpstreamModel(name="openai/fake", api_base=one.openai_base, api_key=SecretStr("k"))
            for name, one in upstreams.items()
        }
        for model in upstreams:
            for stream in (False, True):
                for _ in range(LEAST_SEEN):
                    self.dispatcher.race.hedges.note(model, 0.01, stream=stream)

    async def ask(self, stream: bool, course: Course, plan: tuple[Attempt, ...] = PLAN) -> tuple[Trail, bytes]:
        if not stream:
            served = await self.dispatcher.complete(plan, self.targets, BODY, 20, course)
            return served.trail, served.reply.body
        opened = await self.dispatcher.open(plan, self.targets, BODY, 20, course)
        async with opened.closing:
            return opened.trail, opened.first + b"".join([frames async for frames in opened.rest])

    async def both_are_asked(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.calls() != {"a": 1, "b": 1}:  # noqa: ASYNC110 - the fake provider's other side
                await asyncio.sleep(0.01)

    async def ask_both(self, stream: bool, course: Course, *, then: asyncio.Event) -> tuple[Trail, bytes]:
        """`ask`, with something that happens once both are asked."""
        asking = asyncio.create_task(self.ask(stream, course))
        await self.both_are_asked()
        then.set()
        return await asking

    def calls(self) -> dict[str, int]:
        return {name: len(one.received) for name, one in self.upstreams.items()}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with FakeUpstream() as one, FakeUpstream() as two, UpstreamClient() as client:
        await client.warm()
        yield Bench({"a": one, "b": two}, client)


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])


@both
async def test_a_slow_first_is_outrun_cancelled_and_booked(bench: Bench, stream: bool) -> None:
    bench.upstreams["a"].say(slow())
    bench.upstreams["b"].say(Answer(text="quick"))
    purse = Purse(100)
    course = purse.course()
    trail, body = await bench.ask(stream, course)
    assert trail.attempt.model == "b"
    assert b"quick" in body
    assert trail.number == 2
    assert bench.calls() == {"a": 1, "b": 1}
    assert purse.asked == [10], "the second's money is set aside beside the first's"
    assert trail.lost_nano == 4, "the first's expected cost"
    assert [hold.amount_nano for hold in trail.spare] == [10]
    assert trail.failures == ("a: cancelled, because b answered first",)
    await asyncio.wait_for(bench.upstreams["a"].received[0].closed.wait(), PATIENCE_S)


@both
async def test_a_first_that_answers_after_all_wins_and_the_second_is_booked(bench: Bench, stream: bool) -> None:
    gate = asyncio.Event()
    bench.upstreams["a"].say(Answer(gate=gate, text="first"))
    bench.upstreams["b"].say(slow())
    trail, body = await bench.ask_both(stream, Purse(100).course(), then=gate)
    assert trail.attempt.model == "a"
    assert b"first" in body
    assert (trail.number, trail.lost_nano, bench.calls()) == (2, 4, {"a": 1, "b": 1})


@both
async def test_a_first_in_its_usual_time_is_left_alone(bench: Bench, stream: bool) -> None:
    purse = Purse(100)
    trail, _ = await bench.ask(stream, purse.course(Terms(quantile=0.95, least_delay_s=10, share=1)))
    assert (trail.number, trail.lost_nano, trail.failures) == (1, 0, ())
    assert bench.calls() == {"a": 1, "b": 0}
    assert purse.asked == []


@both
async def test_without_money_for_both_only_the_first_is_asked(bench: Bench, stream: bool) -> None:
    purse = Purse(9)
    bench.upstreams["a"].say(Answer(gate=purse.was_asked, text="first"))
    trail, _ = await bench.ask(stream, purse.course())
    assert (trail.attempt.model, trail.number, bench.calls()) == ("a", 1, {"a": 1, "b": 0})
    assert purse.asked == [10]


@both
async def test_off_by_default(bench: Bench, stream: bool) -> None:
    gate = asyncio.Event()
    bench.upstreams["a"].say(Answer(gate=gate, text="first"))
    asyncio.get_running_loop().call_later(4 * TERMS.least_delay_s, gate.set)
    trail, _ = await bench.ask(stream, Purse(100).course(None))
    assert (trail.number, bench.calls()) == (1, {"a": 1, "b": 0})


@both
async def test_a_second_that_fails_leaves_the_first_to_answer(bench: Bench, stream: bool) -> None:
    gate = asyncio.Event()
    bench.upstreams["a"].say(Answer(gate=gate, text="first"))
    bench.upstreams["b"].say(Answer(status=503))
    course = Purse(100).course()
    asking = asyncio.create_task(bench.ask(stream, course))
    async with asyncio.timeout(PATIENCE_S):
        while not course.tried:  # noqa: ASYNC110 - until the second's failure is noted
            await asyncio.sleep(0.01)
    gate.set()
    trail, body = await asking
    assert (trail.attempt.model, trail.number, trail.lost_nano) == ("a", 2, 0)
    assert b"first" in body
    assert [tried.attempt.model for tried in course.tried] == ["b"]


@both
async def test_when_both_fail_the_plan_goes_on(bench: Bench, stream: bool) -> None:
    gate = asyncio.Event()
    bench.upstreams["a"].say(Answer(gate=gate, status=503))
    bench.upstreams["b"].say(Answer(status=429))
    course = Purse(1000).course()
    with pytest.raises(UpstreamError):
        await bench.ask_both(stream, course, then=gate)
    assert sorted(tried.attempt.model for tried in course.tried) == ["a", "b"]
    assert bench.calls() == {"a": 1, "b": 1}
    assert course.lost_nano == 0


@both
async def test_a_client_that_leaves_cancels_both_and_both_are_booked(bench: Bench, stream: bool) -> None:
    for one in bench.upstreams.values():
        one.say(slow())
    course = Purse(100).course()
    asking = asyncio.create_task(bench.ask(stream, course))
    await bench.both_are_asked()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert course.current is None
    assert sorted(lost.attempt.model for lost in course.lost) == ["a", "b"]
    assert course.lost_nano == 8


async def test_nothing_is_tried_beside_a_stream_that_has_begun(bench: Bench) -> None:
    bench.upstreams["a"].say(Answer(text="word " * 20, fault=Fault.RESET, fault_after=5))
    patient = Terms(quantile=0.95, least_delay_s=10, share=1)  # its first word may take a busy machine a while
    opened = await bench.dispatcher.open(PLAN, bench.targets, BODY, 20, Purse(100).course(patient))
    async with opened.closing:
        with pytest.raises(UpstreamError):
            _ = [frames async for frames in opened.rest]
    assert bench.calls() == {"a": 1, "b": 0}


# --- when


def test_a_model_that_is_not_known_yet_is_waited_for() -> None:
    hedges = Hedges()
    for _ in range(LEAST_SEEN - 1):
        hedges.note("a", 1.0, stream=False)
    assert hedges.delay_s("a", TERMS, stream=False) is None
    hedges.note("a", 1.0, stream=False)
    assert hedges.delay_s("a", TERMS, stream=False) == 1.0
    assert hedges.delay_s("a", TERMS, stream=True) is None


def test_the_delay_is_the_quantile_of_the_last_times_and_no_shorter_than_the_least() -> None:
    hedges = Hedges()
    for number in range(200):
        hedges.note("a", float(number), stream=False)
    assert hedges.delay_s("a", TERMS, stream=False) == 195.0
    assert hedges.delay_s("a", Terms(quantile=0.5, least_delay_s=0.05, share=1), stream=False) == 150.0
    assert hedges.delay_s("a", Terms(quantile=0.5, least_delay_s=500, share=1), stream=False) == 500
    assert hedges.delay_s("a", Terms(quantile=1.0, least_delay_s=0.05, share=1), stream=False) == 199.0


def test_hedges_come_in_a_burst_and_then_at_their_share() -> None:
    hedges, terms = Hedges(), Terms(quantile=0.95, least_delay_s=0.05, share=0.25)
    for _ in range(int(AT_ONCE)):
        assert hedges.may()
        hedges.made()
    allowed = 0
    for _ in range(40):
        hedges.asked(terms)
        if hedges.may():
            hedges.made()
            allowed += 1
    assert allowed == 10


def test_the_second_is_of_the_tier_another_model_and_rather_of_another_provider() -> None:
    plan = (attempt("a"), attempt("b"), attempt("c"), attempt("d", tier="u"), attempt("e"))
    where = ("x", "x", "y", "z", "y")
    assert second(plan[0], plan, where, ()) == plan[2], "the plan's order among those of other providers"
    assert second(plan[0], plan, where, ("c",)) == plan[4]
    assert second(plan[0], plan, where, ("c", "e")) == plan[1]
    assert second(plan[0], plan, where, ("b", "c", "e")) is None
    assert second(plan[2], plan, where, ()) == plan[0], "another provider than the slow one's own"
    assert second(plan[2], plan, where, ("a", "b")) == plan[4]
    assert second(plan[3], plan, where, ()) is None


@pytest.mark.parametrize(
    ("ended", "billed"),
    [
        (UpstreamError("refused"), False),
        (UpstreamTimeout("late"), True),
        (asyncio.CancelledError(), True),
        ("an answer", True),
    ],
    ids=["refused", "timed out", "cancelled", "answered"],
)
async def test_whoever_may_have_worked_is_billed(ended: object, billed: bool) -> None:
    left: list[object] = []

    async def leave(loser: Attempt, result: object) -> Lost:
        left.append(result)
        return Lost(attempt=loser, output_bytes=7)

    way: Way[object] = Way(ask=lambda _attempt, _seconds: asyncio.sleep(0), leave=leave, stream=False)
    lost = await lost_by(way, PLAN[0], ended)
    assert (lost is not None) == billed
    assert left == (["an answer"] if ended == "an answer" else [])
    broken = UpstreamError("broke in the middle")
    broken.answered = True
    assert await lost_by(way, PLAN[0], broken) == Lost(attempt=PLAN[0])


async def test_a_starved_loser_is_billed_as_reported_and_closed() -> None:
    closed: list[str] = []

    async def close() -> None:
        closed.append("closed")

    async def leave(_loser: Attempt, _result: object) -> Lost:
        raise AssertionError("it has no result to leave")

    way: Way[object] = Way(ask=lambda _attempt, _seconds: asyncio.sleep(0), leave=leave, stream=False)
    lost = Lost(attempt=PLAN[1], output_bytes=3)
    assert await lost_by(way, PLAN[1], Starved("nothing", lost, close)) == lost
    assert closed == ["closed"]
