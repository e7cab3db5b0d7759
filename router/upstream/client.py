"""The client of all providers: one session, one HTTP request per call, and every failure classified.

Two ways lead out. Where the family allows it, LiteLLM's provider configuration writes the request and this
module sends it over a shared aiohttp session; answers in OpenAI's format are relayed byte by byte, the others
translated. Families that sign or negotiate in their own way go through `litellm.acompletion` (see
`delegate`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
from yarl import URL

from router.errors import UpstreamError
from router.upstream import delegate, engine, faults
from router.upstream.beat import Beat
from router.upstream.cap import capped
from router.upstream.request import Outbound, Wire, takes_own_transport, unsupported
from router.upstream.stream import UpstreamStream, events
from router.upstream.tally import Tally
from router.upstream.translate import Claude, Translation, Verbatim, parsed
from router.upstream.types import UpstreamCall, UpstreamModel, UpstreamReply

# A provider that is not reachable at all should cost a fallback seconds, not its whole time-out.
CONNECT_TIMEOUT_S = 10.0
# A reply larger than this is no chat answer: 128K tokens are less than a megabyte, and n of them a few more.
MAX_REPLY_BYTES = 64 * 1024 * 1024
# Models change when the configuration is reloaded; old ones may go when there are this many.
_MAX_WIRES = 1024


class UpstreamClient:
    """Calls models. Make one per process, inside its event loop; `aclose` it at the end.

    Args:
        connect_timeout_s: seconds to reach a provider. max_reply_bytes: of a whole answer.
        gather_s: how long the chunks of many streams may be gathered; see `router.upstream.beat`.
    """

    def __init__(
        self,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        gather_s: float = 0.0,
    ) -> None:
        self._beat = Beat(gather_s)
        self._connect_timeout_s = connect_timeout_s
        self._max_reply_bytes = max_reply_bytes
        self._session: aiohttp.ClientSession | None = None
        self._wires: dict[UpstreamModel, Wire] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def warm(self) -> None:
        """Import LiteLLM in a thread, so that the first call need not wait for it. Takes seconds."""
        await engine.warm()

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def unsupported(self, model: UpstreamModel, body: Mapping[str, Any]) -> tuple[str, ...]:
        """The request's parameters that this model would refuse: choose another then."""
        wire = await self._wire(model) if takes_own_transport(model) else None
        supported = wire.supported if wire else await delegate.supported(model)
        return unsupported(model, body, supported)

    async def complete(self, call: UpstreamCall) -> UpstreamReply:
        """Ask once for a whole answer. Raises UpstreamError; cancelling it closes the connection."""
        name = call.model.name
        try:
            async with asyncio.timeout(call.timeout_s):
                if takes_own_transport(call.model):
                    return await self._complete(call)
                return await delegate.complete(call)
        except TimeoutError:
            raise faults.timeout(name) from None
        except (aiohttp.ClientError, OSError) as error:
            raise faults.from_exception(error, name) from None

    @asynccontextmanager
    async def stream(self, call: UpstreamCall) -> AsyncGenerator[UpstreamStream]:
        """Ask once for a stream. Enters when the provider has accepted; leaving closes the connection.

        Raises UpstreamError on entering, or out of the iteration.
        """
        if not takes_own_transport(call.model):
            async with delegate.stream(call) as stream:
                yield stream
            return
        deadline = asyncio.get_running_loop().time() + call.timeout_s
        response, outbound, translation = await self._open(call, deadline)
        stream = _stream(response, outbound, translation, call, deadline=deadline, beat=self._beat)
        try:
            with self._beat.stream():
                yield stream
        finally:
            # Nothing of an answer that was left early is worth reading: closing is what cancels it at the
            # provider.
            response.close()
            await stream.aclose()

    async def _complete(self, call: UpstreamCall) -> UpstreamReply:
        wire = await self._wire(call.model)
        outbound = wire.build(call)
        async with self._post(outbound) as response:
            try:
                raw = await self._read(response, call.model.name)
            except BaseException:
                response.close()
                raise
        if response.status >= 300:  # noqa: PLR2004 - redirects are not followed: they could carry a key elsewhere
            raise faults.from_status(response.status, response.headers, raw, call.model.name)
        tally = Tally()
        body = _translation(wire, outbound).reply(raw, tally)
        return UpstreamReply(
            status=response.status,
            body=body,
            usage=tally.usage,
            finish_reason=tally.finish_reason,
            model=tally.model,
            granted=outbound.granted,
            empty=tally.empty,
            output_bytes=tally.output_bytes,
            request_id=_request_id(response.headers),
        )

    async def _open(self, call: UpstreamCall, deadline: float) -> tuple[aiohttp.ClientResponse, Outbound, Translation]:
        """Send the request and wait for the status; a refusal is raised."""
        name = call.model.name
        try:
            async with asyncio.timeout_at(deadline):
                wire = await self._wire(call.model)
                outbound = wire.build(call)
                response = await self._post(outbound)
                try:
                    await self._accept(response, name)
                except BaseException:
                    response.close()
                    raise
        except TimeoutError:
            raise faults.timeout(name) from None
        except (aiohttp.ClientError, OSError) as error:
            raise faults.from_exception(error, name) from None
        return response, outbound, _translation(wire, outbound)

    async def _accept(self, response: aiohttp.ClientResponse, name: str) -> None:
        """Raise what a response that is no stream of events means."""
        if response.status >= 300:  # noqa: PLR2004 - redirects are not followed: they could carry a key elsewhere
            raise faults.from_status(response.status, response.headers, await self._read(response, name), name)
        if response.content_type in {"text/html", "application/json"}:
            raise _not_a_stream(await self._read(response, name), name)

    def _post(self, outbound: Outbound) -> Any:  # noqa: ANN401 - aiohttp's private context manager has no public name
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session.post(
            URL(outbound.url, encoded=True),
            data=outbound.body,
            headers=outbound.headers,
            allow_redirects=False,
        )

    async def _read(self, response: aiohttp.ClientResponse, name: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > self._max_reply_bytes:
                raise faults.garbage(name, f"more than {self._max_reply_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    async def _wire(self, model: UpstreamModel) -> Wire:
        """How this model is called. Raises UpstreamError for a name that LiteLLM does not know."""
        if (wire := self._wires.get(model)) is not None:
            return wire
        await engine.warm()
        if len(self._wires) >= _MAX_WIRES:
            self._wires.clear()
        try:
            wire = self._wires[model] = Wire(model)
        except ValueError as error:
            raise UpstreamError(str(error)) from None
        return wire


def _stream(
    response: aiohttp.ClientResponse,
    outbound: Outbound,
    translation: Translation,
    call: UpstreamCall,
    *,
    deadline: float,
    beat: Beat,
) -> UpstreamStream:
    tally = Tally()
    source = events(
        response,
        translation,
        tally,
        name=call.model.name,
        choices=int(call.body.get("n") or 1),
        deadline=deadline,
        stall_s=call.stall_s,
        beat=beat,
    )
    if not outbound.granted.hard:
        source = capped(source, tally, outbound.granted.max_tokens, int(call.body.get("n") or 1), response.close)
    return UpstreamStream(source, tally=tally, granted=outbound.granted, request_id=_request_id(response.headers))


def _translation(wire: Wire, outbound: Outbound) -> Translation:
    if wire.provider == "anthropic":
        return Claude(wire, outbound.tool_names, json_mode=outbound.json_mode)
    return Verbatim(wire.model.name, wire.model.alias)


def _not_a_stream(raw: bytes, name: str) -> UpstreamError:
    """What a whole JSON body or a web page means where events were asked for."""
    try:
        parsed(raw, name)
    except UpstreamError as error:
        return error
    return faults.garbage(name, "a whole reply where a stream was asked for")


def _request_id(headers: Mapping[str, str]) -> str | None:
    return headers.get("x-request-id") or headers.get("request-id")
