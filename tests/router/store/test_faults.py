"""The ledger under what happens to processes and servers: parallel ones, killed ones, frozen ones, restarted ones."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from router.errors import StoreUnavailable
from router.store import Settlement, State, Store, Window, embedded
from tests.patience import Stopwatch
from tests.store_servers import PATIENT_S, PEPPER, opened, running, until

DIME = 10**8
ANSWER_S = 0.25  # promise 8

RESERVER = """
import asyncio, sys
from router.errors import BudgetExhausted
from router.store import Connection, Ledger

async def main(url, process, attempts):
    connection = Connection(url, reply_timeout_s=30, connect_timeout_s=30)
    await connection.open()
    ledger = Ledger(connection)
    async def attempt(number):
        try:
            await ledger.reserve("acme", f"{process}-{number}", 10**8)
            return 1
        except BudgetExhausted:
            return 0
    print("ready", flush=True)
    sys.stdin.readline()
    print(sum(await asyncio.gather(*(attempt(number) for number in range(attempts)))), flush=True)
    await connection.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""

HOLDER = """
import asyncio, sys
from router.store import Connection, Ledger, State

async def main(url):
    connection = Connection(url, reply_timeout_s=30, connect_timeout_s=30)
    await connection.open()
    ledger = Ledger(connection)
    number = 0
    while True:
        number += 1
        state = list(State)[number % 3]
        hold = await ledger.reserve("acme", f"{sys.argv[2]}-{number}", 1000, lease_s=0.2)
        await ledger.dispatched(hold, state, lease_s=0.2)
        await ledger.renew(hold, if_dead_nano=7, lease_s=0.2)
        if number % 4:
            await ledger.settle(hold, 100)
        print(number, flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def spawn(program: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def test_of_a_thousand_dimes_in_four_processes_five_dollars_admit_exactly_fifty(
    store: Store, server: embedded.EmbeddedServer
) -> None:
    await store.directory.create_tenant("acme")
    await store.ledger.set_budget("acme", "main", 50 * DIME, Window.MONTH)
    processes = [await spawn(RESERVER, server.url, str(number), "250") for number in range(4)]
    assert [await line(process) for process in processes] == ["ready"] * 4
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    admitted = [int(await line(process)) for process in processes]
    await asyncio.gather(*(process.wait() for process in processes))
    assert sum(admitted) == 50
    budget = (await store.ledger.standing("acme")).budgets[0]
    assert budget.held_nano == 50 * DIME == budget.limit_nano


async def test_holders_that_are_killed_anywhere_leave_nothing_held(
    store: Store, server: embedded.EmbeddedServer
) -> None:
    await store.directory.create_tenant("acme")
    for number in range(5):
        holder = await spawn(HOLDER, server.url, str(number))
        for _ in range(3 + number):
            await line(holder)
        holder.kill()
        await holder.communicate()
    await until(lambda: nothing_held(store))
    proof = await store.books.verify("acme")
    assert proof.exact
    assert proof.open_holds == 0
    async for entry in store.books.entries("acme"):
        assert entry.kind in {"settled", "reaped"}
        assert entry.kind == "settled" or entry.cost_nano in {0, 7, 1000}


async def nothing_held(store: Store) -> bool:
    return (await store.ledger.standing("acme")).total.held_nano == 0


async def test_the_books_survive_a_kill_of_the_server(tmp_path: Path) -> None:
    with running("valkey", tmp_path) as server:
        async with opened(server.url) as store:
            await store.directory.create_tenant("acme")
            settled = await store.ledger.reserve("acme", "h1", DIME)
            await store.ledger.settle(settled, 42)
            hold = await store.ledger.reserve("acme", "h2", DIME)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            with pytest.raises(StoreUnavailable):
                await store.ledger.reserve("acme", "h3", DIME)
    with running("valkey", tmp_path) as server:
        async with opened(server.url) as store:
            before = await store.ledger.standing("acme")
            assert (before.total.spent_nano, before.total.held_nano) == (42, DIME)
            assert (await store.ledger.settle(hold, 8)).outcome == "settled"
            assert (await store.ledger.settle(settled, 42)).outcome == "already"
            proof = await store.books.verify("acme")
            assert (proof.exact, proof.spent_nano) == (True, 50)


async def test_a_frozen_store_is_answered_in_time_and_overspends_nothing(tmp_path: Path) -> None:
    with running("valkey", tmp_path) as server:
        store = await Store.connect(server.url, pepper=PEPPER, upkeep=False)
        await store.directory.create_tenant("acme")
        await store.ledger.set_budget("acme", "main", 3 * DIME, Window.MONTH)
        hold = await store.ledger.reserve("acme", "h0", DIME, state=State.CALL)
        returned = asyncio.Event()
        store.connection.on_return = returned.set
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            waits = [await refusal_of(store, f"frozen{number}") for number in range(10)]
            ending = await store.closing("acme", settlement=Settlement(hold=hold, cost_nano=DIME))
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert max(waits) < ANSWER_S
        assert ending is not None
        assert ending.outcome == "waiting"
        await asyncio.wait_for(returned.wait(), PATIENT_S)
        assert await store.outbox.flush() == 2, "the settlement, and the one reservation that was on its way"
        standing = await store.ledger.standing("acme")
        assert (standing.total.spent_nano, standing.total.held_nano) == (DIME, 0)
        assert (await store.books.verify("acme")).exact
        await store.close()


async def refusal_of(store: Store, hold_id: str) -> float:
    with Stopwatch() as watch, pytest.raises(StoreUnavailable):
        await store.ledger.reserve("acme", hold_id, DIME, state=State.CALL)
    return watch.own_s
