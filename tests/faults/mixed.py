"""The books under mixed traffic: streams, cached answers, departures, faults, and processes that are killed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from router.errors import StoreUnavailable
from tests.faults.audit import Audit, audited
from tests.faults.stage import Stage, happens
from tests.faults.traffic import SEED, TENANTS, Planned, Upstream, account_of, planned

AT_ONCE = 48
AMPLE_NANO = 10**12
SHORT_NANO = 4 * 10**6  # spent within the first hundreds of its requests
LEASE_S = 60 + 15 + 10  # a dead worker's holds end with their lease, at the next sweep
WATCH_EVERY_S = 0.05

Fault = Callable[[Stage], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Run:
    """What a run saw. `statuses`: of the answers, or `left`/`lost` where there was none; `overspends`: how often a
    look at the budgets found more than their limit; `held_nano`: left in holds at the end; `accounts`: the account of
    each decision that a reply named."""

    requests: int
    took_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter[str])
    overspends: int = 0
    looks: int = 0
    held_nano: int = 0
    faults: int = 0
    audit: Audit | None = None
    accounts: dict[str, str] = field(default_factory=dict[str, str])


async def mixed(stage: Stage, requests: int, faults: int = 0, fault: Fault | None = None) -> Run:
    """Drive `requests` of the mixture, with a fault after every so many of them; then wait, and compare the books."""
    stage.upstream.choose = Upstream()
    stage.upstream.received.clear()
    for tenant in TENANTS:
        await stage.tenant(tenant, limit_nano=SHORT_NANO if tenant == "short" else AMPLE_NANO)
    run = Run(requests=requests)
    began = time.monotonic()
    watch = asyncio.create_task(_watch(stage, run))
    await _drive(stage, run, faults, fault)
    run.took_s = time.monotonic() - began
    await happens(lambda: _nothing_held(stage), LEASE_S)
    watch.cancel()
    run.held_nano = sum([await stage.held(tenant) for tenant in TENANTS])
    run.audit = await audited(stage.store, TENANTS, stage.upstream.received, run.accounts)
    return run


async def _drive(stage: Stage, run: Run, faults: int, fault: Fault | None) -> None:
    numbers = iter(range(run.requests))
    every = run.requests // (faults + 1)

    async def client() -> None:
        for number in numbers:
            if fault is not None and number and number % every == 0 and run.faults < faults:
                run.faults += 1
                await fault(stage)
            run.statuses[await ask(stage, planned(number), run.accounts)] += 1

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def ask(stage: Stage, request: Planned, accounts: dict[str, str] | None = None) -> str:
    """The status of a request, or how it ended without one; `accounts` learns whose the reply's decision is."""
    headers = {**stage.headers(request.tenant), "x-session-id": f"request-{request.number}"}
    try:
        async with asyncio.timeout(request.leaves_after_s):
            async with stage.session.post(stage.chat_url, json=request.body, headers=headers) as reply:
                if accounts is not None and (decision := reply.headers.get("x-rung-decision-id")):
                    accounts[decision] = account_of(request.number)
                await reply.read()
                return str(reply.status)
    except TimeoutError:
        return "left"
    except (aiohttp.ClientError, OSError):
        return "lost"  # its worker was killed


async def _watch(stage: Stage, run: Run) -> None:
    """Look at every budget all the time: spent and held together may never exceed the limit."""
    while True:
        for tenant in TENANTS:
            with contextlib.suppress(StoreUnavailable):  # a shard that is being replaced is looked at again
                (budget,) = (await stage.store.ledger.standing(tenant)).budgets
                run.looks += 1
                run.overspends += budget.spent_nano + budget.held_nano > budget.limit_nano
        await asyncio.sleep(WATCH_EVERY_S)


async def _nothing_held(stage: Stage) -> bool:
    with contextlib.suppress(StoreUnavailable):
        return not any([await stage.held(tenant) for tenant in TENANTS])
    return False


def worker_killer(seed: int = SEED) -> Fault:
    """A fault that kills one of the gateway's workers; another is started in its place."""
    chance = random.Random(seed)  # noqa: S311 - the same victims at every run

    async def strike(stage: Stage) -> None:
        from tests.faults.stage import kill

        workers = await asyncio.to_thread(stage.process.workers)
        if len(workers) > 1:
            kill(chance.choice(workers))

    return strike
