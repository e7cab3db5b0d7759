"""What the store costs a request, in microseconds: `python -m tests.router.store.cost`.

One request: key look-up, opening (limits, money, cache miss), reserve, closing (settle, cache, receipt, limits).
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from router.store import (
    Answer,
    Limits,
    Places,
    Receipt,
    Settlement,
    State,
    Store,
    Window,
    answer_key,
    embedded,
    rules,
)

PEPPER = b"a pepper for measurements, 32 B."
ANSWER = b'{"choices":[{"message":{"content":"' + b"four " * 120 + b'"}}]}'
RECEIPT = b'{"why":"' + b"because " * 250 + b'"}'
WIDE = Limits(requests_per_minute=10**7, tokens_per_minute=10**9, concurrency=10**6)


async def one(store: Store, token: str, number: str) -> None:
    """What the gateway asks of the store for one request."""
    principal = await store.directory.principal(token)
    tenant, scopes = principal.tenant.id, (principal.scope,)
    limited_by = rules(("", principal.tenant.limits), (principal.scope, principal.key.limits))
    key = answer_key(PEPPER, tenant, "", number.encode())
    await store.opening(tenant, request_id=number, rules=limited_by, tokens=500, scopes=scopes, cache_key=key)
    hold = await store.ledger.reserve(tenant, number, 10**6, scopes=scopes, state=State.CALL)
    await store.closing(
        tenant,
        settlement=Settlement(hold=hold, cost_nano=10**5, facts=b'{"model":"m","in":20,"out":120}'),
        answer=Answer(key=key, content=ANSWER),
        receipt=Receipt(decision_id=number, content=RECEIPT),
        places=Places(request_id=number, rules=limited_by, extra_tokens=-300),
    )


async def measure(url: str, at_once: int, requests: int) -> tuple[float, float]:
    """CPU and wall microseconds per request of this process."""
    store = await Store.connect(url, pepper=PEPPER, reply_timeout_s=10)
    await store.directory.declare_tenant("acme", limits=WIDE)
    await store.ledger.set_budget("acme", "month", 10**15, Window.MONTH)
    await store.ledger.set_budget("acme", "day", 10**14, Window.DAY)
    _, token = await store.directory.create_key("acme", limits=Limits(requests_per_minute=10**7))

    async def worker(name: int, count: int) -> None:
        for number in range(count):
            await one(store, token, f"{token[3:9]}-{name}-{number}")

    await worker(-1, 200)
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker(name, requests // at_once) for name in range(at_once)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await store.close()
    return cpu / requests * 1e6, wall / requests * 1e6


def main(requests: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder)) as server:
        print("at once  our CPU us  wall us   (per request)")  # noqa: T201 - a report
        for at_once in (1, 16, 64):
            cpu, wall = uvloop.run(measure(server.url, at_once, requests))
            print(f"{at_once:7}  {cpu:10.0f}  {wall:7.0f}")  # noqa: T201 - a report
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    per_request = (theirs.ru_utime + theirs.ru_stime) / (3 * (requests + 200)) * 1e6
    print(f"server's CPU us per request: {per_request:.0f}")  # noqa: T201 - a report


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
