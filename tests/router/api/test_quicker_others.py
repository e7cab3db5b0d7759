"""Money that goes while a request is being decided: it moves down the ladder, and is refused where nothing fits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from router.store import Window
from tests.gateway import Running
from tests.judges import Judge
from tests.router.api.conftest import Books

DOLLAR = 10**9
QUESTION = {"model": "auto", "max_tokens": 2000, "messages": [{"role": "user", "content": "Prove it."}]}
CHEAPEST = 2_000 * 400  # nano-dollars that a whole answer of `small` costs; one of `large` costs sixty times as much


@pytest.fixture
def judge(gateway: Running) -> Iterator[Judge]:
    """In place of the classifier, so that a decision can be made to wait."""
    former, made = gateway.gateway.estimator.arrangement, Judge(difficulty=0.7)
    gateway.gateway.estimator.swap(made)
    yield made
    made.may_answer.set()
    gateway.gateway.estimator.arrange(former)


def asked_meanwhile(gateway: Running, books: Books, judge: Judge, tenant: str, left: int) -> httpx.Response:
    """The reply to a question during whose decision others spend all of the tenant's money but this."""
    store = books.store
    books.run(store.directory.declare_tenant(tenant))
    _, token = books.run(store.directory.create_key(tenant))
    books.run(store.ledger.set_budget(tenant, "all", DOLLAR, Window.TOTAL))
    replies: list[httpx.Response] = []

    def ask(**named: Any) -> None:
        headers = {"authorization": f"Bearer {token}", "x-rung-cache": "off", "x-rung-quality": "0.9"}
        replies.append(httpx.post(f"{gateway.base_url}/chat/completions", json=QUESTION, headers=headers, **named))

    judge.may_answer.clear()
    asking = threading.Thread(target=ask, kwargs={"timeout": 30})
    asking.start()
    assert judge.is_asked.wait(30)
    books.run(store.books.adjust(tenant, "others", DOLLAR - left, reason="a test", by="others"))
    judge.may_answer.set()
    asking.join(30)
    return replies[0]


def test_a_cheaper_rung_that_still_fits_serves(gateway: Running, books: Books, judge: Judge) -> None:
    reply = asked_meanwhile(gateway, books, judge, "quick", CHEAPEST // 8)
    assert (reply.status_code, reply.headers.get("x-rung-model")) == (200, "medium"), reply.text
    key = {"authorization": reply.request.headers["authorization"]}
    record = httpx.get(
        f"{gateway.base_url}/decisions/{reply.headers['x-rung-decision-id']}", headers=key, timeout=30
    ).json()
    assert record["served"]["model"] == record["receipt"]["chosen"]["model"] == "medium"


def test_where_nothing_fits_the_refusal_says_what_the_cheapest_would_need(
    gateway: Running, books: Books, judge: Judge
) -> None:
    reply = asked_meanwhile(gateway, books, judge, "broke", CHEAPEST // 1000)
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "insufficient_quota")
    assert f"{CHEAPEST // 1000 / 1e9:.9f} USD left" in reply.json()["error"]["message"]
