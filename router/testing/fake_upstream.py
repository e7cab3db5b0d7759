"""A provider that is not one: an HTTP server on loopback with scripted answers, a log and its own bill.

    async with FakeUpstream() as upstream:
        upstream.say(Answer(status=429, headers={"Retry-After": "7"}), Answer(text="Paris."))
        ...  # call upstream.openai_base or upstream.anthropic_base
        assert upstream.received[0].body["model"] == "fake-model"
        assert upstream.billed_nano == ...

It bills every answer whose first byte left, in integer nano-dollars, whether or not the caller stayed to read
it: so does a real one. Nothing in it sleeps; whatever waits, waits for an event.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

from router.testing import formats
from router.testing.script import Answer, Bill, Fault

NANO_PER_TOKEN_INPUT = 1_000
NANO_PER_TOKEN_OUTPUT = 4_000
_MAX_BODY = 256 * 1024 * 1024
_BROKEN = b"\xff\xfe\xfa"
_Format = tuple[
    Callable[[Answer, Bill, Mapping[str, Any]], dict[str, Any]],
    Callable[[Answer, Bill, Mapping[str, Any]], Iterator[bytes]],
    Callable[[], bytes],
]
_OPENAI: _Format = (formats.openai_reply, formats.openai_events, formats.openai_end)
_ANTHROPIC: _Format = (formats.anthropic_reply, formats.anthropic_events, formats.anthropic_end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came in.

    Attributes:
        path, headers, body, raw: what was sent; `body` is the parsed JSON.
        closed: set when the caller's connection went away before the answer was complete.
        done: set when the answer was written in full.
        bills: what was billed for it: one, or none where it was refused.
    """

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    raw: bytes
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    bills: list[Bill] = field(default_factory=list[Bill])


