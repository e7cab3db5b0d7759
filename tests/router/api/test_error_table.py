"""Rows of the table of bad inputs that need a gateway of little patience, or a tenant of little means."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from router.store import FEEDBACK, INFERENCE, Limits, Window
from router.testing import Answer, FakeUpstream
from tests.gateway import Running, fake_settings, running
from tests.router.api.conftest import Books, Loop

CHAT = "/v1/chat/completions"
SERVER = {"body_timeout_s": 1.0, "request_timeout_s": 3.0, "max_body_bytes": 4_096}


@pytest.fixture(scope="module")
def running_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = fake_settings(shared_upstream.openai_base, tmp_path_factory.mktemp("table"), server=SERVER)
    with running(settings) as gateway:
        yield gateway


def question(**fields: Any) -> dict[str, Any]:
    body = {"model": "large", "messages": [{"role": "user", "content": "How are you?"}], "rung": {"cache": "off"}}
    return {**body, **fields}


def error_of(reply: httpx.Response) -> dict[str, Any]:
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


def bearer(books: Books, tenant: str, **more: Any) -> dict[str, str]:
    """A key of a tenant, as a header."""
    books.run(books.store.directory.declare_tenant(tenant))
    _, token = books.run(books.store.directory.create_key(tenant, **more))
    return {"authorization": f"Bearer {token}"}


def spoken(gateway: Running, *parts: bytes) -> bytes:
    """All that the gateway answers to these bytes, behind which the client stays silent."""
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        heard = b""
        while more := connection.recv(65_536):
            heard += more
        return heard


def head(gateway: Running, *headers: str) -> bytes:
    lines = [f"POST {CHAT} HTTP/1.1", "host: x", "connection: close", f"authorization: Bearer {gateway.key}"]
    return "\r\n".join([*lines, "content-type: application/json", *headers, "", ""]).encode()


@pytest.mark.parametrize("begun", [b"", b'{"model":'], ids=["nothing of it", "the beginning of it"])
def test_a_body_that_does_not_come_is_408(gateway: Running, begun: bytes) -> None:
    heard = spoken(gateway, head(gateway, "content-length: 1000"), begun)
    assert heard.startswith(b"HTTP/1.1 408")
    error = json.loads(heard.partition(b"\r\n\r\n")[2])["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "request_timeout")


def test_a_body_over_the_limit_that_declared_no_length_is_413(gateway: Running, upstream: FakeUpstream) -> None:
    chunk = b"1000\r\n" + b" " * 4_096 + b"\r\n"
    heard = spoken(gateway, head(gateway, "transfer-encoding: chunked"), chunk, chunk)
    assert heard.startswith(b"HTTP/1.1 413")
    assert json.loads(heard.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_too_large"
    assert not upstream.received


def test_a_rate_that_is_used_up_is_429_with_the_time_to_wait(
    client: httpx.Client, upstream: FakeUpstream, books: Books
) -> None:
    key = bearer(books, "hasty", limits=Limits(requests_per_minute=1))
    first, second = (client.post(CHAT, json=question(), headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 429)
    error = error_of(second)
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert 0 < int(second.headers["retry-after"]) <= 60
    assert "x-should-retry" not in second.headers
    assert len(upstream.received) == 1


def test_a_budget_that_is_used_up_is_429_and_not_to_be_tried_again(
    client: httpx.Client, upstream: FakeUpstream, books: Books
) -> None:
    key = bearer(books, "poor")
    books.run(books.store.ledger.set_budget("poor", "all", 10, Window.TOTAL))
    reply = client.post(CHAT, json=question(), headers=key)
    error = error_of(reply)
    assert (reply.status_code, error["type"], error["code"]) == (429, "insufficient_quota", "insufficient_quota")
    assert reply.headers["x-should-retry"] == "false"
    assert "retry-after" not in reply.headers, "it does not renew"
    assert not upstream.received


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_a_provider_that_does_not_answer_by_the_deadline_is_504(
    client: httpx.Client, upstream: FakeUpstream, loop: Loop, books: Books, *, stream: bool
) -> None:
    async def never() -> asyncio.Event:
        return asyncio.Event()

    before = books.settled()
    upstream.say(Answer(gate=loop.run(never())))
    reply = client.post(CHAT, json=question(stream=stream))
    error = error_of(reply)
    assert (reply.status_code, error["type"], error["code"]) == (504, "server_error", "upstream_timeout")
    assert books.settled() > before, "the provider has most likely worked, and bills it"


def test_keys_that_are_revoked_expired_or_meant_for_something_else_open_nothing(
    client: httpx.Client, upstream: FakeUpstream, books: Books
) -> None:
    directory = books.store.directory
    revoked, expired = bearer(books, "many"), bearer(books, "many", expires_at=1.0)
    books.run(directory.revoke_key(revoked["authorization"].split("_")[1]))
    for key in (revoked, expired):
        reply = client.post(CHAT, json=question(), headers=key)
        assert (reply.status_code, error_of(reply)["code"]) == (401, "invalid_api_key")
    for_feedback = bearer(books, "many", scopes=frozenset({FEEDBACK}))
    narrow = bearer(books, "many", scopes=frozenset({INFERENCE}), models=frozenset({"small"}))
    for key, body in ((for_feedback, question()), (narrow, question())):
        reply = client.post(CHAT, json=body, headers=key)
        assert (reply.status_code, error_of(reply)["type"]) == (403, "permission_error")
    assert not upstream.received
