"""Money over HTTP: organisations, soft limits, rollover, alerts and the operator's view of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from router.money.foresight import FRESH_S
from router.store import Terms, Window
from router.testing import FakeUpstream
from tests.gateway import Running, fake_settings, running
from tests.router.api.conftest import Books

DOLLAR = 10**9
ADMIN = {"authorization": "Bearer operator-key-for-tests"}


@pytest.fixture(scope="module")
def running_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = fake_settings(
        shared_upstream.openai_base,
        tmp_path_factory.mktemp("money"),
        server={"admin_key": "operator-key-for-tests"},
        alerts={"every_s": 0.1},
    )
    with running(settings) as gateway:
        yield gateway


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
    assert "rung_soft_limit_requests_total 1.0" in httpx.get(f"{gateway.url}/metrics", timeout=30).text
    books.settled(tenant="soft")
    books.run(store.books.adjust("soft", "all", DOLLAR // 10, reason="a test", by="a test"))
    time.sleep(FRESH_S)
    assert ask(gateway, token, model="medium").status_code == 429, "hard stays hard"


def told(gateway: Running, path: str) -> Any:
    reply = httpx.get(f"{gateway.base_url}/admin/{path}", headers=ADMIN, timeout=30)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_the_operator_sees_budgets_with_their_forecast_and_what_each_tenant_spent(
    gateway: Running, books: Books
) -> None:
    token = key_of(books, "shop@mall", "mall")
    key = books.run(books.store.directory.keys("shop@mall"))[0].id
    books.run(books.store.ledger.set_budget("shop@mall", "k", DOLLAR, Window.DAY, scope=f"key:{key}"))
    books.run(books.store.ledger.set_budget("mall", "month", DOLLAR // 1000, Window.MONTH, terms=Terms(soft=0.001)))
    assert ask(gateway, token).status_code == 200
    spent = books.settled(tenant="mall")
    mall, shop = told(gateway, "tenants/mall"), told(gateway, "tenants/shop@mall")
    assert (mall["spent"]["month"]["spent_nano"], mall["members"]["shop@mall"]["spent_nano"]) == (spent, spent)
    assert (shop["organisation"], shop["keys"]) == ("mall", 1)
    mine, above = shop["budgets"]
    assert (mine["name"], mine["scope"], mine["spent_nano"]) == ("k", f"key:{key}", spent)
    assert (above["name"], above["past_soft_limit"], above["remaining_nano"]) == (
        "@mall month",
        True,
        DOLLAR // 1000 - spent,
    )
    assert mine["forecast"] == "at this pace: it lasts"
    assert mine["exhausted_at"] is None
    ids = [tenant["id"] for tenant in told(gateway, "tenants")["data"]]
    assert {"mall", "shop@mall"} <= set(ids)


def test_the_forecast_names_the_moment_of_exhaustion(gateway: Running, books: Books) -> None:
    books.run(books.store.directory.declare_tenant("hasty"))
    books.run(books.store.ledger.set_budget("hasty", "month", DOLLAR, Window.MONTH))
    books.run(books.store.ledger.set_budget("hasty", "all", 2 * DOLLAR, Window.TOTAL))
    books.run(books.store.books.adjust("hasty", "most", DOLLAR - 1, reason="a test", by="a test"))
    month, forever = sorted(told(gateway, "tenants/hasty")["budgets"], key=lambda budget: budget["name"], reverse=True)
    assert month["forecast"].startswith("at this pace: exhausted on the ")
    assert month["starts_at"] < month["exhausted_at"] < month["ends_at"]
    assert (forever["forecast"], forever["exhausted_at"], forever["ends_at"]) == ("it never renews", None, None)
    books.run(books.store.books.adjust("hasty", "rest", 1, reason="a test", by="a test"))
    assert told(gateway, "tenants/hasty")["budgets"][0]["forecast"] == "exhausted"


def test_an_alert_is_listed_and_a_refusal_tells_that_the_money_is_gone(gateway: Running, books: Books) -> None:
    token = key_of(books, "spender")
    books.run(books.store.ledger.set_budget("spender", "month", DOLLAR, Window.MONTH))
    books.run(books.store.books.adjust("spender", "most", DOLLAR - 10, reason="a test", by="a test"))
    assert ask(gateway, token).status_code == 429
    alerts = wait_for(gateway, 3)
    assert [(alert["budget"], alert["threshold"], alert["spent_nano"]) for alert in alerts] == [
        ("month", 1.0, DOLLAR - 10),
        ("month", 0.8, DOLLAR - 10),
        ("month", 0.5, DOLLAR - 10),
    ]
    everybodys = [alert for alert in told(gateway, "alerts")["data"] if alert["tenant"] == "spender"]
    assert sorted(alert["threshold"] for alert in everybodys) == [0.5, 0.8, 1.0]


def wait_for(gateway: Running, many: int) -> Any:
    """The alerts of the tenant `spender`, as soon as there are so many."""
    deadline = time.monotonic() + 30
    while len(alerts := told(gateway, "tenants/spender")["alerts"]) < many:
        assert time.monotonic() < deadline, alerts
        time.sleep(0.02)  # another process' look: there is no event to wait for
    return alerts


@pytest.mark.parametrize("path", ["tenants", "tenants/mall", "alerts"])
def test_only_the_operators_key_opens_it(gateway: Running, books: Books, path: str) -> None:
    url = f"{gateway.base_url}/admin/{path}"
    assert httpx.get(url, timeout=30).status_code == 401
    assert httpx.get(url, headers=gateway.headers, timeout=30).status_code == 403


@pytest.mark.parametrize("tenant", ["nobody", "%7Bx%7D", "a%2Fb", "x" * 300, "..%2F..", "a@b@c"])
def test_a_tenant_that_is_not_there_is_a_404(gateway: Running, tenant: str) -> None:
    assert httpx.get(f"{gateway.base_url}/admin/tenants/{tenant}", headers=ADMIN, timeout=30).status_code == 404
