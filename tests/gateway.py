"""A whole gateway for tests: the real application on a real socket, with a real store; only providers are replaced."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from router.app import create_app
from router.configuration.settings import Settings
from router.gateway import Gateway
from router.resources.resources import Resources, demo_key, start_resources
from router.upstream import engine
from router.wire.head import BoundedHead
from tests.patience import PATIENCE_S

# A test machine may be so busy that a healthy store or classifier seems away by the gateway's own measures of 200 and
# 100 ms; what is tested of outages sets its own.
PATIENT_MS = 10_000


class _Server(uvicorn.Server):
    """Tells when it is up, and listens on a socket that was bound beforehand."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.up.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A gateway that is up."""

    url: str
    key: str
    gateway: Gateway
    settings: Settings

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def booked(self) -> None:
        """Return when all that the replies so far have left to be done is done: their settlements, receipts, answers.

        A reply leaves before. The gateway's own next question to the store finds it all; another process' may not yet.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self.gateway.settler.under_way:
            assert time.monotonic() < deadline, "something is still not booked"
            time.sleep(0.005)  # another thread's loop: there is no event that both could wait for


@contextmanager
def running(settings: Settings, resources: Resources | None = None) -> Generator[Running]:
    """Serve an application with these settings in a thread of its own."""
    engine.load()  # beside running tests its import would meet pytest's changing filters, where warnings are errors
    own = resources is None
    used = start_resources(settings) if resources is None else resources
    used.demo_key = used.demo_key or demo_key(settings)
    app = create_app(settings, used)
    config = uvicorn.Config(app, log_level="warning", loop="uvloop", http=BoundedHead, lifespan="on", access_log=False)
    server = _Server(config)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="gateway", daemon=True)
    thread.start()
    try:
        assert server.up.wait(PATIENCE_S), "the gateway did not start"
        assert server.started, "the gateway's start failed; see the log above"
        while not app.state.gateway.warmed.is_set():
            time.sleep(0.005)  # another thread's loop: there is no event that both could wait for
        yield Running(url=f"http://127.0.0.1:{port}", key=used.demo_key, gateway=app.state.gateway, settings=settings)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listening.close()
        if own:
            used.stop()


def fake_ladder(base_url: str) -> list[dict[str, Any]]:
    """Three tiers behind one fake upstream that speaks OpenAI's format."""
    common = {"api_base": base_url, "api_key": "fake-key", "context_window": 32_000, "max_output": 8_000}
    effort = {"family": "openai-effort", "control": "levels", "levels": {"low": 1024, "medium": 4096}}
    capabilities = ["tools", "json_object", "json_schema", "vision", "n"]
    return [
        {
            "id": "small",
            "upstream": "openai/fake-small",
            "tier": "economy",
            "ability": 0.3,
            "prices": {"input": 0.1, "output": 0.4},
            "capabilities": ["json_object"],
            **common,
        },
        {
            "id": "medium",
            "upstream": "openai/fake-medium",
            "tier": "standard",
            "ability": 0.8,
            "prices": {"input": 1, "output": 4},
            "capabilities": capabilities,
            "reasoning": effort,
            "extra_fields": ["top_k"],
            **common,
        },
        {
            "id": "large",
            "upstream": "openai/fake-large",
            "tier": "premium",
            "ability": 0.9,
            "prices": {"input": 5, "output": 25},
            "capabilities": capabilities,
            "reasoning": effort,
            **common,
        },
    ]


def fake_settings(base_url: str, data_dir: Path, **changes: Any) -> Settings:
    """Settings of a gateway in front of a fake upstream."""
    store = {"data_dir": data_dir, "timeout_ms": PATIENT_MS}
    patient = {"timeout_ms": PATIENT_MS}
    # What one test makes fail shall not be put aside for the next; what is tested of breakers sets them.
    content: dict[str, Any] = {
        "models": fake_ladder(base_url),
        "store": store,
        "classifier": patient,
        "breaker_failures": 0,
    }
    return Settings.model_validate({**content, **changes})
