"""How an idempotency key stands, whoever asks, and for how long."""

from __future__ import annotations

import os

import pytest

from router.errors import StoreUnavailable
from router.store import AnswerCache, Claim, Claimed
from router.store.cache import MAX_ANSWER_BYTES
from router.store.claims import KEEP_S, Claims
from router.store.connection import Connection
from router.store.scripts import Ask

CLAIM_KEY, REPLY_KEY = "b:{acme}:idem:order", "b:{acme}:c:idem-order"


@pytest.fixture
def claims(connection: Connection) -> Claims:
    return Claims(connection, AnswerCache(connection))


def claim(owner: str = "one", body: str = "b", tenant: str = "acme") -> Claim:
    return Claim(tenant=tenant, name="order", body=body, owner=owner)


async def left_ms(connection: Connection, key: str) -> int:
    return await connection.ask(Ask(("PTTL", key), int))


async def test_a_key_is_its_first_askers_and_under_way_for_everybody_else(claims: Claims) -> None:
    assert await claims.take(claim("one"), lease_s=30) == (Claimed.MINE, b"")
    assert await claims.take(claim("two"), lease_s=30) == (Claimed.OPEN, b"")
    assert await claims.take(claim("one"), lease_s=30) == (Claimed.OPEN, b""), "a request's id is drawn anew"
    assert await claims.take(claim("two", body="c"), lease_s=30) == (Claimed.OTHER, b"")
    assert await claims.take(claim("two", tenant="other"), lease_s=30) == (Claimed.MINE, b"")


@pytest.mark.parametrize("reply", [b"x", b"a reply" * 1000])
async def test_a_reply_is_told_to_who_asks_the_same_again(claims: Claims, reply: bytes) -> None:
    await claims.take(claim("one"), lease_s=30)
    assert await claims.end(claim("one"), reply) is True
    assert await claims.take(claim("two"), lease_s=30) == (Claimed.KEPT, reply)
    assert await claims.take(claim("two", body="c"), lease_s=30) == (Claimed.OTHER, b"")


@pytest.mark.parametrize("reply", [b"", os.urandom(MAX_ANSWER_BYTES)], ids=["none", "too large"])
async def test_an_end_without_a_reply_that_can_be_kept_leaves_the_key_new(claims: Claims, reply: bytes) -> None:
    await claims.take(claim("one"), lease_s=30)
    assert await claims.end(claim("one"), reply) is True
    assert await claims.take(claim("two", body="c"), lease_s=30) == (Claimed.MINE, b"")


async def test_only_its_owner_ends_a_claim_and_only_once(claims: Claims) -> None:
    assert await claims.end(claim("one"), b"x") is False
    await claims.take(claim("one"), lease_s=30)
    assert await claims.end(claim("two"), b"x") is False
    assert await claims.take(claim("two"), lease_s=30) == (Claimed.OPEN, b"")
    assert await claims.end(claim("one"), b"x") is True
    assert await claims.end(claim("one"), b"y") is False
    assert await claims.take(claim("two"), lease_s=30) == (Claimed.KEPT, b"x")


async def test_a_claim_lasts_as_long_as_its_lease_and_a_reply_a_day(claims: Claims, connection: Connection) -> None:
    await claims.take(claim(), lease_s=3000)
    assert 2_990_000 < await left_ms(connection, CLAIM_KEY) <= 3_000_000
    await claims.end(claim(), b"x")
    for key in (CLAIM_KEY, REPLY_KEY):
        assert 1000 * KEEP_S - 10_000 < await left_ms(connection, key) <= 1000 * KEEP_S
    await claims.take(claim(tenant="other"), lease_s=30)
    await claims.end(claim(tenant="other"), b"x", keep_s=60)
    assert 50_000 < await left_ms(connection, REPLY_KEY.replace("acme", "other")) <= 60_000


async def test_a_reply_that_was_purged_or_is_damaged_is_not_told(claims: Claims, connection: Connection) -> None:
    await claims.take(claim("one"), lease_s=30)
    await claims.end(claim("one"), b"x")
    await connection.ask(Ask(("SET", REPLY_KEY, b"zgarbage", "EX", 9), bool))
    assert await claims.take(claim("two"), lease_s=30) == (Claimed.KEPT, b"")
    await connection.ask(Ask(("DEL", REPLY_KEY), int))
    assert await claims.take(claim("two"), lease_s=30) == (Claimed.MINE, b"")


async def test_a_store_that_is_away_says_so() -> None:
    away = Connection("unix:///nowhere.sock")
    claims = Claims(away, AnswerCache(away))
    with pytest.raises(StoreUnavailable):
        await claims.take(claim(), lease_s=30)
    with pytest.raises(StoreUnavailable):
        await claims.end(claim())
