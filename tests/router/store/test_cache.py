from __future__ import annotations

import os
import zlib
from hashlib import blake2b, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import StoreUnavailable
from router.store import AnswerCache, answer_key
from router.store.cache import COMPRESS_ABOVE, MAX_ANSWER_BYTES
from router.store.connection import Connection
from router.store.scripts import Ask
from tests.store_servers import until

PEPPER = b"p" * 32


@pytest.mark.parametrize("size", [0, 1, 1024, 1025, 200_000])
async def test_an_answer_comes_back_as_it_was(connection: Connection, size: int) -> None:
    cache = AnswerCache(connection)
    answer = (b"An answer \x00\xff " * size)[:size]
    assert await cache.put("acme", "k", answer)
    assert await cache.get("acme", "k") == answer


async def test_another_tenant_finds_nothing_under_the_same_key(connection: Connection) -> None:
    cache = AnswerCache(connection)
    await cache.put("acme", "k", b"secret")
    assert await cache.get("other", "k") is None


@given(
    one=st.tuples(st.text(max_size=5), st.text(max_size=5), st.binary(max_size=5)),
    two=st.tuples(st.text(max_size=5), st.text(max_size=5), st.binary(max_size=5)),
)
def test_two_keys_are_equal_only_where_tenant_scope_and_request_are(
    one: tuple[str, str, bytes], two: tuple[str, str, bytes]
) -> None:
    assert (answer_key(PEPPER, *one) == answer_key(PEPPER, *two)) == (one == two)
    assert answer_key(PEPPER, *one) != answer_key(b"q" * 32, *one)


async def test_an_answer_that_is_too_large_is_not_stored(connection: Connection) -> None:
    cache = AnswerCache(connection)
    assert await cache.put("acme", "k", os.urandom(MAX_ANSWER_BYTES)) is False
    assert await cache.get("acme", "k") is None


def test_an_answer_is_kept_up_to_its_packed_size_and_packed_where_it_is_long() -> None:
    cache, noise = AnswerCache(Connection("unix:///nowhere.sock")), os.urandom(MAX_ANSWER_BYTES)
    sizes = range(MAX_ANSWER_BYTES - 200, MAX_ANSWER_BYTES)
    packed = [cache.pack(noise[:size]) for size in sizes]
    assert max(len(one) for one in packed if one is not None) == MAX_ANSWER_BYTES
    assert packed[-1] is None
    short, long = (cache.pack(b"x" * size) or b"" for size in (COMPRESS_ABOVE, COMPRESS_ABOVE + 1))
    assert len(short) == COMPRESS_ABOVE + 1
    assert zlib.decompress(long[1:]) == b"x" * (COMPRESS_ABOVE + 1)


def test_an_answer_lives_as_long_as_it_is_told_and_at_least_a_moment() -> None:
    cache = AnswerCache(Connection("unix:///nowhere.sock"), max_answers=7)
    assert [cache.bounds(ttl_s) for ttl_s in (1.5, 3600, 0, -1)] == [(1500, 7), (3_600_000, 7), (1, 7), (1, 7)]


def test_a_key_stays_what_it_was_so_that_an_upgrade_forgets_no_answer() -> None:
    # BLAKE2b of "answer", of tenant and scope with their lengths, and of the request; keyed by SHA-256 of the pepper.
    key = answer_key(PEPPER, "acme", "key:k", b"{}")
    parts = b"answer" + b"\0\0\0\x04acme" + b"\0\0\0\x05key:k" + b"{}"
    assert key == blake2b(parts, key=sha256(PEPPER).digest(), digest_size=32).hexdigest()


async def test_a_tenants_answers_are_bounded_and_the_first_to_expire_goes_first(connection: Connection) -> None:
    cache = AnswerCache(connection, max_answers=3)
    for number in range(5):
        await cache.put("acme", f"k{number}", b"x", ttl_s=100 + number)
        found = [await cache.get("acme", f"k{seen}") is not None for seen in range(number + 1)]
        assert found == [seen > number - 3 for seen in range(number + 1)]


async def test_a_purge_drops_all_of_one_tenants_answers(connection: Connection) -> None:
    cache = AnswerCache(connection)
    for number in range(2500):
        await cache.put("acme", f"k{number}", b"x")
    await cache.put("other", "k", b"x")
    assert await cache.purge("acme") == 2500
    assert await connection.ask(Ask(("GET", "b:{acme}:cp"), int)) == 4, "a thousand at once, and then none"
    assert await cache.get("acme", "k7") is None
    assert await cache.get("other", "k") == b"x"
    assert await cache.purge("acme") == 0


async def test_answers_and_their_index_expire(connection: Connection) -> None:
    cache = AnswerCache(connection)
    await cache.put("acme", "k", b"x", ttl_s=100)
    await cache.put("acme", "short", b"x", ttl_s=1)
    assert 99 <= await connection.ask(Ask(("TTL", "b:{acme}:c:k"), int)) <= 100
    ends = [await connection.ask(Ask(("PEXPIRETIME", f"b:{{acme}}:{key}"), int)) for key in ("c:k", "ci")]
    assert ends[0] < ends[1] <= ends[0] + 1100, "the index outlives the last of its answers"


async def test_the_index_forgets_answers_that_have_expired(connection: Connection) -> None:
    cache = AnswerCache(connection)
    await cache.put("acme", "short", b"x", ttl_s=0.001)
    await until(lambda: is_gone(connection, "b:{acme}:c:short"))
    await cache.put("acme", "k", b"x")
    assert await connection.ask(Ask(("ZRANGE", "b:{acme}:ci", 0, -1), lambda reply: reply)) == [b"k"]


async def is_gone(connection: Connection, key: str) -> bool:
    return await connection.ask(Ask(("EXISTS", key), int)) == 0


async def test_a_damaged_answer_is_a_miss(connection: Connection) -> None:
    cache = AnswerCache(connection)
    for value in (b"", b"zgarbage"):
        await connection.ask(Ask(("SET", "b:{acme}:c:k", value, "EX", 9), bool))
        assert await cache.get("acme", "k") is None


async def test_a_store_that_is_away_is_a_miss() -> None:
    cache = AnswerCache(Connection("unix:///nowhere.sock"))
    assert await cache.get("acme", "k") is None
    assert await cache.put("acme", "k", b"x") is False
    with pytest.raises(StoreUnavailable):
        await cache.purge("acme")
