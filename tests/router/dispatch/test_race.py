"""Two attempts at once, over fakes of the calls: who is told, who is booked, and what the breakers and shares hear."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from policies.types import Attempt
from router.dispatch.attempts import Starved, Way
from router.dispatch.course import Course, Lost
from router.dispatch.health import Health
from router.dispatch.hedging import AT_ONCE, LEAST_SEEN, Terms
from router.dispatch.race import Field, Race
from router.errors import UpstreamError
from router.upstream.types import UpstreamModel
from tests.patience import PATIENCE_S

AT_ONCE_TERMS = Terms(quantile=0.0, least_delay_s=0.0, share=0.0)  # the second is due as soon as the first is asked


def attempt(model: str) -> Attempt:
    return Attempt(model=model, tier="t", allowance=0, max_tokens=100, expected_cost_nano=4, worst_cost_nano=10)


PLAN = (attempt("a"), attempt("b"))


class Told(Health):
    """Breakers that write down what they hear."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []

    def called(self, model: str) -> None:
        self.heard.append(("called", model))
        super().called(model)

    def abandoned(self, model: str) -> None:
        self.heard.append(("abandoned", model))
        super().abandoned(model)


class Track:
    """A race of two calls whose results the test gives."""

    def __init__(self, *, known: bool = True) -> None:
        self.calls: dict[str, asyncio.Future[str]] = {one.model: asyncio.Future() for one in PLAN}
        self.asked = {one.model: asyncio.Event() for one in PLAN}
        self.left: list[str] = []
        self.fell: list[tuple[str, str]] = []
        self.noted = asyncio.Event()
        self.health = Told()
        self.race = Race(self.health, self._on_end)
        self.course = Course(hedging=AT_ONCE_TERMS)
        if known:
            for _ in range(LEAST_SEEN):
                self.race.hedges.note("a", 0.0, stream=False)

    def _on_end(
        self, fallen: Attempt, _targets: Mapping[str, UpstreamModel], _course: Course, error: UpstreamError | Starved
    ) -> None:
        self.fell.append((fallen.model, str(error)))
        self.noted.set()

    async def _ask(self, one: Attempt) -> str:
        self.asked[one.model].set()
        return await self.calls[one.model]

    async def _leave(self, one: Attempt, result: str) -> Lost:
        self.left.append(result)
        return Lost(attempt=one, output_bytes=len(result))

    def run(self) -> asyncio.Task[str]:
        targets = {one.model: UpstreamModel(name=f"openai/{one.model}") for one in PLAN}
        way: Way[str] = Way(ask=lambda one, _seconds: self._ask(one), leave=self._leave, stream=False)
        field = Field(plan=PLAN, targets=targets, ask=self._ask, way=way)
        return asyncio.create_task(self.race.run(field, self.course, PLAN[0]))

    async def both_asked(self) -> asyncio.Task[str]:
        running = self.run()
        for one in self.asked.values():
            await asyncio.wait_for(one.wait(), PATIENCE_S)
        return running


async def test_the_breakers_hear_of_the_second_and_of_who_was_left() -> None:
    track = Track()
    running = await track.both_asked()
    track.calls["b"].set_result("quick")
    assert await running == "quick"
    assert track.health.heard == [("called", "b"), ("abandoned", "a")]
    assert track.course.current == PLAN[1]
    assert track.calls["a"].cancelled()
    assert [lost.attempt.model for lost in track.course.lost] == ["a"]


async def test_of_two_that_end_together_the_answer_is_told() -> None:
    for failed, served in (("a", "b"), ("b", "a")):
        track = Track()
        running = await track.both_asked()
        track.calls[failed].set_exception(UpstreamError("no"))
        track.calls[served].set_result("an answer")
        assert await running == "an answer"
        assert track.course.current is not None
        assert track.course.current.model == served
        assert track.course.lost == [], "a refusal costs nothing"


