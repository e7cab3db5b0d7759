"""Breakers of a process, and what processes tell each other of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from policies.fallback import Failure
from policies.health import FIRST_PAUSE_S, THRESHOLD
from router.dispatch.health import Health
from router.errors import StoreUnavailable
from tests.patience import PATIENCE_S


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Hash:
    """The store's hash in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.away = False
        self.told = asyncio.Event()

    async def exchange(self, opened: Mapping[str, bytes], closed: tuple[str, ...]) -> dict[str, bytes]:
        if self.away:
            raise StoreUnavailable("away")
        self.rows |= opened
        for model in closed:
            self.rows.pop(model, None)
        if opened:
            self.told.set()
        return dict(self.rows)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def process(clock: Clock) -> Health:
    return Health(clock=clock, draw=lambda: 0.0)


def fail(health: Health, model: str, times: int = THRESHOLD) -> None:
    for _ in range(times):
        health.failed(model, Failure.TIMEOUT, None)


def test_a_model_is_put_aside_after_so_many_failures_and_comes_back_by_a_try(clock: Clock) -> None:
    opened: list[str] = []
    health = Health(clock=clock, draw=lambda: 0.0, on_open=opened.append)
    fail(health, "a", THRESHOLD - 1)
    assert not health.down()
    fail(health, "a", 1)
    assert (list(health.down()), opened, health.opens_in_s()) == (["a"], ["a"], FIRST_PAUSE_S)
    clock.now += FIRST_PAUSE_S
    assert not health.down()
    health.called("a")
    assert list(health.down()) == ["a"]
    health.succeeded("a")
    assert not health.down()
    assert health.opens_in_s() is None


def test_what_is_not_the_provider_s_fault_puts_nothing_aside(clock: Clock) -> None:
    health = process(clock)
    for failure in (Failure.REJECTED, Failure.UNSUPPORTED, Failure.STARVED):
        for _ in range(20):
            health.failed("a", failure, None)
    assert not health.down()


def test_an_operator_may_have_nothing_put_aside(clock: Clock) -> None:
    health = Health(threshold=lambda: 0, clock=clock)
    fail(health, "a", 50)
    health.failed("a", Failure.RATE_LIMITED, 60.0)
    assert not health.down()


async def test_processes_hear_of_what_opens_and_closes(clock: Clock) -> None:
    board, one, two = Hash(), process(clock), process(clock)
    fail(one, "a")
    one.failed("b", Failure.RATE_LIMITED, 90.0)
    await one.exchange(board)
    await two.exchange(board)
    assert two.down() == one.down()
    clock.now += FIRST_PAUSE_S
    two.called("a")
    two.succeeded("a")
    await two.exchange(board)
    await one.exchange(board)
    assert list(one.down()) == list(two.down()) == ["b"]


async def test_news_of_before_does_not_undo_what_happened_here_since(clock: Clock) -> None:
    board, one, two = Hash(), process(clock), process(clock)
    fail(one, "a")
    await one.exchange(board)
    stale = dict(board.rows)
    await two.exchange(board)
    clock.now += FIRST_PAUSE_S
    two.succeeded("a")
    board.rows = stale
    await two.exchange(board)
    assert "a" not in board.rows
    assert not two.down()


async def test_a_store_that_is_away_leaves_each_with_its_own_and_is_told_later(clock: Clock) -> None:
    board, one = Hash(), process(clock)
    board.away = True
    fail(one, "a")
    with pytest.raises(StoreUnavailable):
        await one.exchange(board)
    assert list(one.down()) == ["a"]
    board.away = False
    await one.exchange(board)
    assert list(board.rows) == ["a"]


async def test_news_is_told_at_once(clock: Clock) -> None:
    board, one = Hash(), process(clock)
    sharing = asyncio.create_task(one.share(board))
    await asyncio.sleep(0)
    fail(one, "a")
    await asyncio.wait_for(board.told.wait(), PATIENCE_S)
    sharing.cancel()
    assert list(board.rows) == ["a"]
