"""Promise 9: a cached answer stays with its tenant, and identical requests fly once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from classifier.sameness import shipped_reader
from router.store import Store, answer_key, embedded
from router.store.near import LocalNear, Question, SearchNear
from router.store.store import Answer as Kept
from router.testing import Answer, Received
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.stage import question
from tests.store_servers import PATIENT_S, SEARCH_SERVER, searching

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

        await _storm(one, operations, counts, chance)
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
async def canaries_in_other_words_never_leave_their_tenant(rig: Rig) -> list[Finding]:
    """The same in other words: in this process' memory, and in a server that searches where one is installed."""
    operations = rig.of(100_000, 1_500)
    with embedded.start(rig.place("in-memory")) as server:
        findings = [await _in_other_words(server.url, operations, LocalNear, "in this process' memory")]
    if SEARCH_SERVER:
        folder = rig.place("searching")
        folder.mkdir(parents=True)
        with searching(folder) as url:
            findings.append(await _in_other_words(url, operations, SearchNear, "in a server that searches"))
    return findings


WAYS = (
    "What is the capital of region {}?",
    "what's the capital of region {}",
    "please, capital of region {}?",
    "Hi, can you tell me what the capital of region {} is?",
    "the capital of regions {}",
)
GROUPS = ("g0", "g1")  # named alike in all tenants, which no gateway does: nothing but the tenant keeps them apart


async def _in_other_words(url: str, operations: int, where: type[LocalNear | SearchNear], place: str) -> Finding:
    """Each answer names tenant, group and region of the question that it was given to; any other reader is a leak."""
    reader = shipped_reader(PEPPER)
    questions = {(at, way): reader.read(way.format(at)) for at in range(QUESTIONS) for way in WAYS}
    chance = random.Random(99)  # noqa: S311 - the same operations at every run
    counts: Counter[str] = Counter()
    store = await Store.connect(url, pepper=PEPPER, reply_timeout_s=PATIENT_S, upkeep=False)
    tenants = [f"tenant-{number}" for number in range(TENANTS)]
    for tenant in tenants:
        await store.directory.create_tenant(tenant)
    await store.search_near(reader.dimensions)
    assert isinstance(store.near, where)

    async def one(number: int) -> None:
        tenant, group = chance.choice(tenants), chance.choice(GROUPS)
        at, way = chance.randrange(QUESTIONS), chance.choice(WAYS)
        asked = questions[at, way]
        assert asked is not None
        question = Question(group=group, asked=asked)
        key = answer_key(PEPPER, tenant, "tenant", f"{group} {way} {at}".encode())
        canary = f"{tenant} {group} {at}".encode()
        near = store.near.look(tenant, question)
        opening = await store.opening(tenant, request_id=f"r{number}", cache_key=key, near=near)
        answer = opening.answer or opening.near
        if answer is not None:
            counts["equal" if opening.near is None else "near"] += 1
            counts["leaks"] += answer != canary
        else:
            await store.closing(tenant, answer=Kept(key=key, content=canary, near=question, ttl_s=2))

    await _storm(one, operations, counts, chance)
    await store.close()
    return Finding(
        number=9,
        name=f"no answer in other words leaves its tenant, {place}",
        done=f"{operations:,} operations of {TENANTS} tenants, {len(GROUPS)} groups and {QUESTIONS} questions in"
        f" {len(WAYS)} wordings, {counts['cancelled']:,} cancelled at random",
        figure=f"{counts['leaks']} leaks in {counts['near']:,} hits by other words and {counts['equal']:,} by the same",
        bound="0 leaks, hits and cancellations above 0",
        holds=counts["leaks"] == 0 and counts["near"] > 0 and counts["cancelled"] > 0,
    )


async def _storm(
    one: Callable[[int], Awaitable[None]], operations: int, counts: Counter[str], chance: random.Random
) -> None:
    """So many operations by `AT_ONCE` clients, one in four cancelled within the milliseconds that it takes."""
    numbers = iter(range(operations))

    async def client() -> None:
        for number in numbers:
            task = asyncio.ensure_future(one(number))
            if number % 4 == 0:
                asyncio.get_running_loop().call_later(chance.uniform(0, 0.004), task.cancel)
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(ended, asyncio.CancelledError):
                counts["cancelled"] += 1
            elif ended is not None:
                raise ended

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


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
    leaks = hits = near = 0
    wordings = ("The same for all?", "hi, the same for all", "please, the same for all?")
    for turn in range(rig.of(40, 4)):
        asked = question(wordings[turn % len(wordings)], rung={"cache": "semantic"})
        replies = await asyncio.gather(*(stage.post(tenant, asked) for tenant in tenants))
        for tenant, (_, body, headers) in zip(tenants, replies, strict=True):
            text = body["choices"][0]["message"]["content"]
            leaks += owner.setdefault(text, tenant) != tenant
            hits += headers["x-rung-cache"] == "hit"
            near += headers["x-rung-cache"] == "semantic"
    stage.upstream.choose = None
    return [
        Finding(
            number=9,
            name="no answer crosses tenants in the gateway",
            done=f"{len(tenants)} tenants ask the same {rig.of(40, 4)} times over, in {len(wordings)} wordings",
            figure=f"{leaks} leaks, {hits} hits, {near} in other words",
            bound="0 leaks, hits of both kinds",
            holds=leaks == 0 and hits > 0 and near > 0,
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
