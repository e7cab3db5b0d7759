"""`/v1/admin/classifier`: for the operator's key alone; promotion and rollback, with and without the signing key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from classifier import load_default
from router.store import FEEDBACK
from router.testing import FakeUpstream
from tests.gateway import Running, fake_settings, running
from tests.router.api.conftest import Books
from tests.router.registries import opinion, registry

ADMIN_KEY = "operator-key-for-tests"
SIGNS = pytest.mark.parametrize("running_gateway", ["signs", "does not sign"], indirect=True)


@pytest.fixture(scope="module")
def running_gateway(
    request: pytest.FixtureRequest, shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("admin")
    writer, private, public = registry(folder)
    writer.add(opinion(folder, 1, offset=2.0))
    if request.param != "signs":
        writer.promote("own-1")
    settings = fake_settings(
        shared_upstream.openai_base,
        folder,
        server={"admin_key": ADMIN_KEY},
        registry={
            "folder": str(writer.folder),
            "public_keys": [public],
            "poll_s": 0.1,
            "signing_key": str(private) if request.param == "signs" else None,
        },
    )
    with running(settings) as gateway:
        yield gateway


@pytest.fixture
def operator(gateway: Running) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=f"{gateway.url}/v1/admin", headers=headers, timeout=30) as made:
        yield made


def told(reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    return reply.json()


@SIGNS
def test_only_the_operators_key_opens_it(gateway: Running, books: Books) -> None:
    _, of_feedback = books.run(books.store.directory.create_key("demo", scopes=frozenset({FEEDBACK})))
    for path, method in (("", "GET"), ("/promote", "POST"), ("/rollback", "POST")):
        url = f"{gateway.url}/v1/admin/classifier{path}"
        for key, status in ((None, 401), (gateway.key, 403), (of_feedback, 403), (ADMIN_KEY + "x", 403)):
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            assert httpx.request(method, url, headers=headers, json={}, timeout=30).status_code == status


@SIGNS
def test_promotion_and_rollback(gateway: Running, operator: httpx.Client) -> None:
    shipped = load_default().version
    signs = gateway.settings.registry.signing_key is not None
    if signs:
        assert told(operator.get("/classifier"))["active"] == shipped
        promoted = told(operator.post("/classifier/promote", json={"version": "own-1", "why": "better"}))
        assert promoted["active"] == "own-1"
        assert operator.post("/classifier/promote", json={"version": "own-1"}).status_code == 409
        assert operator.post("/classifier/promote", json={"version": "own-9"}).status_code == 409
    else:
        assert told(operator.get("/classifier"))["active"] == "own-1"
        refused = operator.post("/classifier/promote", json={"version": "own-1"})
        assert (refused.status_code, "registry.signing_key" in refused.text) == (409, True)
    after = told(operator.post("/classifier/rollback", json={"why": "worse"}))
    assert after["active"] == shipped
    assert after["audit"][0]["why"] == "worse"
    assert [bar["version"] for bar in after["barred"]] == ([] if signs else ["own-1"])
    assert operator.post("/classifier/rollback", json={}).status_code == 409
    if not signs:
        lifted = told(operator.post("/classifier/promote", json={"version": "own-1", "why": "a false alarm"}))
        assert (lifted["active"], lifted["barred"]) == ("own-1", [])
        assert {"action": "unbar", "version": "own-1", "why": "a false alarm"}.items() <= lifted["audit"][1].items()
        told(operator.post("/classifier/rollback", json={"why": "worse after all"}))
    assert f'version="{shipped}"' in httpx.get(f"{gateway.url}/metrics", timeout=30).text


@SIGNS
@pytest.mark.parametrize(
    "body", [{"version": "../x"}, {"version": 5}, {}, {"version": "own-1", "tenant": "A b"}, {"x": 1}]
)
def test_wrong_bodies_are_refused(operator: httpx.Client, body: dict[str, Any]) -> None:
    assert operator.post("/classifier/promote", json=body).status_code == 400
