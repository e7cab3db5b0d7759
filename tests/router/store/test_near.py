"""Questions in other words: found in their own tenant and group alone, in a server that searches and in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.sameness import Asked, Reader, distance, shipped_reader
from router.errors import StoreUnavailable
from router.store import Answer, AnswerCache, Store
from router.store.embedded import EmbeddedServer
from router.store.near import LocalNear, Near, NearLook, Question, SearchNear, fetched, open_near
from router.store.near_index import NearIndex
from router.store.scripts import Ask, text
from tests import store_servers
from tests.router.store import recorded_search
from tests.router.store.recorded_search import Recorded
from tests.store_servers import opened, talk

READER: Reader = shipped_reader(b"r" * 32)
CAPITAL, SAME, OTHER = "What is the capital of Peru?", "what's the capital of peru", "What is the capital of Chile?"


def asked(words: str) -> Asked:
    found = READER.read(words)
    assert found is not None
    return found


def question(words: str, group: str = "g1") -> Question:
    return Question(group=group, asked=asked(words))


@pytest.fixture(scope="module", params=["memory", "server"])
def near_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without vector search, whose processes remember questions by themselves, and one with it."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "memory":
        with store_servers.running("valkey", folder) as server:
            yield server.url
        return
    with searching(folder) as url:
        yield url


@pytest.fixture
def search_server(tmp_path: Path) -> Iterator[str]:
    """An empty server that searches."""
    with searching(tmp_path) as url:
        yield url


def searching(folder: Path) -> AbstractContextManager[str]:
    """The URL of an empty server with vector search, where one is installed."""
    if not store_servers.SEARCH_SERVER:
        pytest.skip("no server with vector search: RUNG_TEST_SEARCH_SERVER (and _MODULE) name one; see docs/cache.md")
    return store_servers.searching(folder)


@pytest.fixture
async def near_store(near_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store with two tenants and no questions."""
    async with opened(near_url) as store:
        for tenant in ("acme", "other"):
            await store.directory.declare_tenant(tenant)
            await store.purge(tenant)
        await store.search_near(READER.dimensions)
        assert isinstance(store.near, LocalNear if "memory" in request.node.name else SearchNear)
        yield store


async def keep(store: Store, tenant: str, key: str, words: str, answer: bytes, group: str = "g1") -> None:
    await store.closing(tenant, answer=Answer(key=key, content=answer, near=question(words, group)))


async def found(store: Store, tenant: str, words: str, group: str = "g1") -> bytes | None:
    look = store.near.look(tenant, question(words, group))
    if look is None:
        return None
    return (await store.opening(tenant, request_id="r", cache_key="absent", near=look)).near


async def test_a_question_in_other_words_has_the_answer(near_store: Store) -> None:
    await keep(near_store, "acme", "k1", CAPITAL, b"Lima")
    await keep(near_store, "acme", "k2", OTHER, b"Santiago")
    assert await found(near_store, "acme", SAME) == b"Lima"
    assert await found(near_store, "acme", "Capital of Chile?") == b"Santiago"
    assert await found(near_store, "acme", "What is the capital of Ghana?") is None


async def test_another_tenant_and_another_group_find_nothing(near_store: Store) -> None:
    await keep(near_store, "acme", "k1", CAPITAL, b"Lima")
    assert await found(near_store, "other", SAME) is None
    assert await found(near_store, "acme", SAME, group="g2") is None
    await keep(near_store, "other", "k1", CAPITAL, b"a canary")
    assert await found(near_store, "acme", SAME) == b"Lima"


async def test_a_purge_forgets_the_questions_with_the_answers(near_store: Store) -> None:
    await keep(near_store, "acme", "k1", CAPITAL, b"Lima")
    await keep(near_store, "other", "k1", CAPITAL, b"still Lima")
    assert await near_store.purge("acme") == 1
    assert await found(near_store, "acme", SAME) is None
    assert await found(near_store, "other", SAME) == b"still Lima"
    left = await near_store.connection.ask(Ask(("KEYS", "n:{acme}:*"), len))
    assert left == 0


async def test_an_answer_that_is_gone_is_no_answer_to_anybody(near_store: Store) -> None:
    await keep(near_store, "acme", "k1", CAPITAL, b"Lima")
    await near_store.connection.ask(Ask(("DEL", "b:{acme}:c:k1"), int))
    assert await found(near_store, "acme", SAME) is None
    if isinstance(near_store.near, LocalNear):
        assert len(near_store.near.index) == 0, "nobody asks the store for it again"


