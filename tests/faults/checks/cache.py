"""Promise 9: a cached answer stays with its tenant, and identical requests fly once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

from router.store import Store, answer_key, embedded
from router.store.store import Answer as Kept
from router.testing import Answer, Received
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.stage import question
from tests.store_servers import PATIENT_S

TENANTS = 50
QUESTIONS = 40
AT_ONCE = 100
PEPPER = b"p" * 32


@promise(9)
async def canaries_never_leave_their_tenant(rig: Rig) -> list[Finding]:
    """Each cached answer names its tenant and question; one read by anybody else, or of another question, is a leak."""
    operations = rig.of(100_000, 3_000)
    chance = random.Random(9)  # noqa: S311 - the same operations at every run
    counts: Counter[str] = Counter()
    with embedded.start(rig.place("canaries")) as server:
        store = await Store.connect(server.url, pepper=PEPPER, reply_timeout_s=PATIENT_S, upkeep=False)
        tenants = [f"tenant-{number}" for number in range(TENANTS)]
        for tenant in tenants:
            await store.directory.create_tenant(tenant)
        numbers = iter(range(operations))

        async def one(number: int) -> None:
            tenant, asked = chance.choice(tenants), chance.randrange(QUESTIONS)
            key = answer_key(PEPPER, tenant, "tenant", str(asked).encode())
            canary = f"{tenant} {asked}".encode()
            opening = await store.opening(tenant, request_id=f"r{number}", cache_key=key, single_flight=True)
            if opening.answer is not None:
                counts["hits"] += 1
                counts["leaks"] += opening.answer != canary
            else:
                await store.closing(tenant, answer=Kept(key=key, content=canary, leader=f"r{number}", ttl_s=2))
                counts["stored"] += 1

        async def client() -> None:
            for number in numbers:
                task = asyncio.create_task(one(number))
                if number % 4 == 0:  # within the milliseconds that an operation takes
                    asyncio.get_running_loop().call_later(chance.uniform(0, 0.004), task.cancel)
                counts["cancelled"] += isinstance(
                    (await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError
                )

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        await store.close()
    return [
        Finding(
            number=9,
            name="no cached answer leaves its tenant",
            done=f"{operations:,} cached operations of {TENANTS} tenants on one connection, {counts['cancelled']:,}"
            " cancelled at random",
            figure=f"{counts['leaks']} leaks in {counts['hits']:,} hits",
            bound="0 leaks, hits and cancellations above 0",
            holds=counts["leaks"] == 0 and counts["hits"] > 0 and counts["cancelled"] > 0,
        )
    ]


@promise(9)
async def the_gateway_keeps_tenants_apart(rig: Rig) -> list[Finding]:
    """The same through HTTP: the upstream's answer is another at every call, so whose it was can be told."""
    stage = await rig.stage()
    tenants = [await stage.tenant(rig.fresh("canary")) for _ in range(rig.of(50, 6))]
    owner: dict[str, str] = {}
    serial = iter(range(10**9))

    def sing(_received: Received) -> Answer:
        return Answer(text=f"canary {next(serial)}")

    stage.upstream.choose = sing
    leaks = hits = 0
    for _ in range(rig.of(40, 4)):
        replies = await asyncio.gather(
            *(stage.post(tenant, question("The same for all?", rung={"cache": "use"})) for tenant in tenants)
        )
        for tenant, (_, body, headers) in zip(tenants, replies, strict=True):
            text = body["choices"][0]["message"]["content"]
            leaks += owner.setdefault(text, tenant) != tenant
            hits += headers["x-rung-cache"] == "hit"
    stage.upstream.choose = None
    return [
        Finding(
            number=9,
            name="no answer crosses tenants in the gateway",
            done=f"{len(tenants)} tenants ask the same {rig.of(40, 4)} times over",
            figure=f"{leaks} leaks, {hits} hits",
            bound="0 leaks",
            holds=leaks == 0 and hits > 0,
        )
    ]


@promise(9)
async def identical_requests_fly_once(rig: Rig) -> list[Finding]:
    stage = await rig.stage()
    tenant = await stage.tenant(rig.fresh("crowd"))
    requests = rig.of(200, 60)
    gate = asyncio.Event()
    stage.upstream.default = Answer(gate=gate, text="once")
    body = question(rig.fresh("crowd"), rung={"cache": "use"})
    asking = [asyncio.create_task(stage.post(tenant, body)) for _ in range(requests)]
    await stage.upstream.arrived(1)
    began = time.monotonic()
    await asyncio.sleep(1.0)  # long enough for everybody to have asked: a second call would come in it
    gate.set()
    replies = await asyncio.gather(*asking)
    stage.upstream.default = Answer()
    calls = len(stage.upstream.received)
    caches = Counter(headers["x-rung-cache"] for _, _, headers in replies)
    # What must not be kept: an error, a partial answer, a tool call.
    kept = 0
    never = (Answer(status=400), Answer(finish_reason="length"), Answer(tool_calls=(("f", "{}"),), text=""))
    for answer in never:
        again = question(rig.fresh("never"), rung={"cache": "use"})
        stage.upstream.say(answer)
        await stage.post(tenant, again)
        _, _, headers = await stage.post(tenant, again)
        kept += headers["x-rung-cache"] == "hit"
    return [
        Finding(
            number=9,
            name="identical requests fly once",
            done=f"{requests} identical requests at once over {len(stage.process.workers())} processes"
            f" ({time.monotonic() - began:.1f} s); then an error, a partial answer and a tool call, asked twice",
            figure=f"{calls} upstream call(s), {caches['hit']} hits; {kept} kept that must not be",
            bound="1 call; 0 kept",
            holds=calls == 1 and caches["hit"] == requests - 1 and kept == 0,
        )
    ]
