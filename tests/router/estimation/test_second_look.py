"""The second classifier beside the loop: in good time or not at all, and never an error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier.second_look import Second
from classifier.types import Query
from policies.second_look import Looked
from router.configuration.serving import SecondLookSettings
from router.configuration.settings import ConfigError
from router.estimation.second_look import SecondLooks, load_second_look
from tests.judges import Judge
from tests.second_looks import static_in_place_of_a_transformer

MOST = 4


@pytest.fixture
def judge() -> Iterator[Judge]:
    made = Judge()
    yield made
    made.may_answer.set()


def looks(judge: Judge, *, within_s: float = 10.0, recent: int = 0) -> SecondLooks:
    made = SecondLooks(Second(model=judge, weight=0.5, together=MOST), within_s=within_s, recent=recent)
    judge.batches.clear()  # of the warming up
    judge.is_asked.clear()
    return made


async def asked(judge: Judge) -> None:
    assert await asyncio.to_thread(judge.is_asked.wait, 10)


async def test_a_look_in_time_is_taken(judge: Judge) -> None:
    made = looks(judge)
    result, told = await made.take(Query(text="a"))
    assert result is Looked.TAKEN
    assert told is not None
    assert told.version == judge.version
    made.close()


async def test_what_was_looked_at_lately_is_not_looked_at_again(judge: Judge) -> None:
    made = looks(judge, recent=1)
    assert await made.take(Query(text="a")) == await made.take(Query(text="a"))
    assert judge.batches == [["a"]]
    made.close()


async def test_what_waits_goes_in_together_and_the_longest_wait_first(judge: Judge) -> None:
    made = looks(judge)
    judge.may_answer.clear()
    first = asyncio.create_task(made.take(Query(text="first")))
    await asked(judge)
    rest = [asyncio.create_task(made.take(Query(text=str(n)))) for n in range(MOST + 1)]
    await asyncio.sleep(0)
    before = made.expected_s()
    judge.may_answer.set()
    assert {result for result, _ in await asyncio.gather(first, *rest)} == {Looked.TAKEN}
    assert judge.batches == [["first"], [str(n) for n in range(MOST)], [str(MOST)]]
    assert before > made.expected_s() >= 0.0
    made.close()


async def test_a_late_look_is_not_used_and_those_after_it_are(judge: Judge) -> None:
    made = looks(judge, within_s=0.01)
    judge.may_answer.clear()
    assert await made.take(Query(text="slow")) == (Looked.LATE, None)
    assert await made.take(Query(text="behind it")) == (Looked.LATE, None)
    judge.may_answer.set()
    assert made.expected_s() == float("inf")  # the machine is given a moment
    made.paused_until = 0.0
    assert made.expected_s() < float("inf")
    made.within_s = 10.0
    assert (await made.take(Query(text="quick")))[0] is Looked.TAKEN
    assert judge.batches == [["slow"], ["quick"]]  # nobody waited for the one behind it any more
    made.close()


async def test_what_was_slow_once_is_tried_again_when_nothing_is_before_it(judge: Judge) -> None:
    made = looks(judge)
    made.text_s = 100.0
    assert made.expected_s() == 0.0
    judge.may_answer.clear()
    slow = asyncio.create_task(made.take(Query(text="slow")))
    await asked(judge)
    assert made.expected_s() == 200.0
    judge.may_answer.set()
    await slow
    assert made.expected_s() == 0.0
    assert made.text_s < 91.0
    made.close()


async def test_who_goes_away_takes_nobody_along(judge: Judge) -> None:
    made = looks(judge)
    judge.may_answer.clear()
    gone = asyncio.create_task(made.take(Query(text="gone")))
    await asked(judge)
    stays = asyncio.create_task(made.take(Query(text="stays")))
    await asyncio.sleep(0)
    gone.cancel()
    judge.may_answer.set()
    assert (await stays)[0] is Looked.TAKEN
    made.close()


async def test_what_cannot_be_judged_spoils_no_others_look_and_is_said_once(
    judge: Judge, caplog: pytest.LogCaptureFixture
) -> None:
    made = looks(judge)
    judge.baffled_by = "?"
    judge.may_answer.clear()
    first = asyncio.create_task(made.take(Query(text="first")))
    await asked(judge)
    rest = [asyncio.create_task(made.take(Query(text=text))) for text in ("a", "?", "b")]
    await asyncio.sleep(0)
    judge.may_answer.set()
    with caplog.at_level(logging.WARNING):
        results = [result for result, _ in await asyncio.gather(first, *rest)]
        again = await made.take(Query(text="?"))
    assert results == [Looked.TAKEN, Looked.TAKEN, Looked.FAILED, Looked.TAKEN]
    assert again == (Looked.FAILED, None)
    assert made.failures == 2
    assert [record.message.count("no idea") for record in caplog.records] == [1]
    made.close()


def test_the_settings_load_what_training_wrote(tmp_path: Path) -> None:
    folder = static_in_place_of_a_transformer(tmp_path / "second", weight=0.4)
    second = load_second_look(SecondLookSettings(artefact=folder))
    assert (second.model.version, second.weight, second.together) == ("stand-in-1", 0.4, 1)


def test_a_classifier_that_is_none_for_second_looks_is_refused_with_the_remedy(tmp_path: Path) -> None:
    from classifier.artefact import DEFAULT

    for folder in (DEFAULT, tmp_path):
        with pytest.raises(ConfigError, match=r"classifier\.second_look: .*rung-train"):
            load_second_look(SecondLookSettings(artefact=folder))
