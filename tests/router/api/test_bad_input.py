"""The table of bad inputs: each gets its status, its place, and OpenAI's error shape; nothing reaches an upstream."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from router.testing import FakeUpstream
from tests.gateway import Running

GOOD: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "hello there"}]}


def with_(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def message(**fields: Any) -> bytes:
    return json.dumps({**GOOD, "messages": [fields]}).encode()


def image(url: str) -> bytes:
    return message(role="user", content=[{"type": "image_url", "image_url": {"url": url}}])


NOT_JSON = {
    "empty": b"",
    "blank": b"   ",
    "array at the top": b"[]",
    "bare value": b"3",
    "NaN": b'{"model":"auto","temperature":NaN}',
    "Infinity": b'{"model":"auto","temperature":Infinity}',
    "1e999": with_(temperature=0).replace(b'"temperature": 0', b'"temperature": 1e999'),
    "-1e999 deep in an unknown place": with_(unheard_of=[{"deep": -1}]).replace(b"-1", b"-1e999"),
    "a number of 400 digits before its point": with_(unheard_of=0)[:-2] + b"9" * 400 + b".0}",
    "deep": b'{"model":' + b"[" * 100_000,
    "byte-order mark": b"\xef\xbb\xbf" + with_(),
    "UTF-16": with_().decode().encode("utf-16"),
    "invalid UTF-8": b'{"model":"\xff\xfe"}',
    "lone surrogate": b'{"model":"auto","messages":[{"role":"user","content":"\\ud800"}]}',
    "duplicate key": b'{"model":"auto","model":"auto"}',
    "cut off": with_()[:-3],
    "integer of more than 64 bits": with_(unheard_of=[{"deep": 2**64}]),
    "negative integer of more than 64 bits": with_(unheard_of=-(2**63) - 1),
    "integer of 4,300 digits": b'{"model":"auto","max_tokens":' + b"9" * 4300 + b"}",
}

WRONG: dict[str, tuple[bytes, str]] = {
    "no messages": (b'{"model":"auto"}', "messages"),
    "null messages": (with_(messages=None), "messages"),
    "empty messages": (with_(messages=[]), "messages"),
    "100,000 messages": (with_(messages=[{"role": "user", "content": "x"}] * 100_000), "messages"),
    "no model": (json.dumps({"messages": GOOD["messages"]}).encode(), "model"),
    "bad role": (message(role="wizard", content="x"), "messages[0].role"),
    "null content": (message(role="user", content=None), "messages[0].content"),
    "number as content": (message(role="user", content=3), "messages[0].content"),
    "tool result without its id": (message(role="tool", content="x"), "messages[0].tool_call_id"),
    "n of 0": (with_(n=0), "n"),
    "n of a billion": (with_(n=10**9), "n"),
    "max_tokens of -1": (with_(max_tokens=-1), "max_tokens"),
    "max_tokens of 0": (with_(max_tokens=0), "max_tokens"),
    "max_tokens of 2^63": (with_(max_tokens=2**63), "max_tokens"),
    "max_tokens as text": (with_(max_tokens="10"), "max_tokens"),
    "max_tokens of true": (with_(max_tokens=True), "max_tokens"),
    "temperature of 3": (with_(temperature=3), "temperature"),
    "top_p of -1": (with_(top_p=-1), "top_p"),
    "1,000 stop strings": (with_(stop=["x"] * 1000), "stop"),
    "stream as text": (with_(stream="yes"), "stream"),
    "stream_options without stream": (with_(stream_options={"include_usage": True}), "stream_options"),
    "schema bomb": (
        with_(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"enum": list(range(20_000))}},
            }
        ),
        "response_format.json_schema.schema",
    ),
    "search at the provider": (with_(tools=[{"type": "web_search_20250305", "name": "s"}]), "tools[0].type"),
    "tools by a URL": (with_(tools=[{"type": "mcp", "server_url": "http://127.0.0.1"}]), "tools[0].type"),
    "search beside the tokens": (with_(web_search_options={}), "web_search_options"),
    "1,000 tools": (with_(tools=[{"type": "function", "function": {"name": "f"}}] * 1000), "tools"),
    "file URL": (image("file:///etc/passwd"), "messages[0].content[0].image_url.url"),
    "link-local URL": (image("http://169.254.169.254/latest"), "messages[0].content[0].image_url.url"),
    "address behind a space": (image(" http://127.0.0.1/"), "messages[0].content[0].image_url.url"),
    "address before a backslash": (image("https://127.0.0.1\\@example.com/"), "messages[0].content[0].image_url.url"),
    "line's end in a URL": (image("https://a\r\nhost: b/"), "messages[0].content[0].image_url.url"),
    "private address in IPv6's clothes": (image("https://[64:ff9b::7f00:1]/"), "messages[0].content[0].image_url.url"),
    "decimal address": (image("http://2852039166/"), "messages[0].content[0].image_url.url"),
    "hexadecimal address": (image("http://127.0x0.0x1/"), "messages[0].content[0].image_url.url"),
    "full-width address": (
        image("http://\uff11\uff12\uff17\u3002\uff10\u3002\uff10\u3002\uff11/"),
        "messages[0].content[0].image_url.url",
    ),
    "malformed base64": (image("data:image/png;base64,@@@"), "messages[0].content[0].image_url.url"),
    "api_base": (with_(api_base="http://example.org"), "api_base"),
    "api_key": (with_(api_key="sk-1"), "api_key"),
    "extra_headers": (with_(extra_headers={"a": "b"}), "extra_headers"),
    "unknown field": (with_(temprature=1), "temprature"),
    "unknown wish": (with_(rung={"qualty": 1}), "rung.qualty"),
    "wish out of range": (with_(rung={"quality": 2}), "rung.quality"),
    "unknown auto": (with_(model="auto:best"), "model"),
}


def post(client: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    return client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json", **headers})


def assert_shape(reply: httpx.Response) -> dict[str, Any]:
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return dict(error)


@pytest.fixture(autouse=True)
def _nothing_reaches_an_upstream(upstream: FakeUpstream) -> Any:
    yield
    assert upstream.received == []


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_one_json_object_is_invalid_json(client: httpx.Client, body: bytes) -> None:
    reply = post(client, body)
    assert reply.status_code == 400
    assert assert_shape(reply)["code"] == "invalid_json"


@pytest.mark.parametrize(("body", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_named_by_its_place(client: httpx.Client, body: bytes, param: str) -> None:
    reply = post(client, body)
    assert reply.status_code == 400
    error = assert_shape(reply)
    assert (error["code"], error["param"]) == ("invalid_value", param)
    assert param in error["message"]
    assert ("Positions begin at [0]" in error["message"]) == ("[" in param)


def test_an_unknown_model_is_404(client: httpx.Client) -> None:
    reply = post(client, with_(model="gpt-nonsense"))
    assert reply.status_code == 404
    assert assert_shape(reply)["code"] == "model_not_found"


def test_a_prompt_longer_than_every_window_is_refused(client: httpx.Client) -> None:
    reply = post(client, message(role="user", content="word " * 50_000))
    assert reply.status_code == 400
    assert assert_shape(reply)["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"content-type": "application/json", "x-padding": "x" * 40_000}, 431),
    ],
    ids=["not JSON", "compressed", "swollen head"],
)
def test_a_bad_envelope_is_refused(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    reply = client.post("/v1/chat/completions", content=with_(), headers=headers)
    assert reply.status_code == status
    assert_shape(reply)


def test_a_body_over_the_limit_is_refused_by_its_declared_length(client: httpx.Client, gateway: Running) -> None:
    reply = post(client, b" " * (gateway.settings.server.max_body_bytes + 1))
    assert reply.status_code == 413
    assert assert_shape(reply)["code"] == "request_too_large"


def test_unknown_routes_and_methods_have_the_same_shape(client: httpx.Client) -> None:
    missing, wrong = client.get("/v1/nothing"), client.get("/v1/chat/completions")
    assert (missing.status_code, assert_shape(missing)["code"]) == (404, "not_found")
    assert (wrong.status_code, assert_shape(wrong)["code"]) == (405, "method_not_allowed")


KEYS: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "another scheme": [("authorization", "Basic dXNlcjpwYXNz")],
    "empty": [("authorization", "Bearer")],
    "a quote": [("authorization", "Bearer ' OR 1=1 --")],
    "of 64 KB": [("authorization", "Bearer " + "x" * 65_536)],
    "of 64 KB in the other header": [("x-api-key", "x" * 65_536)],
    "unknown": [("authorization", "Bearer rk_aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")],
    "two": [("authorization", "Bearer a"), ("authorization", "Bearer b")],
    "two that differ": [("authorization", "Bearer a"), ("x-api-key", "b")],
}
PROTECTED = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/route"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/large"),
    ("GET", "/v1/decisions/dec_1"),
]


@pytest.mark.parametrize("headers", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_a_good_key_every_route_is_shut_before_the_body_is_read(
    gateway: Running, method: str, path: str, headers: list[tuple[str, str]]
) -> None:
    reply = httpx.request(method, gateway.url + path, headers=headers, content=b"not even JSON", timeout=30)
    assert reply.status_code == 401
    assert assert_shape(reply)["code"] == "invalid_api_key"


def test_a_key_in_the_other_header_is_as_good(gateway: Running) -> None:
    assert httpx.get(gateway.url + "/v1/models", headers={"x-api-key": gateway.key}, timeout=30).status_code == 200
