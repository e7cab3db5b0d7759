"""Promises 10, 11 and 16: bytes of any kind, clients that dawdle, and wishes about the upstream."""

from __future__ import annotations

import asyncio
import io
import resource
import statistics
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from tests.contract.fuzzing import fuzz
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.stage import Stage, question
from tests.router.api.test_bad_input import NOT_JSON, WRONG

P99 = 0.99
AT_ONCE = 4


@promise(10)
async def any_bytes_get_a_plain_answer(rig: Rig) -> list[Finding]:
    stage = await rig.stage()
    tenant = await stage.tenant(rig.fresh("hostile"))
    found = await asyncio.to_thread(fuzz, stage.process.url, stage.headers(tenant), examples=rig.of(400, 8))
    statuses: Counter[int] = Counter()
    misshapen = 0
    table = [*NOT_JSON.values(), *(body for body, _ in WRONG.values())]
    for body in table:
        headers = {**stage.headers(tenant), "content-type": "application/json"}
        async with stage.session.post(stage.chat_url, data=io.BytesIO(body), headers=headers) as reply:
            statuses[reply.status] += 1
            error = (await reply.json()).get("error", {})
            misshapen += set(error) != {"message", "type", "param", "code"}
    crashes = stage.process.log.count("Traceback")
    return [
        Finding(
            number=10,
            name="no bytes make a 5xx",
            done=f"{found.requests:,} requests drawn from the OpenAPI description, fitting and not; the table of"
            f" {len(table)} bad bodies",
            figure=f"{found.with_status(500)} answers of 5xx, {len(found.broken) + misshapen} errors of another shape, "
            f"{crashes} tracebacks; table: {dict(statuses)}" + (f" ({found.broken[0]})" if found.broken else ""),
            bound="0, 0, 0; the whole table 400",
            holds=not found.broken and not misshapen and not crashes and set(statuses) == {400},
        )
    ]


@promise(11)
async def slow_clients_do_not_slow_others(rig: Rig) -> list[Finding]:
    stage = await rig.stage()
    tenant = await stage.tenant(rig.fresh("brisk"))
    dawdlers = rig.of(1_000, 150)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    requests = rig.of(400, 60)
    await _p99(stage, tenant, requests // 2)
    before = [await _p99(stage, tenant, requests)]
    parts = urlsplit(stage.process.url)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stage.tokens[tenant]}\r\n"
        "content-type: application/json\r\ncontent-length: 100000\r\n\r\n"
    ).encode()
    writers: list[asyncio.StreamWriter] = []
    for number in range(dawdlers):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(head[:40] if number % 2 else head + b'{"model":')
        writers.append(writer)
    open_now = len(writers)
    slowed = [await _p99(stage, tenant, requests), await _p99(stage, tenant, requests)]
    for writer in writers:
        writer.close()
    before.append(await _p99(stage, tenant, requests))
    ratio = statistics.median(slowed) / statistics.median(before)
    return [
        Finding(
            number=11,
            name="slow clients slow nobody",
            done=f"{open_now:,} half-sent requests held open; {requests} normal ones by {AT_ONCE} clients, twice before"
            " and after, twice beside them",
            figure=f"p99 {statistics.median(before) * 1000:.0f} ms without, {statistics.median(slowed) * 1000:.0f} ms"
            f" with: {ratio:.2f} times",
            bound="2 times",
            holds=ratio <= 2,
        )
    ]


async def _p99(stage: Stage, tenant: str, requests: int) -> float:
    """Seconds within which 99 of 100 requests are answered."""
    waits: list[float] = []
    numbers = iter(range(requests))

    async def client() -> None:
        for number in numbers:
            began = time.perf_counter()
            status, body, _ = await stage.post(tenant, question(f"How are you, number {number}?", model="small"))
            waits.append(time.perf_counter() - began)
            assert status == 200, body

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return sorted(waits)[round(P99 * (len(waits) - 1))]


WISHES: dict[str, Any] = {
    "api_base": "http://127.0.0.1:9/v1",
    "base_url": "http://127.0.0.1:9/v1",
    "api_key": "sk-client",
    "extra_headers": {"x-evil": "1"},
    "extra_body": {"api_base": "http://127.0.0.1:9"},
    "custom_llm_provider": "ollama",
    "organization": "org-evil",
    "proxy": "http://127.0.0.1:9",
    "fallbacks": [{"model": "openai/x", "api_base": "http://127.0.0.1:9"}],
    "litellm_metadata": {"api_base": "http://127.0.0.1:9"},
}
HEADERS = {
    "x-api-base": "http://127.0.0.1:9",
    "x-forwarded-host": "evil.example",
    "forwarded": "host=evil.example",
    "openai-organization": "org-evil",
    "x-evil": "1",
    "x-litellm-api-base": "http://127.0.0.1:9",
}
MODELS = ("openai/http://127.0.0.1:9", "ollama/x", "http://127.0.0.1:9/v1", "large?api_base=http://127.0.0.1:9")


@promise(16)
async def a_client_never_chooses_an_upstream(rig: Rig) -> list[Finding]:
    stage = await rig.stage()
    tenant = await stage.tenant(rig.fresh("chooser"))
    taken = 0
    for field, value in WISHES.items():
        status, _, _ = await stage.post(tenant, question("Where to?", **{field: value}))
        taken += status != 400
    for model in MODELS:
        status, _, _ = await stage.post(tenant, question("Where to?", model=model))
        taken += status != 404
    calls = len(stage.upstream.received)
    await stage.post(tenant, question("Whose headers?"), **HEADERS)
    (call,) = stage.upstream.received[calls:]
    told = {name.lower(): value for name, value in call.headers.items()}
    handed_on = [name for name, value in HEADERS.items() if told.get(name) == value]
    key = told.get("authorization", "")
    token = stage.tokens[tenant]
    return [
        Finding(
            number=16,
            name="a client never chooses an upstream",
            done=f"{len(WISHES)} fields and {len(MODELS)} model names that would, {len(HEADERS)} headers"
            " (there is no dashboard yet to render hostile text)",
            figure=f"{taken + calls} taken, {len(handed_on)} headers handed on, key at the provider: "
            + ("the client's" if token in key else "the operator's"),
            bound="0, 0, the operator's",
            holds=taken == calls == 0 and not handed_on and key == "Bearer fake-key",
        )
    ]
