from __future__ import annotations

import asyncio
import logging
import os
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import StoreUnavailable
from router.store import embedded
from router.store.address import Address
from router.store.connection import Connection
from router.store.link import Link, LinkLost
from router.store.scripts import Ask, Script, ignore, text
from tests.patience import Stopwatch
from tests.store_servers import PATIENT, PATIENT_S

ANSWER_S = 0.25  # promise 8
ECHO = Script("pace_put.lua")  # any script will do


def get(key: str) -> Ask[str]:
    return Ask(("GET", key), lambda reply: text(reply or b""))


async def test_a_cancelled_caller_never_shifts_replies_to_others(connection: Connection) -> None:
    for number in range(100):
        await connection.ask(Ask(("SET", f"b:rev:{number}", number), ignore))

    async def look(number: int) -> tuple[int, str]:
        return number, await connection.ask(get(f"b:rev:{number}"))

    for round_number in range(30):
        tasks = [asyncio.create_task(look(number)) for number in range(100)]
        if round_number % 2:
            await asyncio.sleep(0)  # half of the rounds are cancelled with the commands on their way
        for task in tasks[:: 2 + round_number % 3]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        answered = [outcome for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)]
        assert answered == [(number, str(number)) for number in range(100) if number % (2 + round_number % 3)]
    assert await connection.ask(get("b:rev:7")) == "7"


@given(cuts=st.lists(st.integers(1, 40), max_size=20))
@settings(max_examples=50)
def test_replies_are_read_right_however_the_bytes_are_cut(cuts: list[int]) -> None:
    async def run() -> None:
        link = Link(1.0, lambda _, __: None)
        first, second = link.send([("GET", "a"), ("GET", "b")]), link.send([("FOO",)])
        data = b"$3\r\none\r\n*2\r\n:1\r\n$-1\r\n-ERR no\r\n"
        for cut in cuts:
            link.data_received(data[:cut])
            data = data[cut:]
        link.data_received(data)
        assert await first == [b"one", [1, None]]
        assert str((await second)[0]) == "ERR no"
        link.close()

    asyncio.run(run())


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n+OK\r\n"])
async def test_a_link_that_hears_what_it_cannot_place_is_closed(garbage: bytes) -> None:
    reasons: list[str] = []
    link = Link(1.0, lambda _, reason: reasons.append(reason))
    waiting = link.send([("PING",)])
    link.data_received(garbage)
    assert len(reasons) == 1
    with pytest.raises(LinkLost):
        link.send([("PING",)])
    if not garbage.startswith(b"+"):
        with pytest.raises(LinkLost, match="does not speak"):
            await waiting


async def test_nobody_there_is_a_clear_error_in_no_time() -> None:
    connection = Connection("unix:///nowhere/at/all.sock")
    with Stopwatch() as watch:
        with pytest.raises(StoreUnavailable, match=r"at unix:/nowhere/at/all.sock does not answer .*REDIS_URL"):
            await connection.open()
        with pytest.raises(StoreUnavailable):
            await connection.ask(get("a"))
    assert watch.own_s < ANSWER_S
    await connection.close()


async def test_a_black_hole_is_answered_within_a_quarter_of_a_second() -> None:
    never = asyncio.Event()

    async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    hole = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = hole.sockets[0].getsockname()[1]
    connection = Connection(f"redis://:secret@127.0.0.1:{port}/0")
    with Stopwatch() as watch, pytest.raises(StoreUnavailable) as caught:
        await connection.open()
    assert watch.own_s < ANSWER_S
    assert "secret" not in caught.value.message
    await connection.close()
    never.set()
    hole.close()


