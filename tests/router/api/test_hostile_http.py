"""Bytes that no honest client sends: each gets one of our errors or a closed door; nothing breaks."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from router.testing import Answer, FakeUpstream
from router.wire import head
from tests.gateway import Running

_fresh = itertools.count()
HALF_OPEN = 1_000


def question(**fields: Any) -> bytes:
    messages = [{"role": "user", "content": f"What is written on page {next(_fresh)}?"}]
    return json.dumps({"model": "auto", "messages": messages, **fields}).encode()


@contextmanager
def connected(gateway: Running) -> Generator[socket.socket]:
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        yield connection


def exchange(gateway: Running, sent: bytes) -> bytes:
    """All that the gateway says to these bytes; it is told that there will be no more requests."""
    with connected(gateway) as connection:
        connection.sendall(sent)
        heard = b""
        while part := connection.recv(65_536):
            heard += part
        return heard


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [line, "host: x", "connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def posted(gateway: Running, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    return request(
        f"POST /v1/chat/completions HTTP/{version}",
        f"authorization: Bearer {gateway.key}",
        "content-type: application/json",
        *headers,
        body=body,
    )


def status_of(heard: bytes) -> int:
    return int(heard.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HEAD /healthz HTTP/1.1", 200),
        ("OPTIONS /v1/chat/completions HTTP/1.1", 405),
        ("OPTIONS * HTTP/1.1", 404),
        ("TRACE / HTTP/1.1", 405),
        ("GET http://elsewhere.example/healthz HTTP/1.1", 200),
        ("GET /v1/%6d%6fdels/small HTTP/1.1", 401),
        ("GET /v1/nothing%00 HTTP/1.1", 404),
        ("GET /%ff%fe HTTP/1.1", 404),
        ("GET /\xff\xfe HTTP/1.1", 400),
        ("GET /healthz/ HTTP/1.1", 404),
        ("GET //evil.example/%2e%2e HTTP/1.1", 404),
        ("GET /healthz HTTP/9.9", 400),
        ("BREW /pot HTTP/1.1", 400),
        ("GET", 400),
    ],
)
def test_an_odd_request_line_has_a_plain_answer(gateway: Running, line: str, status: int) -> None:
    heard = exchange(gateway, request(line))
    assert status_of(heard) == status
    if status >= 400 and not line.startswith("HEAD"):
        error = json.loads(heard.partition(b"\r\n\r\n")[2])["error"]
        assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "x" * 5_000, "evil.example", "\xff"])
def test_no_host_header_reaches_a_reply(gateway: Running, host: str) -> None:
    heard = exchange(
        gateway, f"GET /v1/nothing HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode("latin-1")
    )
    assert status_of(heard) in {400, 404}
    assert b"evil.example" not in heard


def test_null_bytes_in_a_header_are_refused(gateway: Running) -> None:
    assert status_of(exchange(gateway, request("GET /healthz HTTP/1.1", "x-a: b\0c"))) == 400


def test_http_1_0_is_answered_and_closed(gateway: Running) -> None:
    body = question()
    heard = exchange(gateway, posted(gateway, body, f"content-length: {len(body)}", version="1.0"))
    assert status_of(heard) == 200
    assert b"42" in heard


def test_a_chunked_request_is_read(gateway: Running) -> None:
    body = question()
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    assert status_of(exchange(gateway, posted(gateway, chunked, "transfer-encoding: chunked"))) == 200


@pytest.mark.parametrize("wish", ["upgrade: h2c", "Upgrade: websocket", "UPGRADE: TLS/1.0"])
def test_a_wish_for_another_protocol_is_ignored_and_the_body_is_read(gateway: Running, wish: str) -> None:
    sent = posted(gateway, body := question(), wish, "http2-settings: AAMAAABkAAQAAP__", f"content-length: {len(body)}")
    heard = exchange(gateway, sent.replace(b"connection: close", b"connection: upgrade, http2-settings, close"))
    assert status_of(heard) == 200
    assert b"42" in heard


def test_a_wish_in_a_connection_s_second_request_is_ignored_too(gateway: Running) -> None:
    first = posted(gateway, body := question(), f"content-length: {len(body)}").replace(b"connection: close\r\n", b"")
    second = posted(gateway, body := question(), "upgrade: h2c", f"content-length: {len(body)}")
    with connected(gateway) as connection:
        for sent in (first, second.replace(b"connection: close", b"connection: upgrade, close")):
            connection.sendall(sent)
            heard = b""
            while b"chat.completion" not in heard:
                part = connection.recv(65_536)
                assert part, heard
                heard += part
            assert status_of(heard) == 200


def test_what_comes_behind_a_body_is_no_header(gateway: Running) -> None:
    body = question()
    chunked = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    trailers = b"authorization: Bearer another\r\nx-rung-quality: no number\r\n" + b"x-a: b\r\n" * 200 + b"\r\n"
    assert status_of(exchange(gateway, posted(gateway, chunked + trailers, "transfer-encoding: chunked"))) == 200


def test_two_lengths_are_refused_as_smuggling(gateway: Running) -> None:
    heard = exchange(gateway, posted(gateway, b"0\r\n\r\nx", "content-length: 6", "transfer-encoding: chunked"))
    assert status_of(heard) == 400


def test_pipelined_requests_are_answered_in_their_order(gateway: Running) -> None:
    first = posted(gateway, body := question(), f"content-length: {len(body)}").replace(b"connection: close\r\n", b"")
    heard = exchange(gateway, first + request("GET /healthz HTTP/1.1"))
    assert heard.count(b"HTTP/1.1 200") == 2
    assert heard.index(b"chat.completion") < heard.index(b'"status":"ok"')


def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(gateway: Running) -> None:
    with connected(gateway) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        sent = 0
        try:
            while sent < 100 * head.MAX_HEAD_BYTES:
                connection.sendall(b"x-a: " + b"b" * 16_384 + b"\r\n")
                sent += 16_384
        except OSError:
            pass
        assert sent < 100 * head.MAX_HEAD_BYTES


def test_a_head_that_does_not_come_is_not_waited_for(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "HEAD_TIMEOUT_S", 0.2)
    with connected(gateway) as silent, connected(gateway) as slow:
        slow.sendall(b"GET / HT")
        assert silent.recv(100) == b""
        assert status_of(slow.recv(65_536)) == 408


@pytest.mark.parametrize("given", ["a\tb", "x" * 129, "ü", "", "a b", "\x01"])
def test_a_request_id_that_is_not_a_plain_word_is_replaced(gateway: Running, given: str) -> None:
    heard = exchange(gateway, request("GET /healthz HTTP/1.1", f"x-request-id: {given}"))
    assert status_of(heard) in {200, 400}
    assert status_of(heard) == 400 or b"x-request-id: req_" in heard


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-rung-quality", "nan"),
        ("x-rung-quality", "inf"),
        ("x-rung-quality", "-0.1"),
        ("x-rung-quality", "1e5"),
        ("x-rung-quality", "½"),
        ("x-rung-quality", ""),
        ("x-rung-max-cost-usd", "-inf"),
        ("x-rung-max-cost-usd", "$1"),
        ("x-rung-max-reasoning-tokens", "2.7"),
        ("x-rung-max-reasoning-tokens", "99999999999999999999"),
        ("x-rung-explain", "maybe"),
        ("x-rung-cache", "sometimes"),
        ("x-rung-qualty", "1"),
        ("x-rung-strategy", "magic"),
    ],
)
def test_an_odd_wish_in_a_header_is_named(client: httpx.Client, upstream: FakeUpstream, name: str, value: str) -> None:
    headers = [(b"content-type", b"application/json"), (name.encode(), value.encode("latin-1"))]
    reply = client.post("/v1/chat/completions", content=question(), headers=headers)
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"] == name
    assert upstream.received == []


@pytest.mark.parametrize(
    "twice",
    [
        ("x-rung-max-cost-usd: 0.01", "x-rung-max-cost-usd: 10"),
        ("x-session-id: a", "X-Session-Id: b"),
        ("idempotency-key: a", "idempotency-key: a"),
    ],
)
def test_a_wish_that_is_said_twice_is_refused(gateway: Running, upstream: FakeUpstream, twice: tuple[str, str]) -> None:
    body = question()
    answer = exchange(gateway, posted(gateway, body, f"content-length: {len(body)}", *twice))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"was sent more than once" in answer
    assert upstream.received == []


def test_an_endless_session_id_is_refused(client: httpx.Client) -> None:
    headers = {"content-type": "application/json", "x-session-id": "x" * 257}
    reply = client.post("/v1/chat/completions", content=question(), headers=headers)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "x-session-id"


def test_a_wish_in_the_body_wins_over_the_header(client: httpx.Client) -> None:
    asked = question(rung={"cache": "off"})
    reply = client.post(
        "/v1/chat/completions", content=asked, headers={"content-type": "application/json", "x-rung-cache": "use"}
    )
    assert reply.headers["x-rung-cache"] == "bypass"


@pytest.mark.parametrize("model", ["größe", "模型", "a\u0000b", "\u202egpt", "auto\n", " auto", "../small", "x" * 256])
def test_a_model_s_name_may_be_anything_and_is_then_unknown(client: httpx.Client, model: str) -> None:
    reply = client.post(
        "/v1/chat/completions", content=question(model=model), headers={"content-type": "application/json"}
    )
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("number", ["1e5", "16.0", "1E0"])
def test_a_count_written_as_a_fraction_is_refused_or_read_but_never_breaks(client: httpx.Client, number: str) -> None:
    body = question()[:-1] + b', "max_tokens": ' + number.encode() + b"}"
    reply = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "max_tokens"


def test_names_and_statuses_from_clients_make_no_new_series(client: httpx.Client, gateway: Running) -> None:
    def series() -> set[str]:
        lines = httpx.get(f"{gateway.url}/metrics", timeout=30).text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    def attack(number: int) -> None:
        client.post(
            "/v1/chat/completions",
            content=question(model=f"model-{number}"),
            headers={"content-type": "application/json"},
        )
        client.get(f"/v1/models/name-{number}")
        client.get(f"/path-{number}", headers={"x-request-id": f"id-{number}"})

    attack(0)
    before = series()
    for number in range(1, 30):
        attack(number)
    assert series() == before


def test_a_thousand_half_open_connections_stop_nobody(gateway: Running, client: httpx.Client) -> None:
    with ExitStack() as stack:
        for _ in range(HALF_OPEN):
            stack.enter_context(connected(gateway)).sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
        began = time.perf_counter()
        for _ in range(20):
            reply = client.post(
                "/v1/chat/completions", content=question(), headers={"content-type": "application/json"}
            )
            assert reply.status_code == 200
        assert time.perf_counter() - began < 10


def test_a_reader_that_stops_stops_its_upstream_too(gateway: Running, upstream: FakeUpstream) -> None:
    megabytes = 32  # far more than the sockets' buffers between the fake and here
    upstream.say(Answer(text=" ".join(["x" * 65_536] * (16 * megabytes))))
    body = question(stream=True, model="large")
    with connected(gateway) as connection:
        connection.sendall(posted(gateway, body, f"content-length: {len(body)}"))
        assert status_of(connection.recv(1_024)) == 200
        client_waits = time.monotonic() + 1.0
        while time.monotonic() < client_waits:
            assert not upstream.received[0].done.is_set(), "all of it was taken in for a client that reads nothing"
            time.sleep(0.05)  # nothing shall happen: there is no event to wait for