async def test_an_error_or_a_partial_answer_leaves_no_question(near_store: Store) -> None:
    await near_store.closing("acme", answer=Answer(key="k1", content=None, leader="r", near=question(CAPITAL)))
    assert await found(near_store, "acme", SAME) is None


async def test_an_equal_question_s_answer_goes_before_one_in_other_words(near_store: Store) -> None:
    await keep(near_store, "acme", "k1", CAPITAL, b"Lima")
    await keep(near_store, "acme", "exact", "Something else entirely?", b"exact")
    look = near_store.near.look("acme", question(SAME))
    opening = await near_store.opening("acme", request_id="r", cache_key="exact", near=look)
    assert (opening.answer, opening.near) == (b"exact", None)


async def test_questions_expire_with_their_answers(near_store: Store) -> None:
    await keep(near_store, "acme", "k1", CAPITAL, b"Lima")
    answer_ttl = await near_store.connection.ask(Ask(("PTTL", "b:{acme}:c:k1"), int))
    ttl = await near_store.connection.ask(Ask(("PTTL", "n:{acme}:k1"), int))
    assert ttl == -2 if isinstance(near_store.near, LocalNear) else 0 < ttl <= answer_ttl


async def test_the_bound_on_answers_bounds_questions_too(near_store: Store) -> None:
    near_store.cache = AnswerCache(near_store.connection, max_answers=3)
    for number in range(5):
        await keep(near_store, "acme", f"k{number}", f"What is {number} plus {number}?", b"x")
    answers = [await found(near_store, "acme", f"what is {number} plus {number}") for number in range(5)]
    assert [answer is not None for answer in answers] == [False, False, True, True, True]


async def test_no_tenant_ever_gets_another_s_answer_whatever_is_asked_and_cancelled(near_store: Store) -> None:
    draw, tenants = random.Random(7), [f"t{number}" for number in range(12)]  # noqa: S311 - the same run every time
    for tenant in tenants:
        await near_store.directory.declare_tenant(tenant)
        await near_store.purge(tenant)
    ways = ("What is the capital of {0}?", "what's the capital of {0}", "please, capital of {0}?", "hi, capital of {0}")
    places = [f"region {number}" for number in range(8)]
    hits = 0

    async def one(number: int) -> None:
        nonlocal hits
        tenant, place, group = draw.choice(tenants), draw.choice(places), f"g{draw.randrange(2)}"
        words = draw.choice(ways).format(place)
        answer = await found(near_store, tenant, words, group)
        if answer is None:
            await keep(near_store, tenant, f"k{number}", words, f"{tenant} {group} {place}".encode(), group)
        else:
            hits += 1
            assert answer == f"{tenant} {group} {place}".encode()

    for start in range(0, 2_000, 20):
        tasks = [asyncio.create_task(one(number)) for number in range(start, start + 20)]
        await asyncio.sleep(0)
        for task in draw.sample(tasks, 2):
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
    assert hits > 1_000


async def test_a_purge_by_another_process_empties_the_memory(store: Store) -> None:
    near = LocalNear()
    store.near = near
    for tenant in ("acme", "other"):
        await store.directory.declare_tenant(tenant)
    await keep(store, "acme", "k1", CAPITAL, b"Lima")
    await keep(store, "acme", "k2", OTHER, b"Santiago")
    await keep(store, "other", "k1", CAPITAL, b"Lima")
    assert await found(store, "acme", SAME) == b"Lima"
    await store.cache.purge("acme")
    assert await found(store, "acme", SAME) is None
    assert len(near.index) == 1
    assert await found(store, "other", SAME) == b"Lima"


async def test_a_server_without_vector_search_leaves_it_to_the_processes(store: Store) -> None:
    near: Near = await open_near(store.connection, READER.dimensions)
    assert isinstance(near, LocalNear)
    with pytest.raises(StoreUnavailable):
        await store.connection.ask(Ask(("FT.INFO", "rung-near"), text))


def test_forgetting_a_tenant_empties_this_process_memory_of_it_alone() -> None:
    near = LocalNear()
    for tenant in ("acme", "other"):
        near.storing(tenant, question(CAPITAL), "k1", ttl_s=10)
    near.forget("acme")
    assert near.look("acme", question(SAME)) is None
    assert near.look("other", question(SAME)) is not None


# --- the commands to a server that searches, by what one has said (see `recorded_search`)


