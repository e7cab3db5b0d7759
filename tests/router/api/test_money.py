"""Money over HTTP: organisations, soft limits, rollover, alerts and the operator's view of them."""

from __future__ import annotations

import time
from typing import Any

import httpx

from router.foresight import FRESH_S
from router.store import Terms, Window
from tests.gateway import Running
from tests.router.api.conftest import Books

DOLLAR = 10**9


def key_of(books: Books, tenant: str, organisation: str = "") -> str:
    """A key of a new tenant, with its organisation where it has one."""
    if organisation:
        books.run(books.store.directory.declare_tenant(organisation))
    books.run(books.store.directory.declare_tenant(tenant))
    _, token = books.run(books.store.directory.create_key(tenant))
    return token


def ask(gateway: Running, token: str, **extra: Any) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Prove that there are infinitely many primes."}]}
    headers = {"authorization": f"Bearer {token}", "x-rung-cache": "off"}
    return httpx.post(f"{gateway.base_url}/chat/completions", json=body | extra, headers=headers, timeout=30)


def test_a_request_is_paid_and_paced_by_its_tenant_and_by_its_organisation(gateway: Running, books: Books) -> None:
    token = key_of(books, "search@acme", "acme")
    for tenant in ("acme", "search@acme"):
        books.run(books.store.ledger.set_budget(tenant, "month", DOLLAR, Window.MONTH))
    replies = [ask(gateway, token) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200] * 3
    cost = sum(round(float(reply.headers["x-rung-cost-usd"]) * DOLLAR) for reply in replies)
    assert books.settled(tenant="search@acme") == cost > 0
    for tenant in ("acme", "search@acme"):
        assert books.standing(tenant).month.spent_nano == cost
        state = books.run(books.store.connection.ask(books.store.pace.get_ask(tenant)))
        assert b'"month"' in state, "each has a pacing state of its own, under its own name"
        assert b"@acme" not in state


def test_the_organisations_money_refuses_what_the_tenants_own_would_pay(gateway: Running, books: Books) -> None:
    token = key_of(books, "chat@small", "small")
    books.run(books.store.ledger.set_budget("small", "month", 1000, Window.MONTH))
    reply = ask(gateway, token)
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "insufficient_quota")
    assert books.standing("small").total.spent_nano == 0


def test_past_a_soft_limit_requests_go_on_cheaper_and_are_marked(gateway: Running, books: Books) -> None:
    token = key_of(books, "soft")
    store = books.store
    books.run(store.ledger.set_budget("soft", "all", DOLLAR, Window.TOTAL, terms=Terms(soft=0.5)))
    before = ask(gateway, token, rung={"explain": True})
    assert "x-rung-soft-limit" not in before.headers
    assert before.json()["rung"]["receipt"]["budget"]["past_soft_limits"] == []
    books.settled(tenant="soft")
    books.run(store.books.adjust("soft", "much", DOLLAR * 9 // 10, reason="a test", by="a test"))
    time.sleep(FRESH_S)  # what the gateway has just seen of the money
    after = ask(gateway, token, rung={"explain": True})
    assert (after.status_code, after.headers["x-rung-soft-limit"]) == (200, "all")
    receipts = [reply.json()["rung"]["receipt"] for reply in (before, after)]
    assert receipts[1]["budget"]["past_soft_limits"] == ["all"]
    assert receipts[1]["chosen"]["expected_cost_nano"] < receipts[0]["chosen"]["expected_cost_nano"]
    assert "rung_soft_limit_requests_total 1.0" in httpx.get(f"{gateway.url}/metrics").text
    books.settled(tenant="soft")
    books.run(store.books.adjust("soft", "all", DOLLAR // 10, reason="a test", by="a test"))
    time.sleep(FRESH_S)
    assert ask(gateway, token, model="medium").status_code == 429, "hard stays hard"
