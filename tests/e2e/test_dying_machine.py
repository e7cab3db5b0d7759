"""Processes that are stopped, killed or frozen: what drains drains, what died comes back, the books survive."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import yaml

from router.testing import Answer, FakeUpstream
from tests.patience import PATIENCE_S, Stopwatch
from tests.serving import (
    CLIENT,
    WITHIN_S,
    Process,
    alive,
    clean_environment,
    is_ready,
    one_model,
    rung,
    serving,
    until,
)

pytestmark = pytest.mark.e2e


def started(
    folder: Path, upstream: FakeUpstream, *arguments: str, drain_s: float = 3
) -> AbstractContextManager[Process]:
    settings = {"models": [one_model(upstream.openai_base)], "server": {"drain_timeout_s": drain_s}}
    return serving(folder, *arguments, settings=settings)


def shown(process: Process) -> str:
    command = [rung(), "tenants", "show", "demo"]
    done = subprocess.run(
        command, cwd=process.folder, env=clean_environment(process.folder), capture_output=True, text=True, check=True
    )
    return done.stdout


async def beside(work: Callable[..., object], *arguments: object) -> object:
    return await asyncio.to_thread(work, *arguments)


@asynccontextmanager
async def begun(process: Process) -> AsyncGenerator[aiohttp.ClientResponse]:
    """A stream of which the first words have come."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    async with (
        aiohttp.ClientSession(headers=process.headers) as session,
        session.post(f"{process.url}/v1/chat/completions", json=body) as reply,
    ):
        await reply.content.readany()
        yield reply


def refuses(url: str) -> bool:
    """Whether who connects now is told so at once."""
    try:
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=WITHIN_S).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_stopped_gateway_refuses_lets_its_streams_end_books_them_and_exits_with_0(
    tmp_path: Path, workers: str
) -> None:
    gate = asyncio.Event()
    async with FakeUpstream(
        Answer(text="one two three", between=gate, input_tokens=1000, output_tokens=500)
    ) as upstream:
        manager = started(tmp_path, upstream, "--workers", workers, drain_s=PATIENCE_S)
        process = await asyncio.to_thread(manager.__enter__)
        try:
            async with begun(process) as reply:
                process.popen.send_signal(signal.SIGTERM)
                await beside(until, lambda: refuses(process.url), "the door is shut")
                gate.set()
                assert (await reply.text()).endswith("data: [DONE]\n\n")
            code = await asyncio.to_thread(process.popen.wait, WITHIN_S)
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)
        assert code == 0, process.log
        assert "Traceback" not in process.log
        assert "spent in all: $0.003, held: $0.00" in str(await beside(shown, process))


async def test_a_stream_that_outlives_the_drain_ends_with_one_error_and_is_billed(tmp_path: Path) -> None:
    async with FakeUpstream(Answer(text="one two three", between=asyncio.Event())) as upstream:
        manager = started(tmp_path, upstream)
        process = await asyncio.to_thread(manager.__enter__)
        try:
            async with begun(process) as reply:
                process.popen.send_signal(signal.SIGTERM)
                rest = await reply.text()
            code = await asyncio.to_thread(process.popen.wait, WITHIN_S)
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)
        assert '"code":"draining"' in rest
        assert "[DONE]" not in rest
        assert code == 0, process.log
        assert "Traceback" not in process.log
        report = str(await beside(shown, process))
        assert "held: $0.00" in report
        assert "spent in all: $0.00," not in report


def test_ctrl_c_while_workers_start_ends_all_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "rung.yaml").write_text(yaml.safe_dump({"models": [one_model("http://127.0.0.1:1/v1")]}))
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        command = [rung(), "serve", "--port", "0", "--workers", "2"]
        environment = clean_environment(tmp_path)
        popen = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    process = Process(popen=popen, url="", key="", folder=tmp_path)
    try:
        until(lambda: len(process.workers()) == 2, "two workers")
        os.killpg(popen.pid, signal.SIGINT)  # as a terminal does: all of the group hear it
        assert popen.wait(WITHIN_S) == 0
    finally:
        popen.kill()
        popen.wait()
    assert "Traceback" not in process.log
    assert "takes its place" not in process.log


