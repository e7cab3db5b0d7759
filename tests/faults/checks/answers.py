"""Promises 6, 7 and 12: departures, attempts, and streams however their bytes are split."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

from router.testing import Answer, Fault
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.stage import Stage, question

CLOSES_WITHIN_S = 1.0
MOST_ATTEMPTS = 4  # the ladder's three tiers, each at most once, and one more for an answer that thinking ate
TEXT = 'Grüße, 世界! 🎉 one two three \\ " four\nfive'


@promise(6)
async def departures_close_the_upstream_and_are_billed(rig: Rig) -> list[Finding]:
    departures = rig.of(200, 24)
    stage = await rig.stage()
    tenant = await stage.tenant(rig.fresh("leaver"))
    chance = random.Random(6)  # noqa: S311 - the same moments at every run
    took: list[float] = []
    unbilled = 0
    for number in range(departures):
        before = await stage.spent(tenant)
        took.append(await _depart(stage, tenant, number, chance))
        unbilled += await stage.settled(tenant) <= before
    slowest = max(took)
    return [
        Finding(
            number=6,
            name="a departure ends the call and is billed",
            done=f"{departures} departures before the first byte, in the middle and at the end, streaming and not",
            figure=f"upstream closed within {slowest * 1000:.0f} ms at worst; {unbilled} not billed",
            bound=f"{CLOSES_WITHIN_S * 1000:.0f} ms, 0",
            holds=slowest <= CLOSES_WITHIN_S and unbilled == 0,
        )
    ]


async def _depart(stage: Stage, tenant: str, number: int, chance: random.Random) -> float:
    """Ask, leave at one of three moments, and return the seconds until the upstream saw it."""
    when, stream = ("before", "middle", "end")[number % 3], number % 2 == 0
    if when == "before" or not stream:
        answer = Answer(gate=asyncio.Event())
    else:
        answer = Answer(text="one two three four", fault=Fault.STALL, fault_after=3 if when == "end" else 1)
    stage.upstream.say(answer)
    count = len(stage.upstream.received)
    asking = asyncio.create_task(_read_forever(stage, tenant, question(f"Departure {number}?", stream=stream)))
    received = await asyncio.wait_for(stage.upstream.arrived(count + 1), 30)
    await asyncio.sleep(chance.uniform(0, 0.05))  # anywhere in the answer: the moment is the fault
    began = time.monotonic()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(received.closed.wait(), 30)
    return time.monotonic() - began


async def _read_forever(stage: Stage, tenant: str, body: dict[str, Any]) -> None:
    async with stage.session.post(stage.chat_url, json=body, headers=stage.headers(tenant)) as reply:
        async for _ in reply.content.iter_any():
            pass


FAILURES: dict[str, Answer] = {
    "429": Answer(status=429),
    "500": Answer(status=500),
    "502": Answer(status=502),
    "503": Answer(status=503),
    "reset": Answer(fault=Fault.RESET, fault_after=-1),
    "garbage": Answer(fault=Fault.GARBAGE, fault_after=-1),
    "empty": Answer(fault=Fault.EMPTY),
}


@promise(7)
async def attempts_are_bounded(rig: Rig) -> list[Finding]:
    stage = await rig.stage()
    tenant = await stage.tenant(rig.fresh("unlucky"))
    most = cases = 0
    try:
        for failure in FAILURES.values():
            for stream in (False, True):
                for model in ("auto", "large"):
                    stage.upstream.default = failure
                    before = len(stage.upstream.received)
                    await _told(stage, tenant, question(rig.fresh("attempt"), model=model, stream=stream))
                    most, cases = max(most, len(stage.upstream.received) - before), cases + 1
    finally:
        stage.upstream.default = Answer()
    after_first = await _calls_after_the_first_byte(rig, stage, tenant)
    return [
        Finding(
            number=7,
            name="attempts are bounded",
            done=f"{cases} cases: {', '.join(FAILURES)} at every attempt, streaming and not, chosen and named",
            figure=f"at most {most} upstream calls for one request; {after_first} after the first byte",
            bound=f"{MOST_ATTEMPTS}; 0",
            holds=1 <= most <= MOST_ATTEMPTS and after_first == 0,
        )
    ]


async def _calls_after_the_first_byte(rig: Rig, stage: Stage, tenant: str) -> int:
    further = 0
    for fault in (Fault.RESET, Fault.TRUNCATE, Fault.GARBAGE, Fault.ERROR_EVENT, Fault.BAD_UTF8):
        gate = asyncio.Event()
        stage.upstream.say(Answer(text="one two three four", fault=fault, fault_after=3, between=gate))
        before = len(stage.upstream.received)
        body = question(rig.fresh("midstream"), model="auto", stream=True)
        async with stage.session.post(stage.chat_url, json=body, headers=stage.headers(tenant)) as reply:
            await reply.content.readany()
            gate.set()
            await reply.read()
        further += len(stage.upstream.received) - before - 1
    return further


@promise(12)
async def streams_stay_valid_however_they_are_split(rig: Rig) -> list[Finding]:
    stage = await rig.stage()
    tenant = await stage.tenant(rig.fresh("reader"))
    sizes = range(1, rig.of(160, 12))
    broken = 0
    for size in sizes:
        stage.upstream.say(Answer(text=TEXT, split=size))
        events = await _told(stage, tenant, question(rig.fresh("split"), stream=True))
        broken += _text_of(events) != TEXT or events[-1] != "[DONE]"
    false_ends = 0
    faults = (Fault.RESET, Fault.TRUNCATE, Fault.GARBAGE, Fault.BAD_UTF8, Fault.ERROR_EVENT)
    for fault in faults:
        for size in (0, 1, 7):
            gate = asyncio.Event()
            stage.upstream.say(Answer(text=TEXT, fault=fault, fault_after=2, split=size, between=gate))
            asking = asyncio.create_task(_told(stage, tenant, question(rig.fresh("failing"), stream=True)))
            asyncio.get_running_loop().call_later(0.1, gate.set)
            events = await asking
            errors = [event for event in events if event.startswith('{"error"')]
            false_ends += "[DONE]" in events or len(errors) != 1 or events[-1] != errors[0]
    return [
        Finding(
            number=12,
            name="streams stay valid",
            done=f"{len(sizes)} ways to split the bytes; {len(faults)} failures in mid-stream, each in three splits",
            figure=f"{broken} answers altered, {false_ends} failures not told by exactly one last error",
            bound="0, 0",
            holds=broken == 0 and false_ends == 0,
        )
    ]


async def _told(stage: Stage, tenant: str, body: dict[str, Any]) -> list[str]:
    """The data of the events of a reply; the body of a whole one."""
    async with stage.session.post(stage.chat_url, json=body, headers=stage.headers(tenant)) as reply:
        text = await reply.text()
    events = [event for event in text.split("\n\n") if event and not event.startswith(":")]
    return [event.removeprefix("data: ") for event in events]


def _text_of(events: list[str]) -> str:
    chunks = [json.loads(event) for event in events if event.startswith("{")]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ()))
