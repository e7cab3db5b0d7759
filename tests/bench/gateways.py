"""What is measured: the bare upstream, Rung, the LiteLLM proxy, and any other gateway that somebody has running."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.bench.native import BenchError, Endpoint, Programs
from tests.bench.processes import Cores, spawn, stop

CHAT = "/v1/chat/completions"
RUNG, LITELLM, BARE = "rung", "litellm-proxy", "bare upstream"
# The proxy imports for some 10 s where the file cache is cold and the cores are shared.
START_S = 180.0
# How often a starting server is asked whether it is up.
POLL_S = 0.2
# What our own environment must not slip into the servers': providers' keys, other stores, other configurations.
_FOREIGN = re.compile(r"^(RUNG_.*|REDIS_.*|LITELLM_.*|.*_API_KEY|.*_API_BASE|DATABASE_URL|PORT)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to measure.

    Attributes:
        model: what the requests ask for. pid: the root of its process tree; None where its CPU is not counted.
    """

    name: str
    endpoint: Endpoint
    model: str
    pid: int | None = None

    @classmethod
    def named(cls, text: str) -> Self:
        """Of `name=URL[,model][,pid][,key]`: a gateway that is already running, in front of our upstream.

        Raises:
            ValueError: the text does not read like that, or the URL is not on the loopback.
        """
        name, _, rest = text.partition("=")
        url, model, pid, key = [*rest.split(","), "", "", ""][:4]
        parts = urlsplit(url)
        if not name or parts.scheme != "http" or parts.hostname not in {"127.0.0.1", "localhost"}:
            raise ValueError(f"{text!r}: write name=http://127.0.0.1:PORT[/v1][,model][,pid][,key]; loopback only")
        path = parts.path.rstrip("/")
        return cls(
            name=name,
            endpoint=Endpoint(port=parts.port or 80, path=f"{path}/chat/completions" if path else CHAT, key=key or "x"),
            model=model or "bench",
            pid=int(pid) if pid else None,
        )


def bare(port: int) -> Target:
    """The upstream itself, with nothing in front of it."""
    return Target(name=BARE, endpoint=Endpoint(port=port, path=CHAT, key="x"), model="bench")


def _environment(**own: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    return {**inherited, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True", **own}


def get(port: int, path: str) -> str:
    """The body of a GET on the loopback."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
        return reply.read().decode()


def _await_ready(process: subprocess.Popen[str], port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            get(port, path)
        except (OSError, http.client.HTTPException):
            time.sleep(POLL_S)
        else:
            return
    said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
    raise BenchError(f"{process.args}: not ready on port {port} within {START_S:g} s. Its last words:\n{said}")


@contextmanager
def rung(programs: Programs, cores: Cores, command: Path, folder: Path, base_url: str, port: int) -> Generator[Target]:
    """`rung serve --workers 1`, complete: classifier, policy, ledger, cache, receipts, its own store in `folder`.

    Without the decision log's files, as the proxy has no callbacks: a process of its own writes them, in bursts.
    """
    config = folder / "rung.yaml"
    config.write_text(json.dumps(rung_config(base_url)), encoding="utf-8")  # JSON is YAML
    env = _environment(RUNG_CONFIG=str(config), RUNG_STORE__DATA_DIR=str(folder / "data"), RUNG_LOG__URL="off")
    log = folder / "rung.log"
    with log.open("w", encoding="utf-8") as out:
        serve = [str(command), "serve", "--workers", "1", "--port", str(port)]
        process = spawn(programs.leash, cores.server, serve, env=env, cwd=folder, stdout=out, stderr=out)
    try:
        _await_ready(process, port, "/readyz", log)
        key = _rung_key(command, env, folder)
        yield Target(name=RUNG, endpoint=Endpoint(port=port, path=CHAT, key=key), model="auto", pid=process.pid)
    finally:
        stop(process)


def rung_config(base_url: str) -> dict[str, Any]:
    """Three tiers with prices and dials, all at our upstream, so that every decision has something to weigh."""
    common = {"api_base": base_url, "api_key": "bench", "context_window": 200_000, "max_output": 8_000}
    effort = {"family": "openai-effort", "control": "levels", "levels": {"low": 1024, "medium": 4096}}
    rows: list[tuple[str, str, float, float, float, dict[str, Any]]] = [
        ("small", "economy", 0.3, 0.1, 0.4, {}),
        ("medium", "standard", 0.8, 1, 4, {"reasoning": effort}),
        ("large", "premium", 0.9, 5, 25, {"reasoning": effort}),
    ]
    models = [
        {
            "id": name, "upstream": f"openai/bench-{name}", "tier": tier, "ability": ability,
            "prices": {"input": price_in, "output": price_out}, **more, **common,
        }
        for name, tier, ability, price_in, price_out, more in rows
    ]  # fmt: skip
    return {"models": models}


def _rung_key(command: Path, env: dict[str, str], folder: Path) -> str:
    """A tenant with a budget, and its key."""
    said = ""
    for arguments in (["tenants", "create", "bench", "--budget", "1000000"], ["keys", "create", "bench"]):
        done = subprocess.run(
            [str(command), *arguments], env=env, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BenchError(f"`rung {' '.join(arguments)}` failed:\n{done.stderr or done.stdout}")
        said = done.stdout
    return said.split()[-1]


@contextmanager
def litellm_proxy(
    programs: Programs, cores: Cores, command: Path, folder: Path, base_url: str, port: int
) -> Generator[Target]:
    """The proxy in its own virtual environment: one worker, one model at our upstream, no database, no callbacks."""
    # It refuses to start with a weak one.
    key = "sk-" + secrets.token_hex(24)
    config = folder / "litellm.yaml"
    parameters = {"model": "openai/bench", "api_base": base_url, "api_key": "bench"}
    content = {
        "model_list": [{"model_name": "bench", "litellm_params": parameters}],
        "general_settings": {"master_key": key},
    }
    config.write_text(json.dumps(content), encoding="utf-8")
    env = _environment(LITELLM_MODE="PRODUCTION", LITELLM_LOG="ERROR")
    log = folder / "litellm.log"
    with log.open("w", encoding="utf-8") as out:
        serve = [str(command.resolve()), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        serve += ["--num_workers", "1", "--telemetry", "False"]
        process = spawn(programs.leash, cores.server, serve, env=env, cwd=folder, stdout=out, stderr=out)
    try:
        _await_ready(process, port, "/health/liveliness", log)
        yield Target(name=LITELLM, endpoint=Endpoint(port=port, path=CHAT, key=key), model="bench", pid=process.pid)
    finally:
        stop(process)