async def test_by_the_recorded_words_of_a_server_that_searches_questions_lie_there() -> None:
    server = Recorded("create", "create again")
    for _ in range(2):  # by this process, and by another before
        assert isinstance(await open_near(server, recorded_search.DIMENSIONS), SearchNear)
    assert server.left == []


async def test_by_the_recorded_words_of_a_server_that_does_not_search_each_process_remembers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", logger="rung.store"):
        assert isinstance(await open_near(Recorded("create in vain"), recorded_search.DIMENSIONS), LocalNear)
    assert "every process remembers questions of its own" in caplog.text


async def test_by_the_recorded_words_of_a_search_the_answer_s_key_is_found_in_the_tenant_s_own_questions() -> None:
    look = recorded_search.look("acme")
    assert look.fetch
    assert await Recorded("look").ask(look.ask) == "k1"


async def test_by_the_recorded_words_of_a_search_that_finds_nothing_there_is_no_answer() -> None:
    apart = replace(recorded_search.HERE, vector=np.array([0, 9, 0, 0], np.float32))
    look = recorded_search.look("acme", recorded_search.question(apart, recorded_search.OTHER_GROUP))
    assert await Recorded("look in vain").ask(look.ask) is None


async def test_by_the_recorded_words_of_a_server_that_lost_its_index_a_look_is_a_miss() -> None:
    look = recorded_search.look("acme")
    (reply,) = await Recorded("look without an index").run(look.ask)
    assert look.ask.read_or(reply, None) is None


async def test_an_organisation_s_tenant_finds_its_own_and_not_the_organisation_s() -> None:
    (reply,) = await Recorded("look").run(recorded_search.look("acme").ask)
    theirs = recorded_search.look("sub@acme")
    assert theirs.ask.read(reply) == "k8"


async def test_what_a_search_tells_in_another_form_is_nothing() -> None:
    look = recorded_search.look("acme")
    kept = recorded_search.VARIANT
    fields = [b"v", kept.vector.tobytes(), b"m", kept.packed()]
    assert look.ask.read([2, b"n:{acme}:gone", None, b"n:{acme}:k1", fields]) == "k1"  # one expired meanwhile
    assert look.ask.read([1, b"n:{acme}:k1", [b"v", kept.vector.tobytes()]]) is None
    assert look.ask.read([0]) is None


async def test_the_recording_is_what_a_server_that_searches_says(search_server: str, server: EmbeddedServer) -> None:
    said = await recorded_search.record(partial(talk, search_server), partial(talk, server.url))
    assert said == recorded_search.exchanges()


async def test_a_question_is_kept_beside_its_answer_and_for_as_long(store: Store) -> None:
    await store.directory.declare_tenant("acme")
    await store.cache.put("acme", "k1", b"Lima", ttl_s=100)
    near, asking = SearchNear(), question(CAPITAL)
    for key, kept in (("k1", 1), ("k2", 0)):
        ask = near.put_ask("acme", asking, key)
        assert ask is not None
        assert await store.connection.ask(ask) == kept
    fields = await store.connection.ask(Ask(("HGETALL", "n:{acme}:k1"), list))
    assert dict(zip(fields[::2], fields[1::2], strict=True)) == {
        b"g": b"g1",
        b"v": asking.asked.vector.tobytes(),
        b"m": asking.asked.packed(),
    }
    assert 0 < await store.connection.ask(Ask(("PTTL", "n:{acme}:k1"), int)) <= 100_000
    assert await store.connection.ask(Ask(("EXISTS", "n:{acme}:k2"), int)) == 0


async def test_a_key_that_was_found_is_fetched_and_an_answer_is_told_as_it_is(store: Store) -> None:
    await store.directory.declare_tenant("acme")
    await store.cache.put("acme", "k1", b"Lima", ttl_s=100)
    nothing: Ask[bytes | str | None] = Ask(("PING",), lambda _reply: None)
    looks = {fetch: NearLook(ask=nothing, fetch=fetch) for fetch in (False, True)}
    assert await fetched(store.cache, "acme", looks[True], "k1") == b"Lima"
    assert await fetched(store.cache, "acme", looks[True], None) is None
    assert await fetched(store.cache, "acme", looks[False], b"Lima") == b"Lima"
    assert await fetched(store.cache, "acme", looks[False], None) is None


# --- the memory


def filled(*, most: int, each: int) -> NearIndex:
    """A memory into whose groups `a` and `b` so many questions were put."""
    index = NearIndex(most=most, on_shelf=2)
    for group in ("a", "b"):
        for number in range(each):
            index.put("acme", group, asked(f"What is {number} plus 1?"), f"{group}{number}", now_s=0, ttl_s=10)
    return index


