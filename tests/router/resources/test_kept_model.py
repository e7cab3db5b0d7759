"""The bundled model, kept: killed, it runs again at the same address; one that cannot run is tried ever more rarely."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import pytest

from router.errors import UpstreamError
from router.resources.kept_model import LONGEST_PAUSE_S, KeptModel
from router.upstream import local_model
from router.upstream.client import UpstreamClient
from router.upstream.local_model import Address, LocalModel
from router.upstream.types import UpstreamCall
from tests.patience import PATIENCE_S
from tests.serving import until

needs_weights = pytest.mark.skipif(not local_model.installed(), reason="the extra `local` is not installed")


async def capital(address: Address) -> bytes:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    async with UpstreamClient() as client:
        call = UpstreamCall(model=address.as_upstream(), body={"messages": question}, max_tokens=20)
        return (await client.complete(call)).body


@needs_weights
async def test_a_killed_model_answers_again_at_the_same_address() -> None:
    with KeptModel(LocalModel(slots=1), first_pause_s=0.05) as model:
        address = model.wait()
        assert b"Paris" in await capital(address)
        killed = model.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 2 * PATIENCE_S
        while True:
            try:
                again = await capital(address)
                break
            except UpstreamError:
                assert time.monotonic() < deadline, "it did not come back"
                await asyncio.sleep(0.1)  # another process' start: there is no event
        assert b"Paris" in again
        assert model.pid not in {killed, None}
    assert model.pid is None


class Failing(LocalModel):
    """A model that ends as soon as it is started, and cannot be started again."""

    def __init__(self) -> None:
        super().__init__()
        self.restarts: list[float] = []
        self.enough = threading.Event()

    def start(self, *, by_kernel: bool | None = None) -> None:  # noqa: ARG002 - as the real one
        self._started_at = time.monotonic()

    def wait(self, timeout_s: float = 0) -> Address:  # noqa: ARG002 - as the real one
        return Address(url="http://127.0.0.1:9", api_key=local_model.SecretStr("k"))

    def restart(self) -> None:
        self.restarts.append(time.monotonic())
        if len(self.restarts) == 3:
            self.enough.set()
        raise UpstreamError("it cannot")


def test_one_that_cannot_run_is_started_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing()
    with KeptModel(failing, first_pause_s=0.05) as model:
        model.wait()
        assert failing.enough.wait(PATIENCE_S)
    said = [record.message for record in caplog.records if "is started again in" in record.message]
    assert [line.rpartition(" in ")[2] for line in said[:3]] == ["0.1 s", "0.2 s", "0.4 s"]
    first, second = (b - a for a, b in zip(failing.restarts[:2], failing.restarts[1:3], strict=True))
    assert first > 0.19
    assert second > 0.39


def test_a_stop_waits_for_no_pause(caplog: pytest.LogCaptureFixture) -> None:
    with KeptModel(Failing(), first_pause_s=LONGEST_PAUSE_S) as model:
        model.wait()
        until(lambda: "is started again in 60.0 s" in caplog.text, "the pause")
        began = time.monotonic()
    assert time.monotonic() - began < LONGEST_PAUSE_S / 2


def test_a_model_that_was_never_waited_for_can_be_stopped() -> None:
    with KeptModel(Failing()):
        pass
