"""Money under concurrency: two worker processes, one budget, not a cent too much."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
import yaml

from router.testing import Answer, FakeUpstream
from tests.serving import clean_environment, rung, serving, until

pytestmark = pytest.mark.e2e

REQUESTS = 1_000
ADMITTED = 50  # $5 at $0.10


async def test_a_thousand_requests_of_ten_cents_on_five_dollars_admit_exactly_fifty(tmp_path: Path) -> None:
    async with FakeUpstream(Answer(input_tokens=1, output_tokens=1_000)) as upstream:
        _configure(tmp_path, upstream.openai_base)
        with serving(tmp_path, "--workers", "2", stop_s=30) as gateway:
            until(lambda: "ready after" in gateway.log, "that all workers are ready is said")
            assert len(gateway.workers()) == 2
            key = _make_key(tmp_path)
            statuses = await _ask_all(f"{gateway.url}/v1/chat/completions", key)
            # A reply leaves before its booking, and the command reads the store by itself.
            until(lambda: "held: $0.00" in _run(tmp_path, "tenants", "show", "acme"), "the end of the bookings")
            shown = _run(tmp_path, "tenants", "show", "acme")
        assert statuses == Counter({(200, ""): ADMITTED, (429, "insufficient_quota"): REQUESTS - ADMITTED})
        assert len(upstream.received) == ADMITTED
        assert "spent in all: $5.00, held: $0.00" in shown


def _configure(folder: Path, base_url: str) -> None:
    ten_cents_for_a_thousand_tokens = {"input": 0, "output": 100}
    model = {
        "id": "dear",
        "upstream": "openai/fake",
        "tier": "premium",
        "api_base": base_url,
        "api_key": "fake-key",
        "ability": 0.9,
        "context_window": 8_000,
        "max_output": 1_000,
        "prices": ten_cents_for_a_thousand_tokens,
    }
    (folder / "rung.yaml").write_text(yaml.safe_dump({"models": [model]}))


def _run(folder: Path, *arguments: str) -> str:
    command = [rung(), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=clean_environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _make_key(folder: Path) -> str:
    _run(folder, "tenants", "create", "acme", "--budget", "5", "--window", "total")
    return _run(folder, "keys", "create", "acme").splitlines()[-1]


async def _ask_all(url: str, key: str) -> Counter[tuple[int, str]]:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers={"authorization": f"Bearer {key}"}
    ) as session:

        async def ask(number: int) -> tuple[int, str]:
            messages = [{"role": "user", "content": f"Question number {number}?"}]
            async with session.post(url, json={"model": "dear", "max_tokens": 1_000, "messages": messages}) as reply:
                body = await reply.json()
                return reply.status, body.get("error", {}).get("code", "")

        return Counter(await asyncio.gather(*(ask(number) for number in range(REQUESTS))))
