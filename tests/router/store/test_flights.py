from __future__ import annotations

import asyncio
import sys
from itertools import islice
from typing import Any, TypeVar

import pytest

from router.store import AnswerCache, Flights, Limits, Role, Store, embedded, rules
from router.store.connection import Connection
from router.store.flights import pauses_s
from router.store.scripts import Ask, Reply
from router.store.store import Answer
from tests.patience import PATIENCE_S

T = TypeVar("T")
CALLER = """
import asyncio, sys
from router.store import AnswerCache, Connection, Flights, Role

async def main(url, process, requests):
    connection = Connection(url, reply_timeout_s=30, connect_timeout_s=30)
    await connection.open()
    flights, cache = Flights(connection), AnswerCache(connection)
    calls = 0
    async def request(number):
        nonlocal calls
        me = f"{process}-{number}"
        look = await flights.follow("acme", "k", me)
        if look.role is not Role.HIT:
            calls += 1
            await asyncio.sleep(0.3)  # the upstream thinks
            await cache.put("acme", "k", b"the answer")
            await flights.land("acme", "k", me, stored=True)
            return b"the answer"
        return look.answer
    print("ready", flush=True)
    sys.stdin.readline()
    answers = await asyncio.gather(*(request(number) for number in range(requests)))
    print(calls, len(set(answers)), flush=True)
    await connection.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_two_hundred_identical_requests_in_four_processes_make_one_call(
    server: embedded.EmbeddedServer, connection: Connection
) -> None:
    callers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CALLER, server.url, str(number), "50"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(4)
    ]
    for caller in callers:
        assert caller.stdout is not None
        assert await caller.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*(caller.communicate(b"go\n") for caller in callers))
    results = [tuple(map(int, output.split())) for output, _ in outputs]
    assert sum(calls for calls, _ in results) == 1
    assert [different for _, different in results] == [1] * 4


async def test_a_leader_that_dies_is_followed_by_the_next(connection: Connection) -> None:
    flights = Flights(connection)
    assert (await flights.look("acme", "k", "dead")).role is Role.LEAD
    following = asyncio.create_task(flights.follow("acme", "k", "next", wait_s=PATIENCE_S))
    assert (await flights.look("acme", "k", "another")).role is Role.FOLLOW
    await connection.ask(Ask(("PEXPIRE", "b:{acme}:f:k", 1), bool))  # the end of its lease
    assert (await following).role is Role.LEAD


async def test_a_landing_without_an_answer_sends_all_followers_on_their_way_together(connection: Connection) -> None:
    flights = Flights(connection)
    assert (await flights.look("acme", "k", "leader")).role is Role.LEAD
    following = [asyncio.create_task(flights.follow("acme", "k", f"r{n}")) for n in range(20)]
    await asyncio.sleep(0)
    assert not await flights.land("acme", "k", "somebody else", stored=False)
    assert await flights.land("acme", "k", "leader", stored=False)
    assert {look.role for look in await asyncio.gather(*following)} == {Role.ALONE}


async def test_a_follower_does_not_wait_for_ever(connection: Connection) -> None:
    flights = Flights(connection)
    await flights.look("acme", "k", "leader")
    assert (await flights.follow("acme", "k", "r", wait_s=0.1)).role is Role.ALONE


def test_a_follower_looks_soon_and_then_less_and_less_often() -> None:
    assert list(islice(pauses_s(), 6)) == [0.02, 0.04, 0.08, 0.16, 0.2, 0.2]


class Crowded:
    """A store in which somebody else always leads."""

    def __init__(self) -> None:
        self.looks = 0

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        self.looks += len(asks)
        await asyncio.sleep(0)
        return [[b"follow"] for _ in asks]

    async def ask(self, ask: Ask[T]) -> T:
        (reply,) = await self.run(ask)
        return ask.read(reply)


async def test_a_follower_pauses_between_its_looks() -> None:
    store = Crowded()
    assert (await Flights(store).follow("acme", "k", "r", wait_s=0.1)).role is Role.ALONE
    assert 1 <= store.looks <= 3, "at 0, 20 and 60 ms"


async def test_another_tenants_flight_is_another(connection: Connection) -> None:
    flights = Flights(connection)
    assert (await flights.look("acme", "k", "r1")).role is Role.LEAD
    assert (await flights.look("other", "k", "r2")).role is Role.LEAD


async def test_a_store_that_is_away_leaves_everybody_alone() -> None:
    flights = Flights(Connection("unix:///nowhere.sock"))
    assert (await flights.follow("acme", "k", "r")).role is Role.ALONE
    assert await flights.land("acme", "k", "r", stored=True) is False


async def test_a_damaged_answer_is_called_for_again(connection: Connection) -> None:
    await connection.ask(Ask(("SET", "b:{acme}:c:k", b"zgarbage", "EX", 9), bool))
    look = await Flights(connection).look("acme", "k", "r")
    assert (look.role, look.answer) == (Role.ALONE, None)


@pytest.mark.parametrize("content", [b"42", None])
async def test_a_closing_lands_the_flight_with_or_without_an_answer(store: Store, content: bytes | None) -> None:
    await store.directory.create_tenant("acme")
    first = await store.opening("acme", request_id="r1", cache_key="k", single_flight=True)
    second = await store.opening("acme", request_id="r2", cache_key="k", single_flight=True)
    assert (first.role, second.role) == (Role.LEAD, Role.FOLLOW)
    await store.closing("acme", answer=Answer(key="k", content=content, leader="r1"))
    look = await store.flights.follow("acme", "k", "r2")
    assert (look.role, look.answer) == ((Role.HIT, b"42") if content else (Role.ALONE, None))
    assert await AnswerCache(store.connection).get("acme", "k") == content


async def test_an_answer_that_was_dropped_is_called_for_again_at_once(store: Store) -> None:
    assert (await store.flights.look("acme", "k", "r1")).role is Role.LEAD
    await store.cache.put("acme", "k", b"42")
    assert await store.flights.land("acme", "k", "r1", stored=True)
    assert (await store.flights.look("acme", "k", "r2")).answer == b"42"
    await store.purge("acme")
    assert (await store.flights.look("acme", "k", "r2")).role is Role.LEAD


async def test_a_request_without_single_flight_neither_leads_nor_follows(store: Store) -> None:
    await store.directory.create_tenant("acme")
    for _ in range(2):
        opening = await store.opening("acme", request_id="r", cache_key="k", rules=rules(("", Limits(concurrency=9))))
        assert opening.role is Role.ALONE
    assert await store.connection.ask(Ask(("EXISTS", "b:{acme}:f:k"), int)) == 0


async def test_a_leader_s_lease_is_as_long_as_it_was_asked_for(connection: Connection) -> None:
    left = Ask(("PTTL", "b:{acme}:f:k"), int)
    replies = await connection.run(Flights(connection).look_ask("acme", "k", "r", lease_s=30), left)
    assert 29_000 < left.read(replies[1]) <= 30_000