def test_the_memory_is_bounded_and_the_least_used_group_goes_first() -> None:
    index = filled(most=4, each=3)
    assert len(index) == 4
    assert index.find("acme", "a", asked("what is 0 plus 1"), 0) is None
    assert index.find("acme", "a", asked("what is 2 plus 1"), 0) == "a2"
    index.put("acme", "c", asked(CAPITAL), "c", now_s=0, ttl_s=10)
    assert index.find("acme", "b", asked("what is 2 plus 1"), 0) is None
    assert index.find("acme", "a", asked("what is 1 plus 1"), 0) == "a1"
    assert len(index) == 3


def test_of_two_groups_the_older_one_makes_room() -> None:
    index = filled(most=3, each=2)
    assert len(index) == 2
    assert index.find("acme", "a", asked("what is 1 plus 1"), 0) is None
    assert index.find("acme", "b", asked("what is 1 plus 1"), 0) == "b1"


def test_what_has_expired_is_not_found_and_makes_room() -> None:
    index = NearIndex()
    index.put("acme", "g", asked(CAPITAL), "k", now_s=0, ttl_s=10)
    assert index.find("acme", "g", asked(SAME), 9.9) == "k"
    assert index.find("acme", "g", asked(SAME), 10) is None
    index.put("acme", "g", asked(OTHER), "k2", now_s=10, ttl_s=10)
    assert len(index) == 1


def test_the_same_answer_s_question_stands_there_once() -> None:
    index = NearIndex()
    for _ in range(3):
        index.put("acme", "g", asked(CAPITAL), "k", now_s=0, ttl_s=10)
    assert len(index) == 1
    index.drop("acme", "g", "k")
    index.drop("acme", "h", "k")
    assert len(index) == 0
    assert index.find("acme", "g", asked(CAPITAL), 0) is None


def test_many_questions_of_one_group_are_told_apart() -> None:
    index = NearIndex(on_shelf=1000)
    for number in range(300):
        index.put("acme", "g", asked(f"Name item {number} of the list"), str(number), now_s=0, ttl_s=10)
    named = [index.find("acme", "g", asked(f"please name item {number} of the list"), 0) for number in range(300)]
    # Numbers that the encoder does not know lie at no distance from each other: only the nearest few are looked at.
    assert set(named[:10]) == set(map(str, range(10)))
    assert all(key in {str(number), None} for number, key in enumerate(named))


def test_a_group_that_is_alone_keeps_what_it_has() -> None:
    index = NearIndex(most=1, on_shelf=3)
    for number in range(3):
        index.put("acme", "a", asked(f"What is {number} plus 1?"), f"a{number}", now_s=0, ttl_s=10)
    assert len(index) == 3
    assert index.find("acme", "a", asked("what is 0 plus 1"), 0) == "a0"


def test_a_question_that_is_put_makes_its_group_the_last_to_go() -> None:
    index = filled(most=4, each=2)
    index.put("acme", "a", asked(CAPITAL), "a9", now_s=0, ttl_s=10)
    index.put("acme", "c", asked(CAPITAL), "c", now_s=0, ttl_s=10)
    assert index.find("acme", "a", asked(SAME), 0) == "a9"
    assert index.find("acme", "b", asked("what is 1 plus 1"), 0) is None


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_of_questions_that_ask_the_same_the_nearest_is_found(count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    index, rows = NearIndex(), draw.normal(scale=draw.uniform(0.1, 9, (count + 1, 1)), size=(count + 1, 6))
    *known, sought = (Asked(vector=row.astype(np.float32), marks=(b"m",), stems=(b"",)) for row in rows)
    for number, one in enumerate(known):
        index.put("acme", "g", one, str(number), now_s=0, ttl_s=10)
    found = index.find("acme", "g", sought, 0)
    assert found is not None
    apart = [distance(one, sought) for one in known]
    assert apart[int(found)] <= min(apart) + 1e-3, "but for what single precision loses"


def test_a_search_agrees_with_looking_at_every_question() -> None:
    index, words = NearIndex(), ["effect", "effects", "religion", "religions", "comment", "comments"]
    for word in words:
        index.put("acme", "g", asked(f"Explain the {word} of it"), word, now_s=0, ttl_s=10)
    for word in words:
        assert index.find("acme", "g", asked(f"explain the {word} of it!"), 0) == word
    assert np.isfinite(asked("Explain it").vector).all()