async def test_a_frozen_server_is_answered_in_time_reported_once_and_found_again(
    own_server: embedded.EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rung.store")
    connection = Connection(own_server.url)
    await connection.open()
    returned = asyncio.Event()
    connection.on_return = returned.set
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        waits = [await refused(connection) for _ in range(20)]
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    assert max(waits) < ANSWER_S
    assert sorted(waits)[-3] < ANSWER_S / 10, "once the store is known to be away, nobody waits"
    await asyncio.wait_for(returned.wait(), PATIENT_S)
    assert await connection.ask(Ask(("PING",), text)) == "PONG"
    assert [record.message.split(" ")[3] for record in caplog.records] == ["away:", "back"]
    await connection.close()


async def refused(connection: Connection) -> float:
    with Stopwatch() as watch, pytest.raises(StoreUnavailable) as caught:
        await connection.ask(Ask(("PING",), text))
    assert caught.value.retry_after_s
    return watch.own_s


async def test_a_slow_loop_does_not_accuse_a_server_that_has_answered(connection: Connection) -> None:
    own = Connection(f"unix://{connection.address.path}", reply_timeout_s=0.1)
    await own.open()
    asking = asyncio.create_task(own.ask(Ask(("PING",), text)))
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - the stall is the point: the reply lies in the socket meanwhile
    assert await asking == "PONG"
    await own.close()


async def test_a_server_that_forgets_its_scripts_is_taught_them_again(connection: Connection) -> None:
    ask = ECHO.ask(["b:{t}:pace"], ["", "", 10], int)
    assert await connection.ask(ask) == 1
    await connection.ask(Ask(("SCRIPT", "FLUSH"), ignore))
    assert await asyncio.gather(*(connection.ask(ask) for _ in range(50))) == [1] * 50


async def test_no_question_overtakes_a_script_that_the_server_does_not_know_yet(
    own_server: embedded.EmbeddedServer,
) -> None:
    key = "b:{t}:pace"
    for _ in range(2):  # a first link, and one to a server that has forgotten everything meanwhile
        connection = Connection(own_server.url, reply_timeout_s=PATIENT_S)
        await connection.open()
        put, seen = await asyncio.gather(
            connection.ask(ECHO.ask([key], ["", "state", 10_000], int)), connection.ask(get(key))
        )
        assert (put, seen) == (1, "state")
        await connection.run(Ask(("DEL", key), ignore), Ask(("SCRIPT", "FLUSH"), ignore))
        await connection.close()


async def test_an_error_of_one_command_leaves_the_others_of_its_trip_alone(connection: Connection) -> None:
    bad, good = Ask(("INCR",), int), Ask(("PING",), text)
    replies = await connection.run(bad, good)
    assert good.read(replies[1]) == "PONG"
    assert bad.read_or(replies[0], 7) == 7
    with pytest.raises(StoreUnavailable, match="wrong number of arguments"):
        bad.read(replies[0])


async def test_a_wrong_password_is_said_so_and_not_repeated(own_server: embedded.EmbeddedServer) -> None:
    admin = Connection(own_server.url, reply_timeout_s=PATIENT_S)
    await admin.open()
    await admin.ask(Ask(("CONFIG", "SET", "requirepass", "right"), ignore))
    path = own_server.url.removeprefix("unix://")
    with pytest.raises(StoreUnavailable, match="password in REDIS_URL is wrong") as caught:
        await Connection(f"unix://:wr0ng@{path}", **PATIENT).open()
    assert "wr0ng" not in caught.value.message
    with pytest.raises(StoreUnavailable, match="wants a password"):
        await Connection(own_server.url, **PATIENT).open()
    good = Connection(f"unix://:right@{path}?db=3", reply_timeout_s=PATIENT_S)
    await good.open()
    assert await good.ask(Ask(("PING",), text)) == "PONG"
    await admin.ask(Ask(("CONFIG", "SET", "requirepass", ""), ignore))
    await good.close()
    await admin.close()


def test_urls_are_read_and_their_credentials_are_not_shown() -> None:
    address = Address.parse("rediss://me:s3cret@redis.example:6390/2?ssl_cert_reqs=none")
    assert (address.host, address.port, address.database, address.tls is not None) == ("redis.example", 6390, 2, True)
    assert address.greeting() == [("AUTH", "me", "s3cret"), ("SELECT", 2), ("PING",)]
    assert "s3cret" not in repr(address)
    assert address.shown == "redis.example:6390"


@pytest.mark.parametrize("url", ["", "http://x", "redis", "postgres://u:s3cret@h/1"])
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="must look like redis://") as caught:
        Address.parse(url)
    assert "s3cret" not in str(caught.value)
