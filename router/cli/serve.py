"""`rung serve`: starts what the gateway stands on, says what to paste, and serves until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from multiprocessing import Pipe, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from router.app import create_app
from router.cli.banner import banner
from router.cli.door import open_door
from router.cli.session import reach_store
from router.cli.telling import Twins, speak_through
from router.configuration import settings as configuration
from router.configuration.settings import ConfigError, Settings
from router.decision_log.place import check_place
from router.decision_log.process import WriterChild
from router.estimation.second_look import check_second_look
from router.resources.resources import Resources, inherited_resources, start_resources
from router.wire.head import BoundedHead

# Between a load balancer and us, our side must be the one that stays: its idle time-outs are 60 s or less.
KEEP_ALIVE_S = 75
# A worker that does not answer its supervisor for so long is killed and replaced. uvicorn's own 5 s are too few on a
# busy machine, where importing LiteLLM alone may hold a worker's interpreter for seconds.
WORKER_SILENT_S = 60


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (8080); 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (1).")] = None,
    config: Annotated[Path | None, typer.Option(help="The configuration (./rung.yaml where it exists).")] = None,
) -> None:
    """Serve the gateway.

    Without configuration, REDIS_URL or any provider's key, a private store and a small local model are started, and the
    two lines to paste are printed. Providers are found by their usual variables: OPENAI_API_KEY, ANTHROPIC_API_KEY,
    GEMINI_API_KEY, OPENROUTER_API_KEY, OLLAMA_API_BASE, HOSTED_VLLM_API_BASE.
    """
    started = time.monotonic()
    settings = _settings(
        RUNG_CONFIG=config, RUNG_SERVER__HOST=host, RUNG_SERVER__PORT=port, RUNG_SERVER__WORKERS=workers
    )
    check_second_look(settings.classifier.second_look)
    check_place(settings)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    with ExitStack() as stack:
        door = stack.enter_context(open_door(settings.server.host, settings.server.port))
        settings = _settings(RUNG_SERVER__PORT=door.getsockname()[1])
        if settings.store.url is not None:
            reach_store(settings, settings.store.url)
        resources = start_resources(settings)
        stack.callback(resources.stop)
        print(banner(settings, resources), flush=True)
        stack.enter_context(WriterChild(settings, resources.store_url))
        if settings.server.workers > 1:
            _serve_many(settings, resources, door, stack, started)
        else:
            _serve_one(settings, resources, door, started)


def _settings(**options: object) -> Settings:
    """The settings with the command's options over them, in the environment too: worker processes and reloads read it.

    Raises:
        ConfigError: the environment is as it was then.
    """
    before = dict(os.environ)
    os.environ.update({name: str(value) for name, value in options.items() if value is not None})
    try:
        return configuration.load()
    except ConfigError:
        os.environ.clear()
        os.environ.update(before)
        raise


def _leave(number: int, frame: FrameType | None) -> None:
    """End by unwinding, so that everything that was started is stopped; uvicorn calls it when it has drained."""
    del number, frame
    sys.exit(0)


def _options(settings: Settings) -> dict[str, object]:
    server = settings.server
    return {
        "http": BoundedHead,
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,  # nothing here depends on the client's address
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_worker_healthcheck": WORKER_SILENT_S,
        "timeout_graceful_shutdown": int(server.drain_timeout_s) or 1,
    }


class _Workers(Multiprocess):
    """uvicorn's supervisor, that says once when every worker it has answers without a wait."""

    def __init__(self, config: uvicorn.Config, door: socket.socket, told: Connection, started: float) -> None:
        super().__init__(config, sockets=[door])
        self._told = told
        self._started = started
        self._warm: set[int | None] = set()
        self._announced = False
        self._twins = Twins()

    def init_processes(self) -> None:
        """Start the workers deaf to Ctrl-C, which a terminal tells all: the supervisor ends them, and they drain."""
        resource_tracker.ensure_running()  # or the first worker starts it, which unblocks the signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child inherits what is blocked
        try:
            super().init_processes()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # what came meanwhile comes now

    def terminate_all(self) -> None:
        """Close the door, then let the workers drain: who comes now is refused at once, and asks elsewhere."""
        for door in self.sockets:
            door.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Twice a second: replace what died or hangs, so that all that is left has just answered its supervisor."""
        before = {worker.pid for worker in self.processes}
        super().keep_subprocess_alive()
        for gone in before.difference(worker.pid for worker in self.processes):
            print(f"rung: worker {gone} has ended; another takes its place", file=sys.stderr, flush=True)
        while self._told.poll():
            self._hear(self._told.recv_bytes().decode(errors="replace"))
        if not self._announced and self._warm.issuperset(worker.pid for worker in self.processes):
            self._announced = True
            _say_ready(self._started)

    def _hear(self, told: str) -> None:
        """A worker's process id alone says that it is ready; behind it stands what it has to say."""
        worker, _, line = told.partition(" ")
        if not line:
            self._warm.add(int(worker))
        elif self._twins.new(int(worker), line):
            print(line, file=sys.stderr, flush=True)


def _say_ready(started: float) -> None:
    print(f"ready after {time.monotonic() - started:.1f} s; Ctrl-C stops it", flush=True)


def _serve_one(settings: Settings, resources: Resources, door: socket.socket, started: float) -> None:
    app = create_app(settings, resources, on_ready=lambda: _say_ready(started))
    config = uvicorn.Config(app, **_options(settings))  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    server.run(sockets=[door])
    if not server.started:
        sys.exit(1)


def _serve_many(
    settings: Settings, resources: Resources, door: socket.socket, stack: ExitStack, started: float
) -> None:
    metrics = stack.enter_context(tempfile.TemporaryDirectory(prefix="rung-metrics-"))
    os.environ.update(resources.export(), PROMETHEUS_MULTIPROC_DIR=metrics)
    told, tell = Pipe(duplex=False)
    options = {"factory": True, "workers": settings.server.workers, **_options(settings)}
    config = uvicorn.Config(partial(worker_app, tell), **options)  # type: ignore[arg-type]
    supervisor = _Workers(config, door, told, started)
    supervisor.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes):
        sys.exit(1)


def worker_app(tell: Connection) -> FastAPI:
    """The application of one worker process; its parent has started the rest, and it ends with its parent.

    Args:
        tell: where its parent is told that it is ready, by its process id.
    """
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="rung-parent-watch", daemon=True).start()
        speak_through(tell)
    return create_app(
        configuration.load(),
        inherited_resources(dict(os.environ)),
        on_ready=lambda: tell.send_bytes(str(os.getpid()).encode()),  # one short write: never mixed with another's
    )


def _end_with(parent: BaseProcess) -> None:
    """A parent that was killed leaves a worker without a store and without anybody who would restart it."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
