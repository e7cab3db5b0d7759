"""The classifier off the loop: what fails or is late is a marked default; what is known is not judged twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from classifier.types import Query
from router.estimation.estimator import UNKNOWN_DIFFICULTY, Estimator, forecast_of
from router.estimation.together import MOST
from router.upstream.local_model import catalogue_entry
from tests.judges import Judge, estimate
from tests.patience import PATIENCE_S

MODELS = {"a": catalogue_entry()}


def asked(judge: Judge) -> int:
    """How many texts it was asked to judge."""
    return sum(map(len, judge.batches))


@pytest.fixture
def judge() -> Iterator[Judge]:
    made = Judge()
    yield made
    made.may_answer.set()


def estimator(judge: Judge | None, *, timeout_s: float = 5, recent: int = 2) -> Estimator:
    return Estimator(judge, timeout_s=timeout_s, recent=recent)


async def test_what_was_judged_lately_is_not_judged_again_and_the_oldest_is_forgotten(judge: Judge) -> None:
    made = estimator(judge)
    for text in ("a", "b", "a", "c", "a", "b"):
        assert await made.estimate(Query(text=text)) is not None
    assert asked(judge) == 4  # a, b, c, and b again: it was the one not used for longest
    made.close()


async def test_without_a_memory_everything_is_judged_anew(judge: Judge) -> None:
    made = estimator(judge, recent=0)
    for _ in range(3):
        await made.estimate(Query(text="a"))
    assert asked(judge) == 3
    made.close()


async def test_a_late_or_failing_or_missing_classifier_is_a_default_and_one_line(
    judge: Judge, caplog: pytest.LogCaptureFixture
) -> None:
    judge.may_answer.clear()
    made = estimator(judge, timeout_s=0.01)
    assert await made.estimate(Query(text="a")) is None
    judge.may_answer.set()
    judge.fails = True
    failing = estimator(judge)
    assert [await failing.estimate(Query(text=text)) for text in "bcd"] == [None] * 3
    assert failing.failures == 3
    assert [record.getMessage() for record in caplog.records if "RuntimeError" in record.getMessage()] == [
        "the classifier failed: RuntimeError: no idea (1 times so far); defaults are used and marked"
    ]
    assert "took too long" in caplog.text
    assert await estimator(None).estimate(Query(text="a")) is None
    for used in (made, failing):
        used.close()


async def test_only_texts_that_the_classifier_vouches_for_are_judged_on_the_loop(judge: Judge) -> None:
    made, here = estimator(judge, recent=0), threading.get_ident()
    judge.quick_chars = 5
    await made.estimate(Query(text="short"))
    assert judge.threads == {here}
    await made.estimate(Query(text="longer"))
    assert judge.threads > {here}
    judge.fails = True
    assert await made.estimate(Query(text="short")) is None


async def test_short_texts_that_wait_together_are_judged_together_a_few_at_a_time(judge: Judge) -> None:
    made, judge.quick_chars = estimator(judge, recent=0), 5
    waiting = [made.estimate(Query(text=f"{number}")) for number in range(MOST + 3)]
    assert await asyncio.gather(*waiting) == [estimate()] * (MOST + 3)
    assert list(map(len, judge.batches)) == [MOST, 3]


async def test_a_query_that_cannot_be_judged_spoils_no_other(judge: Judge) -> None:
    made, judge.quick_chars, judge.baffled_by = estimator(judge, recent=0), 5, "b"
    told = await asyncio.gather(*[made.estimate(Query(text=text)) for text in "abc"])
    assert told == [estimate(), None, estimate()]
    assert made.failures == 1


async def test_who_leaves_is_not_judged(judge: Judge) -> None:
    made, judge.quick_chars = estimator(judge, recent=0), 5
    leaving = asyncio.create_task(made.estimate(Query(text="a")))
    staying = asyncio.create_task(made.estimate(Query(text="b")))
    await asyncio.sleep(0)  # both have asked
    leaving.cancel()
    assert await staying == estimate()
    assert asked(judge) == 1


async def test_a_swap_forgets_what_the_former_one_said_even_of_questions_under_way(judge: Judge) -> None:
    made = estimator(judge)
    judge.may_answer.clear()
    under_way = asyncio.create_task(made.estimate(Query(text="a")))
    await asyncio.to_thread(judge.is_asked.wait, PATIENCE_S)
    made.swap(Judge(version="2"))
    judge.may_answer.set()
    former = await under_way
    assert former is not None
    assert former.version == "judge-1"
    now = await made.estimate(Query(text="a"))
    assert now is not None
    assert (now.version, made.version) == ("2", "2")
    made.close()


def test_a_default_forecast_is_marked_and_takes_each_model_at_its_ability() -> None:
    forecast = forecast_of(None, MODELS)
    assert forecast.is_default
    assert forecast.difficulty == UNKNOWN_DIFFICULTY
    assert forecast.success["a"] == MODELS["a"].ability


def test_a_model_with_a_head_of_its_own_is_judged_by_it() -> None:
    told = estimate()
    told.heads["a"] = 0.99
    assert forecast_of(told, MODELS).success["a"] == 0.99
    assert forecast_of(estimate(), MODELS).success["a"] == pytest.approx(0.2 + 0.6 * MODELS["a"].ability)
