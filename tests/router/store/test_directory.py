from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.auth import authenticate
from router.errors import Conflict, Forbidden, InvalidKey, NotFound, StoreUnavailable
from router.store import FEEDBACK, INFERENCE, Connection, Directory, Limits, Store, Token, embedded
from router.store.directory import FRESH_S
from router.store.scripts import Ask, Reply, ignore, text
from tests.patience import Stopwatch
from tests.store_servers import PATIENT, PATIENT_S, PEPPER, opened, until


async def test_a_key_opens_its_tenant(store: Store) -> None:
    directory = store.directory
    limits = Limits(requests_per_minute=5)
    tenant = await directory.create_tenant("acme", models=frozenset({"a", "b"}), limits=limits, policy={"quality": 0.7})
    key, token = await directory.create_key("acme", name="ci", models=frozenset({"b", "c"}))
    principal = await directory.principal(token)
    assert (principal.tenant, principal.key) == (tenant, key)
    assert [principal.may_use(model) for model in "abcd"] == [False, True, False, False]
    assert (principal.may(INFERENCE), principal.may(FEEDBACK), principal.may("another")) == (True, True, False)
    assert principal.scope == f"key:{key.id}"


async def test_a_key_authenticates_for_its_scopes_and_for_no_other(store: Store) -> None:
    await store.directory.create_tenant("acme")
    key, token = await store.directory.create_key("acme", scopes=frozenset({FEEDBACK}))
    headers = [(b"authorization", b"Bearer " + token.encode())]
    assert (await authenticate(store.directory, headers, scope=FEEDBACK)).key == key
    with pytest.raises(Forbidden, match=INFERENCE):
        await authenticate(store.directory, headers, scope=INFERENCE)


async def test_the_pepper_of_the_first_who_asks_is_the_store_s(store: Store) -> None:
    assert await store.directory.shares_pepper()
    assert await store.directory.shares_pepper()
    other = Directory(store.connection, b"another pepper of sixteen bytes", store.ledger)
    assert not await other.shares_pepper()


