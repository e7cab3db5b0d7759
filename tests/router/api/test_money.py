"""Money over HTTP: organisations, soft limits, rollover, alerts and the operator's view of them."""

from __future__ import annotations

from typing import Any

import httpx

from router.store import Window
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
