"""An upstream that only listens: it records what was sent, byte by byte, and refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson
from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class Recorder:
    """Answers every POST with a 400, so that one call is one request whatever the format of the answer would be."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._record)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _record(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.requests.append(Recorded(path=request.path, headers=dict(request.headers), body=body))
        return web.json_response({"error": {"message": "recorded", "type": "invalid_request_error"}}, status=400)