async def test_a_rotated_key_s_old_one_works_for_its_grace_and_no_longer(store: Store) -> None:
    now = time.time()
    directory = store.directory
    directory._clock = lambda: now  # pyright: ignore[reportPrivateUsage] # the clock of a test
    await directory.create_tenant("acme")
    old, before = await directory.create_key("acme", limits=Limits(concurrency=3), models=frozenset({"m"}))
    fresh, after = await directory.rotate_key(old.id, grace_s=60)
    assert (fresh.limits, fresh.models, fresh.scopes) == (old.limits, old.models, old.scopes)
    assert (await directory.principal(before)).key.id == old.id
    now += 61
    with pytest.raises(InvalidKey, match="expired"):
        await directory.principal(before)
    assert (await directory.principal(after)).key == fresh
    with pytest.raises(Conflict):
        await directory.rotate_key(old.id)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "rk_",
        "rk_abcdefgh2345_",
        "sk-123",
        "' OR '1'='1",
        "rk_abcdefgh2345_" + "x" * 65_536,
        "rk_abcdefgh2345_ünïcödé-ünïcödé",
        "rk_abcdefgh2345_0123456789abcdef\n",
        "rk_abcd}:x_0123456789abcdef",
        "\x00" * 40,
        "\ud800" * 40,
        "rk_abcdefgh2345_0123456789abcdef",
    ],
)
async def test_what_is_no_key_is_refused_and_not_repeated(store: Store, token: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        await store.directory.principal(token)
    assert len(token) < 4 or token not in caught.value.message


@given(token=st.text())
def test_no_text_makes_anything_but_a_key_or_a_refusal(token: str) -> None:
    with contextlib.suppress(InvalidKey):
        assert Token.parse(token).reveal() == token


async def test_a_key_with_another_secret_opens_nothing(store: Store) -> None:
    await store.directory.create_tenant("acme")
    key, token = await store.directory.create_key("acme")
    forged = f"rk_{key.id}_{token[-8:]}{'A' * 35}"
    with pytest.raises(InvalidKey):
        await store.directory.principal(forged)
    await store.directory.principal(token)
    with pytest.raises(InvalidKey):
        await store.directory.principal(forged)


async def test_the_secret_is_nowhere_in_the_store(store: Store) -> None:
    await store.directory.create_tenant("acme")
    _, token = await store.directory.create_key("acme")
    secret = token.split("_", 2)[2]
    everything: list[str] = []
    for key in await store.connection.ask(Ask(("KEYS", "*"), lambda reply: [text(name) for name in reply])):
        everything.append(key)
        everything.append(repr(await store.connection.ask(Ask(("DUMP", key), lambda reply: reply))))
    assert len(everything) > 8
    assert secret not in "".join(everything)
    assert secret not in repr(Token.parse(token))


async def test_another_pepper_opens_nothing(store: Store, server: embedded.EmbeddedServer) -> None:
    await store.directory.create_tenant("acme")
    _, token = await store.directory.create_key("acme")
    other = await Store.connect(server.url, pepper=b"another pepper of this length...", upkeep=False, **PATIENT)
    with pytest.raises(InvalidKey):
        await other.directory.principal(token)
    await other.close()


async def test_a_change_is_seen_by_other_processes_within_a_second(
    store: Store, server: embedded.EmbeddedServer
) -> None:
    await store.directory.create_tenant("acme")
    key, token = await store.directory.create_key("acme")
    async with opened(server.url, upkeep=True) as other:
        await other.directory.principal(token)
        await store.directory.revoke_key(key.id)
        with Stopwatch() as watch, pytest.raises(InvalidKey, match="revoked"):
            await until(lambda: forbidden(other, token))
        assert watch.own_s < FRESH_S + 0.5


class Overtaken(Connection):
    """A connection on which a change overtakes the reading of a key: it comes after the read, and is seen before."""

    def __init__(self, url: str, change: Callable[[], Awaitable[object]]) -> None:
        super().__init__(url, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
        self._changes = [change]

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        replies = await super().run(*asks)
        if str(asks[0].command[1]).startswith("b:key:") and self._changes:
            await self._changes.pop()()
        return replies


async def test_a_change_that_overtakes_a_look_up_is_not_forgotten(
    store: Store, server: embedded.EmbeddedServer
) -> None:
    await store.directory.create_tenant("acme")
    key, token = await store.directory.create_key("acme")

    async def change() -> None:
        await store.directory.revoke_key(key.id)
        await directory.refresh()

    overtaken = Overtaken(server.url, change)
    await overtaken.open()
    directory = Directory(overtaken, PEPPER, store.ledger)
    assert (await directory.principal(token)).key == key, "the look-up had begun before the change"
    with pytest.raises(InvalidKey, match="revoked"):
        await directory.principal(token)
    await overtaken.close()


async def forbidden(store: Store, token: str) -> bool:
    await store.directory.principal(token)
    return False


async def test_a_disabled_tenant_is_forbidden_and_can_come_back(store: Store) -> None:
    await store.directory.create_tenant("acme")
    _, token = await store.directory.create_key("acme")
    await store.directory.set_disabled("acme", disabled=True)
    with pytest.raises(Forbidden, match="disabled"):
        await store.directory.principal(token)
    await store.directory.set_disabled("acme", disabled=False)
    assert (await store.directory.principal(token)).tenant.id == "acme"


async def test_an_expired_key_opens_nothing(store: Store) -> None:
    await store.directory.create_tenant("acme")
    _, token = await store.directory.create_key("acme", expires_at=time.time() - 1)
    with pytest.raises(InvalidKey, match="expired"):
        await store.directory.principal(token)


async def test_a_key_that_exists_elsewhere_can_be_taken_over_again_and_again(store: Store) -> None:
    await store.directory.create_tenant("acme")
    await store.directory.create_tenant("other")
    token = "rk_demo2345abcd_0123456789abcdefghij"
    first, _ = await store.directory.create_key("acme", token=token)
    again, shown = await store.directory.create_key("acme", token=token)
    assert (first, shown) == (again, token)
    with pytest.raises(Conflict):
        await store.directory.create_key("other", token=token)
    with pytest.raises(Conflict):
        await store.directory.create_key("acme", token="rk_demo2345abcd_another-secret-of-it")
    assert [key.id for key in await store.directory.keys("acme")] == ["demo2345abcd"]


async def test_tenants_are_created_once_listed_and_changed_by_declaration(store: Store) -> None:
    directory = store.directory
    await directory.create_tenant("b")
    await directory.declare_tenant("a", name="A")
    with pytest.raises(Conflict):
        await directory.create_tenant("a")
    declared = await directory.declare_tenant("a", name="A2", limits=Limits(concurrency=3))
    unchanged = await directory.declare_tenant("a", name="A2", limits=Limits(concurrency=3))
    assert declared == unchanged == await directory.tenant("a")
    assert [tenant.name for tenant in await directory.tenants()] == ["A2", "b"]


async def test_a_new_tenant_has_its_books(store: Store) -> None:
    await store.directory.create_tenant("new")
    hold = await store.ledger.reserve("new", "first", 7)
    assert (await store.ledger.settle(hold, 5)).charged_nano == 5


@pytest.mark.parametrize("odd", ["", "A", "a}b", "{a", "a:b", "x" * 64, "ü", "a b", ".a", "a\n"])
async def test_an_id_that_would_leave_its_slot_is_refused(store: Store, odd: str) -> None:
    with pytest.raises(ValueError, match="tenant's id"):
        await store.directory.create_tenant(odd)
    with pytest.raises(NotFound):
        await store.directory.tenant(odd)


async def test_what_is_not_there_is_said_so(store: Store) -> None:
    directory = store.directory
    await directory.create_tenant("acme")
    await store.connection.ask(Ask(("DEL", "b:{acme}:rec"), int))
    for call in (directory.set_disabled("acme", disabled=True), directory.key("none"), directory.create_key("acme")):
        with pytest.raises(NotFound):
            await call


async def test_nobody_is_believed_longer_than_a_second_without_the_store(
    own_server: embedded.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1_000.0
    monkeypatch.setattr("router.store.directory.time", SimpleNamespace(monotonic=lambda: now_s, time=time.time))
    async with opened(own_server.url) as store:
        await store.directory.create_tenant("acme")
        _, token = await store.directory.create_key("acme")
        await store.directory.principal(token)
        own_server.stop()
        now_s += 0.999
        assert (await store.directory.principal(token)).tenant.id == "acme"
        now_s += 0.002
        with pytest.raises(StoreUnavailable):
            await store.directory.principal(token)


async def test_an_emptied_store_gives_no_tenant_its_money_twice(store: Store, server: embedded.EmbeddedServer) -> None:
    await store.directory.create_tenant("acme")
    await store.connection.ask(Ask(("FLUSHALL",), ignore))
    with pytest.raises(StoreUnavailable, match="emptied or replaced"):
        await store.directory.declare_tenant("acme")


async def test_an_emptied_store_is_noticed_by_the_next_process_too(
    store: Store, server: embedded.EmbeddedServer, tmp_path: Path
) -> None:
    memory = tmp_path / "epoch"
    for _ in range(2):
        again = await Store.connect(server.url, pepper=b"p" * 32, memory=memory, upkeep=False, **PATIENT)
        assert again.epoch == store.epoch == memory.read_text()
        await again.close()
    await store.connection.ask(Ask(("FLUSHALL",), ignore))
    with pytest.raises(StoreUnavailable, match=r"emptied or replaced.*rung ledger rebuild"):
        await Store.connect(server.url, pepper=b"p" * 32, memory=memory, upkeep=False, **PATIENT)


async def test_processes_that_start_at_once_may_all_declare_the_same_tenant(store: Store) -> None:
    for number in range(20):
        declared = await asyncio.gather(*(store.directory.declare_tenant(f"t{number}", name="One") for _ in range(4)))
        assert {tenant.name for tenant in declared} == {"One"}
    assert len(await store.directory.tenants()) == 20