async def test_a_killed_gateway_takes_its_children_along_and_leaves_its_books(tmp_path: Path) -> None:
    async with FakeUpstream(Answer(input_tokens=1000, output_tokens=500)) as upstream:
        first = started(tmp_path, upstream, "--workers", "2")
        process = await asyncio.to_thread(first.__enter__)
        assert (await asyncio.to_thread(process.ask, "hello")).status_code == 200
        await beside(until, lambda: "$0.003, held: $0.00" in shown(process), "the booking, which follows the reply")
        family = [*process.children(), process.store_pid()]
        assert len(family) >= 3
        process.popen.kill()
        await beside(until, lambda: not any(map(alive, family)), f"the end of {family}")
        await asyncio.to_thread(first.__exit__, None, None, None)
        second = started(tmp_path, upstream)
        again = await asyncio.to_thread(second.__enter__)
        try:
            assert again.key == process.key
            assert "spent in all: $0.003, held: $0.00" in str(await beside(shown, again))
            assert (await asyncio.to_thread(again.ask, "hello")).headers["x-rung-cache"] == "hit"
        finally:
            await asyncio.to_thread(second.__exit__, None, None, None)


async def test_a_killed_worker_is_replaced_and_nobody_else_notices(tmp_path: Path) -> None:
    async with FakeUpstream() as upstream:
        manager = started(tmp_path, upstream, "--workers", "2")
        process = await asyncio.to_thread(manager.__enter__)
        try:
            workers = process.workers()
            assert len(workers) == 2
            os.kill(workers[0], signal.SIGKILL)
            await beside(
                until, lambda: len(process.workers()) == 2 and workers[0] not in process.workers(), "a new one"
            )
            await beside(until, lambda: process.ask("hello").status_code == 200, "an answer")
            line = f"worker {workers[0]} has ended; another takes its place"
            await beside(until, lambda: line in process.log, "the supervisor's line, after its doing")
            process.popen.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.popen.wait, WITHIN_S) == 0
            assert "Traceback" not in process.log
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)


async def test_a_frozen_or_killed_store_is_a_quick_503_and_comes_back_by_itself(tmp_path: Path) -> None:
    async with FakeUpstream() as upstream:
        manager = started(tmp_path, upstream)
        process = await asyncio.to_thread(manager.__enter__)
        try:
            await asyncio.to_thread(_freeze_and_kill, process)
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)


def _freeze_and_kill(process: Process) -> None:
    assert process.ask("warm").status_code == 200
    store = process.store_pid()
    os.kill(store, signal.SIGSTOP)
    took: list[float] = []
    for number in range(10):
        with Stopwatch() as watch:
            reply = process.ask(f"frozen {number}")
        took.append(watch.own_s)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_unavailable")
        assert reply.headers["retry-after"] == "1"
    print(f"answers while the store was frozen: {[round(seconds * 1000) for seconds in took]} ms")  # noqa: T201 - the promise's figure
    assert sorted(took)[len(took) // 2] < 0.25  # the first wait as long as gateways of tests do (PATIENT_MS)
    assert CLIENT.get(f"{process.url}/readyz").status_code == 503
    os.kill(store, signal.SIGCONT)
    until(lambda: process.ask("thawed").status_code == 200, "an answer after the frost")
    outages = process.log.count(" is away: ")
    os.kill(store, signal.SIGKILL)
    until(lambda: process.log.count(" is away: ") > outages, "the outage is seen")
    statuses: list[int] = []
    until(lambda: statuses.append(process.ask("anything").status_code) or statuses[-1] == 200, "the store runs again")
    assert set(statuses[:-1]) <= {503}
    until(lambda: is_ready(process.url), "readiness")
    assert process.ask("after").status_code == 200
    assert process.store_pid() != store
    until(lambda: "had ended by itself; it runs again" in process.log, "the keeper's line, after the answers")
    assert "Traceback" not in process.log


def test_a_port_in_use_is_one_line_and_not_a_success(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        (tmp_path / "rung.yaml").write_text(yaml.safe_dump({"models": [one_model("http://127.0.0.1:1/v1")]}))
        for workers in ("1", "2"):
            done = subprocess.run(
                [rung(), "serve", "--port", port, "--workers", workers],
                cwd=tmp_path,
                env=clean_environment(tmp_path),
                capture_output=True,
                text=True,
                check=False,
                timeout=WITHIN_S,
            )
            assert done.returncode not in {0, -15}
            assert "address already in use" in done.stderr.lower()
            assert "Traceback" not in done.stderr
