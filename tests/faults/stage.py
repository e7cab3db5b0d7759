"""What every check stands on: a running gateway of several processes, a real store, the fake upstream with its bill."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from router.store import FEEDBACK, INFERENCE, Store, Window, embedded
from router.testing import FakeUpstream
from tests.gateway import fake_ladder
from tests.patience import PATIENCE_S
from tests.serving import Process, serving
from tests.store_servers import PATIENT_S

PEPPER = "a pepper for the rig, of 32 bytes."
# The ladder's list prices in nano-dollars a token: written down here, apart from the code that bills by them.
NANO_PER_TOKEN = {"fake-small": (100, 400), "fake-medium": (1_000, 4_000), "fake-large": (5_000, 25_000)}


@dataclass(slots=True, kw_only=True)
class Stage:
    """A gateway under test, its books over a connection of their own, and the upstream behind it.

    Attributes:
        tokens: an API key of each tenant that was made here.
    """

    process: Process
    upstream: FakeUpstream
    store: Store
    session: aiohttp.ClientSession
    tokens: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def chat_url(self) -> str:
        return f"{self.process.url}/v1/chat/completions"

    def headers(self, tenant: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[tenant]}"}

    async def tenant(
        self, tenant: str, *, limit_nano: int | None = None, policy: Mapping[str, Any] | None = None
    ) -> str:
        """Make a tenant with a key and perhaps a budget; its id."""
        await self.store.directory.create_tenant(tenant, policy=policy)
        if limit_nano is not None:
            await self.store.ledger.set_budget(tenant, "main", limit_nano, Window.TOTAL)
        _, self.tokens[tenant] = await self.store.directory.create_key(tenant, scopes=frozenset({INFERENCE}))
        return tenant

    async def feedback_key(self, tenant: str) -> str:
        """A key that may tell what became of answers, and not ask."""
        return (await self.store.directory.create_key(tenant, scopes=frozenset({FEEDBACK})))[1]

    async def post(self, tenant: str, body: Mapping[str, Any], **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON and headers of a whole answer."""
        named = {**self.headers(tenant), **headers}
        async with self.session.post(self.chat_url, json=body, headers=named) as reply:
            return reply.status, await reply.json(), reply.headers

    async def spent(self, tenant: str) -> int:
        return (await self.store.ledger.standing(tenant)).total.spent_nano

    async def settled(self, tenant: str, within_s: float = PATIENCE_S) -> int:
        """What a tenant has spent in all, once nothing is held; holds that stay are reported by `held`."""
        await happens(lambda: self._nothing_held(tenant), within_s)
        return await self.spent(tenant)

    async def held(self, tenant: str) -> int:
        return (await self.store.ledger.standing(tenant)).total.held_nano

    async def _nothing_held(self, tenant: str) -> bool:
        return await self.held(tenant) == 0


async def happens(condition: Any, within_s: float) -> bool:
    """Whether an asynchronous condition comes true in time; for what other processes bring about."""
    try:
        async with asyncio.timeout(within_s):
            while not await condition():  # noqa: ASYNC110 - the change happens elsewhere: there is no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True


def question(text: str, **fields: Any) -> dict[str, Any]:
    """A chat request that no cache answers, unless the fields say otherwise."""
    plain = {"model": "large", "messages": [{"role": "user", "content": text}], "rung": {"cache": "off"}}
    return {**plain, **fields}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def staged(
    folder: Path,
    *,
    workers: int = 2,
    store_url: str | None = None,
    models: Callable[[str], list[dict[str, Any]]] = fake_ladder,
    settings: Mapping[str, Any] | None = None,
    **environment: str,
) -> AsyncGenerator[Stage]:
    """A stage in an empty folder.

    Args:
        models: the ladder, given the upstream's base URL. settings: other sections of `rung.yaml`.
        store_url: a store elsewhere; the gateway starts its own without it.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FakeUpstream())
        content = {"models": models(upstream.openai_base), **(settings or {})}
        variables = {"RUNG_STORE__PEPPER": PEPPER, **environment}
        if store_url is not None:
            variables["REDIS_URL"] = store_url
        manager = serving(folder, "--workers", str(workers), settings=content, environment=variables)
        process = await asyncio.to_thread(manager.__enter__)
        stack.push_async_callback(asyncio.to_thread, manager.__exit__, None, None, None)
        url = store_url or f"unix://{embedded.socket_path(folder / '.rung')}"
        store = await Store.connect(
            url, pepper=PEPPER.encode(), upkeep=False, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S
        )
        stack.push_async_callback(store.close)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120))
        )
        try:
            yield Stage(process=process, upstream=upstream, store=store, session=session)
        except Exception as error:
            error.add_note(f"status {process.popen.poll()}; the gateway's log ends: {process.log[-1_500:]}")
            raise
