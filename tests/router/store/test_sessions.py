"""What a session has cost and what is known of it, over a real store."""

from __future__ import annotations

from functools import partial

from router.store import SessionNote, Store, StoredSession
from router.store.scripts import Ask
from tests.store_servers import PATIENT_S


async def take(store: Store, nano: int, *, ttl_s: int = 100) -> bool:
    return await store.sessions.take("acme", "s", nano, budget_nano=100, ttl_s=ttl_s)


async def note(store: Store, state: bytes = b"", extra_nano: int = 0, ttl_s: int = 100) -> None:
    said = SessionNote(name="s", ttl_s=ttl_s, state=state, extra_nano=extra_nano)
    assert await store.connection.ask(store.sessions.put_ask("acme", said))


async def known(store: Store) -> StoredSession:
    return await store.connection.ask(store.sessions.get_ask("acme", "s"))


async def test_a_session_takes_what_its_budget_has_to_the_last_nano_dollar_and_not_one_more(store: Store) -> None:
    assert [await take(store, nano) for nano in (60, 41, 40, 1, 0)] == [True, False, True, False, True]
    assert await known(store) == StoredSession(spent_nano=100)
    await note(store, extra_nano=-30)
    assert [await take(store, nano) for nano in (31, 30)] == [False, True]


async def test_what_a_call_says_of_its_session_replaces_what_was_known_and_adds_to_what_was_spent(store: Store) -> None:
    await note(store, b"first", 7)
    assert await known(store) == StoredSession(state=b"first", spent_nano=7)
    await note(store, extra_nano=-2)
    assert await known(store) == StoredSession(state=b"first", spent_nano=5)
    await note(store, b"second")
    assert await known(store) == StoredSession(state=b"second", spent_nano=5)


async def test_a_session_is_remembered_from_its_last_call_on(store: Store) -> None:
    calls = (partial(take, store, 1), partial(note, store, b"x"), partial(take, store, 1))
    for ttl_s, call in zip((100, 200, 300), calls, strict=True):
        await call(ttl_s=ttl_s)
        left_s = await store.connection.ask(Ask(("TTL", "b:{acme}:ses:s"), int))
        assert ttl_s - PATIENT_S < left_s <= ttl_s
