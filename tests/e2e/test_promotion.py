"""A promotion under load, over two worker processes: nothing fails, all swap, and a rollback restores all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.testing import FakeUpstream
from tests.gateway import fake_ladder
from tests.patience import PATIENCE_S, Stopwatch
from tests.router.registries import opinion, registry
from tests.serving import serving

pytestmark = pytest.mark.e2e

ADMIN_KEY = "operator-key-for-tests"
PROMPTS = [
    f"{what}?" for what in ("Hi", "What is 2+2", "Prove Fermat's little theorem", "Translate 'dog'", "Why is it so")
]
SWAPPED_WITHIN_S = 5.0  # the promise
CALLERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    url: str
    session: aiohttp.ClientSession

    async def menus(self) -> list[Any]:
        """What would be decided for each prompt, whole."""
        found: list[Any] = []
        for prompt in PROMPTS:
            body = {"messages": [{"role": "user", "content": prompt}]}
            async with self.session.post(f"{self.url}/v1/route", json=body) as reply:
                assert reply.status == 200, await reply.text()
                menu = await reply.json()
                found.append({name: value for name, value in menu.items() if name != "budget"})
        return found

    async def ask(self, number: int) -> int:
        content = f"{PROMPTS[number % len(PROMPTS)]} {number}"
        body = {"model": "auto", "messages": [{"role": "user", "content": content}], "stream": number % 2 == 0}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body) as reply:
            text = await reply.text()
            return reply.status if number % 2 or text.endswith("[DONE]\n\n") else 599

    async def sequence(self) -> float:
        """The state of the registry that is in force in the process that is furthest behind."""
        async with self.session.get(f"{self.url}/metrics") as reply:
            found = re.search(r"^rung_classifier_sequence (\S+)$", await reply.text(), re.MULTILINE)
            return float(found[1]) if found else -1.0

    async def admin(self, move: str, **body: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        url = f"{self.url}/v1/admin/classifier/{move}"
        async with aiohttp.ClientSession(headers=headers) as operator, operator.post(url, json=body) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()


@asynccontextmanager
async def served(folder: Path, upstream: FakeUpstream) -> AsyncGenerator[Served]:
    writer, private, public = registry(folder)
    writer.add(opinion(folder, 1, offset=-3.0))
    settings = {
        "models": fake_ladder(upstream.openai_base),
        "server": {"workers": 2, "drain_timeout_s": 3, "admin_key": ADMIN_KEY},
        "registry": {"folder": str(writer.folder), "public_keys": [public], "signing_key": str(private)},
    }
    manager = serving(folder, settings=settings, stop_s=PATIENCE_S)
    process = await asyncio.to_thread(manager.__enter__)
    try:
        async with aiohttp.ClientSession(headers=process.headers) as session:
            yield Served(url=process.url, session=session)
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


async def in_force(gateway: Served, sequence: float) -> float:
    """Seconds until every process has this state in force."""
    with Stopwatch() as watch:
        async with asyncio.timeout(PATIENCE_S):
            while await gateway.sequence() < sequence:  # noqa: ASYNC110 - other processes: there is no event
                await asyncio.sleep(0.05)
    return watch.own_s


async def test_a_promotion_under_load_fails_nothing_and_a_rollback_restores_every_decision(tmp_path: Path) -> None:
    async with FakeUpstream() as upstream, served(tmp_path, upstream) as gateway:
        await in_force(gateway, 1)
        before = await gateway.menus()
        statuses: list[int] = []
        stop = asyncio.Event()

        async def load(caller: int) -> None:
            number = caller
            while not stop.is_set():
                statuses.append(await gateway.ask(number))
                number += CALLERS

        async def answered(more: int) -> None:
            goal = len(statuses) + more
            async with asyncio.timeout(2 * PATIENCE_S):
                while len(statuses) < goal:  # noqa: ASYNC110 - four callers count up; none of them is the last
                    await asyncio.sleep(0.01)

        callers = [asyncio.create_task(load(caller)) for caller in range(CALLERS)]
        await answered(20)
        promoted = await gateway.admin("promote", version="own-1", why="a test")
        took = [await in_force(gateway, promoted["registry"]["sequence"])]
        await answered(20)
        assert await gateway.menus() != before
        rolled_back = await gateway.admin("rollback", why="a test")
        took.append(await in_force(gateway, rolled_back["registry"]["sequence"]))
        await answered(20)
        stop.set()
        await asyncio.gather(*callers)
        assert await gateway.menus() == before
        assert set(statuses) == {200}
        assert max(took) < SWAPPED_WITHIN_S
        assert [move["action"] for move in rolled_back["audit"]] == ["rollback", "promote"]
