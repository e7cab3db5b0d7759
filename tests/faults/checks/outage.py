"""Promise 8: the store frozen, behind a dead network, killed, emptied; answered in time, said once, found again."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from router.errors import StoreUnavailable
from router.store import embedded
from router.store.scripts import Ask, ignore
from tests.faults.proxy import Network, proxied
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.stage import Stage, happens, question, staged
from tests.store_servers import cluster

ANSWER_S = 0.25
TIMEOUT_MS = "150"  # the gateway's own patience; its watchdog may be a quarter of it late
BACK_WITHIN_S = 5.0
CLIENTS = 8
# Of each of the cluster's twelve tenants: twice as many took a quiet gateway most of the 250 ms on two cores.
TENANT_CLIENTS = 4
CLUSTER_ROUNDS = 20
LIMIT_NANO = 10**9


@dataclass(slots=True)
class _Seen:
    """Answers during an outage: their seconds, and how they went."""

    waits: list[float] = field(default_factory=list[float])
    statuses: Counter[str] = field(default_factory=Counter[str])
    back_s: float | None = None

    @property
    def worst_s(self) -> float:
        return max(self.waits)

    @property
    def late(self) -> int:
        return sum(wait > ANSWER_S for wait in self.waits)


@promise(8)
async def a_store_that_is_away_is_answered_in_time(rig: Rig) -> list[Finding]:
    findings: list[Finding] = []
    folder = rig.place("own-store")
    asks = rig.of(400, 60)
    with embedded.start(folder) as server:
        path = server.url.removeprefix("unix://")
        async with proxied(path) as proxy, _outaged(rig, proxy.url) as stage:
            tenant = await stage.tenant("acme", limit_nano=LIMIT_NANO)
            assert server.pid is not None
            pid = server.pid

            async def frozen(*, on: bool) -> None:
                os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)

            faults: dict[str, Callable[..., Awaitable[None]]] = {"frozen (SIGSTOP)": frozen}
            for network in (Network.BLACK_HOLE, Network.HALF_OPEN, Network.RESET, Network.SLOW):

                async def spoiled(*, on: bool, network: Network = network) -> None:
                    proxy.network = network if on else Network.GOOD

                faults[f"network: {network}"] = spoiled
            for name, fault in faults.items():
                findings.append(await _outage(stage, tenant, name, fault, asks))
            findings.append(await _emptied(stage, tenant))
    if not rig.quick:
        findings.append(await _lost_primary(rig))
    return findings


def _outaged(rig: Rig, url: str):  # noqa: ANN202 - what `staged` gives
    return staged(rig.place("outage"), workers=2, store_url=url, RUNG_STORE__TIMEOUT_MS=TIMEOUT_MS)


async def _outage(stage: Stage, tenant: str, name: str, fault: Callable[..., Awaitable[None]], asks: int) -> Finding:
    """One kind of outage under load: everybody asks all the time, before, during and after it."""
    quiet = await _ask_many(stage, tenant, CLIENTS * 4)
    lines = _lines(stage)
    await fault(on=True)
    seen = await _ask_many(stage, tenant, asks)
    await fault(on=False)
    began = time.monotonic()
    back = await happens(lambda: _serves(stage, tenant), 20)
    seen.back_s = time.monotonic() - began
    said = _lines(stage) - lines
    held = await stage.settled(tenant) - await stage.spent(tenant)
    (budget,) = (await stage.store.ledger.standing(tenant)).budgets
    over = budget.spent_nano + budget.held_nano > budget.limit_nano
    workers = len(stage.process.workers())
    return Finding(
        number=8,
        name=f"an outage is answered: {name}",
        done=f"{asks} requests by {CLIENTS} clients at once, {workers} processes (quiet: {quiet.worst_s * 1000:.0f} ms"
        " at worst)",
        figure=f"slowest {seen.worst_s * 1000:.0f} ms, {seen.late} above {ANSWER_S * 1000:.0f}; "
        f"{dict(seen.statuses)}; back after {seen.back_s:.1f} s; {said} log lines; {budget.held_nano} held",
        bound=f"{ANSWER_S * 1000:.0f} ms; all 503; back within {BACK_WITHIN_S:.0f} s; no traceback",
        holds=seen.late == 0
        and seen.statuses.keys() <= {"503"}
        and back
        and seen.back_s < BACK_WITHIN_S
        and said <= 6 * workers
        and not over
        and held == 0
        and budget.held_nano == 0
        and "Traceback" not in stage.process.log,
    )


async def _ask_many(stage: Stage, tenant: str, asks: int) -> _Seen:
    seen = _Seen()
    numbers = iter(range(asks))

    async def client() -> None:
        for number in numbers:
            began = time.monotonic()
            status, _, _ = await stage.post(tenant, question(f"Is anybody there, number {number}?", model="small"))
            seen.waits.append(time.monotonic() - began)
            seen.statuses[str(status)] += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return seen


async def _ask_all(stage: Stage, tenants: Sequence[str]) -> _Seen:
    seen = _Seen()
    for _ in range(CLUSTER_ROUNDS):
        for found in await asyncio.gather(*(_ask_many(stage, tenant, TENANT_CLIENTS) for tenant in tenants)):
            seen.waits += found.waits
            seen.statuses += found.statuses
    return seen


async def _serves(stage: Stage, tenant: str) -> bool:
    statuses = [(await stage.post(tenant, question("Back?", model="small")))[0] for _ in range(4)]
    return set(statuses) == {200}


def _lines(stage: Stage) -> int:
    return len(re.findall(r"store \S+ is (?:away|back)", stage.process.log))


async def _emptied(stage: Stage, tenant: str) -> Finding:
    """FLUSHALL: nothing may be spent from empty books."""
    await stage.store.connection.ask(Ask(("FLUSHALL",), ignore))
    began = time.monotonic()

    async def refused() -> bool:
        return (await stage.post(tenant, question("After the flood?", model="small")))[0] != 200

    noticed = await happens(refused, 5)
    took = time.monotonic() - began
    calls = len(stage.upstream.received)
    seen = await _ask_many(stage, tenant, 40)
    return Finding(
        number=8,
        name="an emptied store gives nothing away",
        done="FLUSHALL under a running gateway, then 40 requests",
        figure=f"refused after {took:.2f} s; {dict(seen.statuses)}; {len(stage.upstream.received) - calls} calls made",
        bound="refused within a second (the keys' memory); 0 calls",
        holds=noticed and took < 1.5 and "200" not in seen.statuses and len(stage.upstream.received) == calls,
    )


async def _lost_primary(rig: Rig) -> Finding:
    """A cluster of three shards loses a primary: its tenants fail closed in time, and come back by themselves."""
    with cluster(rig.place("shards")) as nodes:
        url = f"redis://127.0.0.1:{nodes[0].port}"
        async with _outaged(rig, url) as stage:
            tenants = [await stage.tenant(f"tenant-{number}", limit_nano=LIMIT_NANO) for number in range(12)]
            for tenant in tenants:
                await _ask_many(stage, tenant, 4)
            quiet = await _ask_all(stage, tenants)
            nodes[1].process.kill()
            began = time.monotonic()
            seen = await _ask_all(stage, tenants)

            async def all_serve() -> bool:
                return all([await _serves(stage, tenant) for tenant in tenants])

            async def seen_by_us() -> bool:  # our own connection has to find the new primary too
                try:
                    return bool([await stage.store.ledger.standing(tenant) for tenant in tenants])
                except StoreUnavailable:
                    return False

            back = await happens(all_serve, 30) and await happens(seen_by_us, 30)
            took = time.monotonic() - began
            over = 0
            for tenant in tenants:
                await stage.settled(tenant)
                (budget,) = (await stage.store.ledger.standing(tenant)).budgets
                over += budget.spent_nano + budget.held_nano > budget.limit_nano
    return Finding(
        number=8,
        name="a cluster that lost a primary",
        done=f"3 shards with a replica each, one primary killed under 12 tenants' load, {TENANT_CLIENTS} requests"
        f" at once each (quiet: {quiet.worst_s * 1000:.0f} ms at worst)",
        figure=f"slowest {seen.worst_s * 1000:.0f} ms, {seen.late} of {len(seen.waits)} above {ANSWER_S * 1000:.0f};"
        f" {dict(seen.statuses)}; all served again within {took:.1f} s; {over} overspends",
        bound=f"{ANSWER_S * 1000:.0f} ms; 200 or 503; 0 overspends",
        holds=seen.late == 0 and seen.statuses.keys() <= {"200", "503"} and back and over == 0,
    )
