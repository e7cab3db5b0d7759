"""What the machines that watch a gateway see: whether it could serve at once, and what it is."""

from __future__ import annotations

import httpx

from router import __version__
from tests.gateway import Running


def test_it_is_not_called_ready_while_a_first_request_would_wait(gateway: Running) -> None:
    gateway.gateway.warmed.clear()
    try:
        early = httpx.get(f"{gateway.url}/readyz", timeout=30)
        assert early.status_code == 503
        assert ["warming up" in problem for problem in early.json()["problems"]] == [True]
        assert httpx.get(f"{gateway.url}/healthz", timeout=30).status_code == 200
    finally:
        gateway.gateway.warmed.set()
    assert httpx.get(f"{gateway.url}/readyz", timeout=30).json()["status"] == "ready"


def test_its_address_in_a_browser_tells_what_it_is_and_where_to_go_on(gateway: Running) -> None:
    told = httpx.get(gateway.url, timeout=30).json()
    assert (told["name"], told["version"]) == ("rung", __version__)
    described = httpx.get(f"{gateway.url}{told['endpoints']['description']}", timeout=30).json()["paths"]
    for path in told["endpoints"].values():
        assert path in described or path == "/openapi.json"
    assert httpx.post(gateway.url, timeout=30).status_code == 405


def test_the_tasks_of_the_process_are_counted(gateway: Running) -> None:
    lines = httpx.get(f"{gateway.url}/metrics", timeout=30).text.splitlines()
    (tasks,) = [float(line.split()[-1]) for line in lines if line.startswith("rung_tasks ")]
    assert tasks > 1