class FakeUpstream:
    """See the module. Use it as an asynchronous context manager, on the test's event loop.

    Attributes:
        received: every request, oldest first.
        bills: what each answer cost.
        default: the answer once the script has run out.
        choose: reads the answer off the request; where it gives None, script and default speak.
    """

    def __init__(
        self,
        default: Answer | None = None,
        *,
        port: int = 0,
        choose: Callable[[Received], Answer | None] | None = None,
    ) -> None:
        self.default = default or Answer()
        self.choose = choose
        self.received: list[Received] = []
        self.bills: list[Bill] = []
        self._script: deque[Answer] = deque()
        self._arrived = asyncio.Condition()
        self._stop = asyncio.Event()
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_post("/{prefix:.*}/chat/completions", self._openai)  # Azure's path is longer than /v1
        app.router.add_post("/v1/messages", self._anthropic)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The server's root, for example `http://127.0.0.1:40123`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_base(self) -> str:
        """What an OpenAI client takes as its `base_url`."""
        return f"{self.url}/v1"

    @property
    def anthropic_base(self) -> str:
        """What an Anthropic client takes as its `base_url`."""
        return self.url

    @property
    def billed_nano(self) -> int:
        """The sum of all bills, in nano-dollars."""
        return sum(bill.nano for bill in self.bills)

    def say(self, *answers: Answer) -> None:
        """Answer the next requests with these, in order."""
        self._script.extend(answers)

    def hush(self) -> None:
        """Forget the answers that nobody has asked for yet."""
        self._script.clear()

    async def arrived(self, count: int = 1) -> Received:
        """Wait until so many requests have come in, and return the last of them."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received[count - 1]

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, _OPENAI)

    async def _anthropic(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, _ANTHROPIC)

    async def _serve(self, request: web.Request, wire: _Format) -> web.StreamResponse:
        received = await self._receive(request)
        answer = self._next(received)
        try:
            if answer.gate is not None:
                await answer.gate.wait()
            if answer.status >= web.HTTPBadRequest.status_code:
                return _refusal(answer)
            bill = _bill(answer, received.body)
            self.bills.append(bill)
            received.bills.append(bill)
            respond = self._stream if received.body.get("stream") else self._whole
            return await respond(request, received, answer, bill, wire)
        except (asyncio.CancelledError, ConnectionError):
            received.closed.set()
            raise

    def _next(self, received: Received) -> Answer:
        chosen = self.choose(received) if self.choose is not None else None
        if chosen is not None:
            return chosen
        return self._script.popleft() if self._script else self.default

    async def _receive(self, request: web.Request) -> Received:
        raw = await request.read()
        received = Received(path=request.path, headers=dict(request.headers), body=orjson.loads(raw), raw=raw)
        async with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        return received

    async def _whole(
        self, request: web.Request, received: Received, answer: Answer, bill: Bill, wire: _Format
    ) -> web.StreamResponse:
        body = orjson.dumps(wire[0](answer, bill, received.body))
        if answer.fault is Fault.STALL:
            await self._stop.wait()
        if answer.fault in {Fault.RESET, Fault.TRUNCATE, Fault.STALL}:
            return await self._cut(request, body, reset=answer.fault is not Fault.TRUNCATE)
        kind = "text/html" if answer.fault is Fault.HTML else "application/json"
        response = web.Response(body=_spoiled(body, answer), content_type=kind, headers=answer.headers)
        await response.prepare(request)
        await response.write_eof()
        received.done.set()
        return response

    async def _cut(self, request: web.Request, body: bytes, *, reset: bool) -> web.StreamResponse:
        """Promise a whole body, send half of it, and hang up."""
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        response.content_type = "application/json"
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        _hang_up(request, reset=reset)
        return response

    async def _stream(
        self, request: web.Request, received: Received, answer: Answer, bill: Bill, wire: _Format
    ) -> web.StreamResponse:
        kind = "text/html" if answer.fault is Fault.HTML else "text/event-stream"
        response = web.StreamResponse(headers={"Cache-Control": "no-cache", **answer.headers})
        response.content_type = kind
        await response.prepare(request)
        async with _writer(response, answer.split) as write:
            if answer.fault in {Fault.EMPTY, Fault.HTML}:
                await write(b"" if answer.fault is Fault.EMPTY else b"<html>no</html>")
                return response
            for number, event in enumerate(itertools.chain(wire[1](answer, bill, received.body), (wire[2](),))):
                if number and answer.between is not None:
                    await answer.between.wait()
                if answer.fault is not Fault.NONE and number == answer.fault_after + 1:
                    return await self._break_off(request, response, answer, event)
                await write(event)
        received.done.set()
        return response

    async def _break_off(
        self, request: web.Request, response: web.StreamResponse, answer: Answer, event: bytes
    ) -> web.StreamResponse:
        """Do in the middle of a stream what the script wants done there."""
        match answer.fault:
            case Fault.STALL:
                await self._stop.wait()
            case Fault.RESET:
                _hang_up(request, reset=True)
            case Fault.TRUNCATE:
                await response.write(event[: len(event) // 2])
            case Fault.BAD_UTF8:
                await response.write(_broken(event))
            case Fault.GARBAGE:
                await response.write(b"data: {this is not JSON\n\n")
            case _:
                await response.write(b"data: " + orjson.dumps({"error": dict(answer.error)}) + b"\n\n")
        return response


@asynccontextmanager
async def _writer(response: web.StreamResponse, split: int) -> AsyncGenerator[Callable[[bytes], Any]]:
    """A function that writes bytes; with `split`, in pieces of that size that leave one by one."""

    async def write(data: bytes) -> None:
        for start in range(0, len(data), split or len(data) or 1):
            await response.write(data[start : start + split] if split else data)
            await asyncio.sleep(0)

    yield write


def _refusal(answer: Answer) -> web.Response:
    body = orjson.dumps({"error": dict(answer.error)})
    return web.Response(body=body, status=answer.status, content_type="application/json", headers=answer.headers)


def _spoiled(body: bytes, answer: Answer) -> bytes:
    match answer.fault:
        case Fault.BAD_UTF8:
            return _broken(body)
        case Fault.GARBAGE:
            return b"this is not JSON"
        case Fault.HTML:
            return b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
        case Fault.EMPTY:
            return b""
        case Fault.ERROR_EVENT:
            return orjson.dumps({"error": dict(answer.error)})
        case _:
            return body


def _broken(data: bytes) -> bytes:
    """The JSON with bytes that are no UTF-8 in its text."""
    return data.replace(b'"content":"', b'"content":"' + _BROKEN).replace(b'"text":"', b'"text":"' + _BROKEN)


def _bill(answer: Answer, body: Mapping[str, Any]) -> Bill:
    """What the answer costs; a token is a word where the script does not say."""
    given = answer.input_tokens if answer.input_tokens is not None else _words(body.get("messages"))
    made = answer.output_tokens
    if made is None:
        made = (len(answer.text.split()) + len(answer.thinking.split())) * (body.get("n") or 1)
    nano = given * NANO_PER_TOKEN_INPUT + made * NANO_PER_TOKEN_OUTPUT
    return Bill(input=given, output=made, reasoning=answer.reasoning_tokens, cached=answer.cached_tokens, nano=nano)


def _words(value: object) -> int:
    """Words in all the text of a value."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, Mapping):
        return sum(_words(part) for part in value.values())
    return sum(_words(part) for part in value) if isinstance(value, list) else 0


def _hang_up(request: web.Request, *, reset: bool) -> None:
    """Close the connection: with a reset, or as a server does that has nothing more to say."""
    transport = request.transport
    if transport is None:
        return
    transport.abort() if reset else transport.close()