async def test_of_two_answers_at_once_one_is_told_and_the_other_is_left_and_booked() -> None:
    track = Track()
    running = await track.both_asked()
    for model, call in track.calls.items():
        call.set_result(f"of {model}")
    told = await running
    assert track.course.current is not None
    assert told == f"of {track.course.current.model}"
    assert {told, *track.left} == {"of a", "of b"}
    assert [lost.output_bytes for lost in track.course.lost] == [4]


async def test_a_failure_while_the_other_runs_is_noted_with_whose_it_is_and_the_other_is_told() -> None:
    track = Track()
    running = await track.both_asked()
    track.calls["a"].set_exception(UpstreamError("first fell"))
    await asyncio.wait_for(track.noted.wait(), PATIENCE_S)
    track.calls["b"].set_result("an answer")
    assert await running == "an answer"
    assert track.fell == [("a", "first fell")]


async def test_a_starved_one_is_noted_and_closed_while_the_other_runs() -> None:
    track, closed = Track(), asyncio.Event()

    async def close() -> None:
        closed.set()

    running = await track.both_asked()
    track.calls["b"].set_exception(Starved("nothing", Lost(attempt=PLAN[1]), close))
    await asyncio.wait_for(closed.wait(), PATIENCE_S)
    assert [model for model, _ in track.fell] == ["b"]
    track.calls["a"].set_result("an answer")
    assert await running == "an answer"


async def test_a_starved_one_that_holds_nothing_needs_no_closing() -> None:
    track = Track()
    running = await track.both_asked()
    track.calls["b"].set_exception(Starved("nothing", Lost(attempt=PLAN[1])))
    await asyncio.wait_for(track.noted.wait(), PATIENCE_S)
    track.calls["a"].set_result("an answer")
    assert await running == "an answer"


async def test_a_mistake_of_ours_in_one_ends_the_race_and_books_the_other() -> None:
    track = Track()
    running = await track.both_asked()
    track.calls["b"].set_exception(KeyError("ours"))
    with pytest.raises(KeyError):
        await running
    assert track.fell == []
    assert track.calls["a"].cancelled()
    assert [lost.attempt.model for lost in track.course.lost] == ["a"]


async def test_a_model_that_is_not_known_is_waited_for_and_then_known() -> None:
    track = Track(known=False)
    for number in range(LEAST_SEEN):
        assert track.race.hedges.delay_s("a", AT_ONCE_TERMS, stream=False) is None
        track.calls["a"] = asyncio.Future()
        running = track.run()
        await track.asked["a"].wait()
        track.calls["a"].set_result(str(number))
        assert await running == str(number)
    delay_s = track.race.hedges.delay_s("a", AT_ONCE_TERMS, stream=False)
    assert delay_s is not None
    assert 0 <= delay_s < 10, "seconds from the asking to the answer"
    assert not track.asked["b"].is_set()


@pytest.mark.parametrize(("share", "hedged"), [(0.0, AT_ONCE), (1.0, AT_ONCE + 2)])
async def test_no_more_are_asked_beside_a_first_than_the_share_allows(share: float, hedged: int) -> None:
    track, seconds = Track(), 0
    track.course.hedging = replace(AT_ONCE_TERMS, share=share)
    for _ in range(int(AT_ONCE) + 2):
        track.calls = {one.model: asyncio.Future() for one in PLAN}
        track.asked = {one.model: asyncio.Event() for one in PLAN}
        track.health.heard.clear()
        running = track.run()
        await track.asked["a"].wait()
        for _ in range(20):  # the loop's turns: time for a second that is due at once
            await asyncio.sleep(0)
        seconds += track.asked["b"].is_set()
        track.calls["a"].set_result("an answer")
        await running
    assert seconds == hedged


async def test_a_client_that_leaves_has_both_cancelled_and_booked_as_nobody_s() -> None:
    track = Track()
    running = await track.both_asked()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert track.course.current is None
    assert [lost.attempt.model for lost in track.course.lost] == ["a", "b"]
    assert track.course.failures == [f"{model}: cancelled, because its client left" for model in "ab"]
