"""Requests that bear an idempotency key: the work of each is done once, and who asks again gets the same reply.

A key stands for one body of one API key. It costs such a request a trip to the store before its work and one before its
reply leaves; others take none. See docs/adr/0054-an-idempotency-key-is-claimed.md.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson

from router.configuration.live import Live
from router.errors import IdempotencyInFlight, IdempotencyMismatch, StoreUnavailable
from router.money.settlement import Settler
from router.service.reply import Reply
from router.service.service import Service
from router.service.streaming import DONE, EventStream
from router.store import Claim, Claimed, Principal, Store, answer_key
from router.wire.idempotency import check_idempotency_key
from router.wire.reading import Headers
from router.wire.replay import Recorder

KEY = b"idempotency-key"
END_WAIT_S = 0.25  # promised of every answer while the store is away; the claim's end goes on behind the reply
REPLAYED = {"idempotent-replayed": "true"}


class Once:
    """In front of the service. One per process."""

    def __init__(self, service: Service, store: Store, settler: Settler, live: Live, pepper: bytes) -> None:
        self._service = service
        self._store = store
        self._settler = settler
        self._live = live
        self._pepper = pepper

    async def chat(
        self, principal: Principal, body: dict[str, Any], headers: Headers, request_id: str
    ) -> Reply | EventStream:
        """Answer a chat completion request whose headers have a `KEY`, or tell its answer again.

        Raises:
            IdempotencyInFlight: a request with its key is under way.
            IdempotencyMismatch: the key stood for another body.
            RungError: anything else that keeps it from being answered; its key is then as if it had not been used.
        """
        claim = self._claim(principal, body, headers)
        try:
            kept = await self._take(claim)
        except (asyncio.CancelledError, StoreUnavailable):  # it may be ours all the same, with nobody to work on it
            self._settler.afterwards(self._store.claims.end(claim))
            raise
        if kept:
            return _told_again(kept, request_id)
        try:
            reply = await self._service.chat(principal, body, headers, request_id)
        except asyncio.CancelledError:  # its client has left
            self._settler.afterwards(self._store.claims.end(claim))
            raise
        except Exception:
            await self._end(claim)
            raise
        if isinstance(reply, Reply):
            await self._end(claim, _packed(reply.headers, reply.body, stream=False))
            return reply
        reply.frames = self._recorded(claim, reply.frames, reply.headers)
        await anext(reply.frames)  # only a generator that is under way ends its claim when it is closed
        return reply

    def _claim(self, principal: Principal, body: dict[str, Any], headers: Headers) -> Claim:
        named = check_idempotency_key(headers[KEY])
        said = sorted((name, value) for name, value in headers.items() if name.startswith(b"x-rung-"))
        asked = orjson.dumps(
            [body, [(n.decode("latin-1"), v.decode("latin-1")) for n, v in said]], option=orjson.OPT_SORT_KEYS
        )
        tenant, payer = principal.tenant.id, principal.scope
        return Claim(
            tenant=tenant,
            name=answer_key(self._pepper, tenant, payer, b"idempotency key " + named.encode()),
            body=answer_key(self._pepper, tenant, payer, asked),
            owner=secrets.token_hex(12),
        )

    async def _take(self, claim: Claim) -> bytes:
        """The reply that is kept, or b"" where the work is ours to do."""
        lease_s = self._live.current.settings.server.request_timeout_s
        standing, kept = await self._store.claims.take(claim, lease_s=lease_s)
        if standing is Claimed.OPEN:
            raise IdempotencyInFlight(
                "A request with this Idempotency-Key is under way: wait for its reply, or ask again when it has ended.",
                param="idempotency-key",
                retry_after_s=1.0,
            )
        if standing is Claimed.OTHER:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used with another request; take a new one.", param="idempotency-key"
            )
        return kept

    async def _recorded(
        self, claim: Claim, frames: AsyncGenerator[bytes], headers: Mapping[str, str]
    ) -> AsyncGenerator[bytes]:
        """Once b"" and then the stream's frames, kept before the last of them leaves where they come to a true end."""
        ended = False
        recorder = Recorder(self._live.current.settings.cache.max_answer_bytes)
        try:
            yield b""
            async for frame in frames:
                recorder.add(frame)
                if frame.endswith(DONE):
                    ended = True
                    told = recorder.frames
                    await self._end(claim, b"" if told is None else _packed(headers, told, stream=True))
                yield frame
            if not ended:  # it broke off
                ended = True
                await self._end(claim)
        finally:
            await frames.aclose()
            if not ended:
                self._settler.afterwards(self._store.claims.end(claim))

    async def _end(self, claim: Claim, reply: bytes = b"") -> None:
        """End a claim before its client can ask again; a store that is away keeps nobody waiting."""
        await asyncio.wait({self._settler.afterwards(self._store.claims.end(claim, reply))}, timeout=END_WAIT_S)


def _packed(headers: Mapping[str, str], content: bytes, *, stream: bool) -> bytes:
    return orjson.dumps({"headers": dict(headers), "stream": stream}) + b"\n" + content


def _told_again(kept: bytes, request_id: str) -> Reply | EventStream:
    head, _, content = kept.partition(b"\n")
    told = orjson.loads(head)
    headers: dict[str, str] = {**told["headers"], "x-request-id": request_id, **REPLAYED}
    return EventStream(_again(content), headers) if told["stream"] else Reply(body=content, headers=headers)


async def _again(content: bytes) -> AsyncGenerator[bytes]:
    yield content
