"""Changes of tenants and keys: what they write, what they keep, and that no process believes what was before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from router.errors import Conflict, InvalidKey, NotFound
from router.store import FEEDBACK, Connection, Directory, Key, Limits, Store, Tenant, Token, directory, embedded, names
from router.store.directory import FRESH_S
from router.store.scripts import Ask, Reply
from tests.store_servers import PATIENT_S, PEPPER

NOW = 1_800_000_000.0
LIMITS = Limits(requests_per_minute=3)
OF_TENANT: dict[str, Any] = {
    "name": "Acme",
    "models": frozenset({"m"}),
    "limits": LIMITS,
    "policy": {"quality": 0.7},
}
OF_KEY: dict[str, Any] = {
    "name": "ci",
    "scopes": frozenset({FEEDBACK}),
    "models": frozenset({"m"}),
    "deny": frozenset({"n"}),
    "limits": LIMITS,
    "expires_at": NOW + 90,
}
TOLD = ("INCR", names.REVISION)


class Written(Connection):
    """A connection that writes down its commands, and lets a test look in after one."""

    def __init__(self, url: str) -> None:
        super().__init__(url, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
        self.commands: list[tuple[Any, ...]] = []
        self.after: Callable[[tuple[Any, ...]], Awaitable[object]] | None = None

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        replies = await super().run(*asks)
        for ask in asks:
            self.commands.append(ask.command)
            if self.after is not None:
                await self.after(ask.command)
        return replies


class Clock:
    """A test's time."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def written(server: embedded.EmbeddedServer) -> AsyncIterator[Written]:
    connection = Written(server.url)
    await connection.open()
    yield connection
    await connection.close()


@pytest.fixture
async def who(store: Store, written: Written, clock: Clock) -> Directory:
    """The directory under test, in the store's books."""
    made = Directory(written, PEPPER, store.ledger, clock=clock)
    made.epoch = store.epoch
    return made


async def test_the_last_word_of_every_change_tells_the_other_processes(who: Directory, written: Written) -> None:
    await who.create_tenant("acme")
    assert written.commands[-1] == TOLD, "a tenant created"
    key, _ = await who.create_key("acme")
    assert written.commands[-1] == TOLD, "a key created"
    await who.set_disabled("acme", disabled=False)
    assert written.commands[-1] == TOLD, "a tenant enabled"
    await who.declare_tenant("acme", name="A")
    assert written.commands[-1] == TOLD, "a tenant declared anew"
    fresh, _ = await who.rotate_key(key.id, grace_s=60)
    assert written.commands[-1] == TOLD, "a key on its way out"
    await who.rotate_key(fresh.id)
    assert written.commands[-1] == TOLD, "a key rotated at once"
    await who.create_key("acme", token="rk_demo2345abcd_0123456789abcdefghij")
    last, _ = await who.create_key("acme", token="rk_demo2345abcd_0123456789abcdefghij")
    assert written.commands[-1] == TOLD, "a key taken over again"
    await who.revoke_key(last.id)
    assert written.commands[-1] == TOLD, "a key revoked"


@pytest.mark.parametrize("reads", [1, 2], ids=["before it begins to write", "between its look and its word"])
async def test_a_key_that_is_revoked_in_the_middle_of_its_rotation_stays_revoked_and_has_no_heir(
    who: Directory, written: Written, store: Store, reads: int
) -> None:
    await who.create_tenant("acme")
    old, token = await who.create_key("acme")
    seen = 0

    async def revoke(command: tuple[Any, ...]) -> None:
        nonlocal seen
        seen += command == ("GET", names.api_key(old.id))
        if seen == reads:
            written.after = None
            await store.directory.revoke_key(old.id)

    written.after = revoke
    with pytest.raises(Conflict, match="revoked meanwhile"):
        await who.rotate_key(old.id, grace_s=60)
    assert [key.revoked_at is None for key in await who.keys("acme")] == [False, False]
    with pytest.raises(InvalidKey, match="revoked"):
        await who.principal(token)


async def test_a_tenant_that_is_disabled_while_it_is_declared_anew_stays_disabled(
    who: Directory, written: Written, store: Store
) -> None:
    await who.create_tenant("acme")

    async def disable(command: tuple[Any, ...]) -> None:
        if command == ("GET", names.of("acme", "rec")):
            written.after = None
            await store.directory.set_disabled("acme", disabled=True)

    written.after = disable
    declared = await who.declare_tenant("acme", name="Acme")
    assert declared == await who.tenant("acme")
    assert (declared.name, declared.disabled) == ("Acme", True)


async def test_a_process_believes_its_own_changes_at_once(who: Directory) -> None:
    await who.create_tenant("acme")
    with pytest.raises(InvalidKey):
        await who.principal("rk_demo2345abcd_0123456789abcdefghij")
    key, token = await who.create_key("acme", token="rk_demo2345abcd_0123456789abcdefghij")
    assert (await who.principal(token)).key == key
    changed = await who.declare_tenant("acme", name="Acme", models=frozenset({"m"}))
    assert (await who.principal(token)).tenant == changed
    await who.revoke_key(key.id)
    with pytest.raises(InvalidKey, match="revoked"):
        await who.principal(token)


async def test_a_look_up_in_the_middle_of_a_rotation_leaves_nobody_with_the_old_key_s_old_end(
    who: Directory, written: Written, clock: Clock
) -> None:
    await who.create_tenant("acme")
    old, token = await who.create_key("acme")

    async def look_up(command: tuple[Any, ...]) -> None:
        if command == TOLD:
            written.after = None
            assert (await who.principal(token)).key == old

    written.after = look_up
    await who.rotate_key(old.id, grace_s=60)
    assert (await who.principal(token)).key.expires_at == NOW + 60


async def test_a_tenant_is_what_it_was_created_as(who: Directory, store: Store) -> None:
    plain = await who.create_tenant("plain")
    assert plain == Tenant(id="plain", name="plain", created_at=NOW, generation=store.epoch)
    acme = await who.create_tenant("acme", **OF_TENANT)
    assert acme == Tenant(id="acme", created_at=NOW, generation=store.epoch, **OF_TENANT)
    assert await who.tenant("acme") == acme
    assert await who.tenants() == [acme, plain]


async def test_a_declaration_makes_a_tenant_what_it_says_and_nothing_else(
    who: Directory, written: Written, store: Store
) -> None:
    made = await who.declare_tenant("acme", **OF_TENANT)
    assert made == Tenant(id="acme", created_at=NOW, generation=store.epoch, **OF_TENANT)
    assert await who.set_disabled("acme", disabled=True) == replace(made, disabled=True)
    written.commands.clear()
    assert (await who.declare_tenant("acme", **OF_TENANT)).disabled, "an operator's no outlasts a restart"
    assert TOLD not in written.commands, "what says the same changes nothing"
    bare = await who.declare_tenant("acme")
    assert bare == Tenant(id="acme", name="acme", disabled=True, created_at=NOW, generation=store.epoch)
    assert await who.tenant("acme") == bare


async def test_a_tenant_of_no_organisation_is_refused_and_leaves_nothing(who: Directory) -> None:
    with pytest.raises(NotFound, match="no organisation acme"):
        await who.create_tenant("search@acme")
    assert await who.tenants() == []
    await who.create_tenant("acme")
    assert (await who.create_tenant("search@acme")).id == "search@acme"


async def test_a_key_is_what_it_was_created_as(who: Directory) -> None:
    await who.create_tenant("acme")
    plain, token = await who.create_key("acme")
    given = Token.parse(token)
    assert plain == Key(id=given.id, tenant="acme", mac=given.mac(PEPPER), created_at=NOW)
    made, token = await who.create_key("acme", **OF_KEY)
    given = Token.parse(token)
    assert made == Key(id=given.id, tenant="acme", mac=given.mac(PEPPER), created_at=NOW, **OF_KEY)
    assert await who.key(made.id) == made
    assert await who.keys("acme") == sorted([plain, made], key=lambda key: key.id)


async def test_a_rotated_key_has_all_rights_of_the_old_one_and_ends_with_it(who: Directory, clock: Clock) -> None:
    await who.create_tenant("acme")
    old, _ = await who.create_key("acme", **OF_KEY)
    fresh, token = await who.rotate_key(old.id, grace_s=60)
    given = Token.parse(token)
    assert fresh == Key(id=given.id, tenant="acme", mac=given.mac(PEPPER), created_at=NOW, **OF_KEY)
    assert (await who.key(old.id)).expires_at == NOW + 60
    last, _ = await who.rotate_key(fresh.id, grace_s=3600)
    assert (await who.key(fresh.id)).expires_at == NOW + 90, "a grace makes no key live longer"
    assert last.expires_at == NOW + 90


async def test_a_key_that_is_rotated_without_grace_is_revoked(who: Directory) -> None:
    await who.create_tenant("acme")
    old, before = await who.create_key("acme")
    _, after = await who.rotate_key(old.id, grace_s=0)
    assert (await who.key(old.id)).revoked_at == NOW
    with pytest.raises(InvalidKey, match="revoked"):
        await who.principal(before)
    assert await who.principal(after)
    with pytest.raises(Conflict, match="revoked or expired"):
        await who.rotate_key(old.id)


async def test_the_shortest_grace_is_a_grace(who: Directory) -> None:
    await who.create_tenant("acme")
    old, _ = await who.create_key("acme")
    await who.rotate_key(old.id, grace_s=0.5)
    ending = await who.key(old.id)
    assert (ending.expires_at, ending.revoked_at) == (NOW + 0.5, None)
    assert await who.revoke_key(old.id) == replace(ending, revoked_at=NOW)


async def test_a_key_ends_at_its_time_and_not_before(who: Directory, clock: Clock) -> None:
    await who.create_tenant("acme")
    key, token = await who.create_key("acme", expires_at=NOW + 60)
    clock.now = NOW + 59.9
    assert (await who.principal(token)).key == key
    clock.now = NOW + 60
    with pytest.raises(InvalidKey, match="expired"):
        await who.principal(token)
    with pytest.raises(Conflict, match="revoked or expired"):
        await who.rotate_key(key.id)


async def test_a_key_without_its_tenant_or_its_organisation_opens_nothing(who: Directory, store: Store) -> None:
    await who.create_tenant("acme")
    await who.create_tenant("search@acme")
    _, of_tenant = await who.create_key("search@acme")
    _, of_organisation = await who.create_key("acme")
    assert (await who.principal(of_organisation)).organisation is None
    assert (await who.principal(of_tenant)).organisation == await who.tenant("acme")
    await store.connection.ask(Ask(("DEL", names.of("acme", "rec")), int))
    for token in (of_tenant, of_organisation):
        with pytest.raises(InvalidKey, match="opens nothing"):
            await Directory(store.connection, PEPPER, store.ledger).principal(token)
    assert [tenant.id for tenant in await who.tenants()] == ["search@acme"], "of a record that is lost nothing is told"


async def test_a_key_whose_record_is_lost_is_not_listed(who: Directory, store: Store) -> None:
    await who.create_tenant("acme")
    assert await who.keys("acme") == []
    lost, _ = await who.create_key("acme")
    kept, _ = await who.create_key("acme")
    await store.connection.ask(Ask(("DEL", names.api_key(lost.id)), int))
    assert await who.keys("acme") == [kept]


async def test_who_was_asked_for_lately_is_known_without_the_store_and_no_more_than_fit(
    who: Directory, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "REMEMBERED", 2)
    monkeypatch.setattr(directory, "FRESH_S", 1000 * FRESH_S)  # the revision is of another test
    await who.create_tenant("acme")
    tokens = [(await who.create_key("acme"))[1] for _ in range(3)]

    async def read(number: int) -> bool:
        """Whether the store was asked."""
        written.commands.clear()
        await who.principal(tokens[number])
        return bool(written.commands)

    assert [await read(0), await read(0), await read(1), await read(0), await read(1)] == [1, 0, 1, 0, 0]
    assert [await read(2), await read(2), await read(0)] == [1, 0, 1], "a third makes room by forgetting both"


async def test_the_first_change_of_all_is_seen(who: Directory, store: Store) -> None:
    await who.create_tenant("acme")
    key, token = await who.create_key("acme")
    await store.connection.ask(Ask(("DEL", names.REVISION), int))
    other = Directory(store.connection, PEPPER, store.ledger)
    await other.principal(token)
    await who.revoke_key(key.id)
    await other.refresh()
    with pytest.raises(InvalidKey, match="revoked"):
        await other.principal(token)


async def test_a_secret_that_has_opened_once_is_known_by_the_quick_hash(
    who: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await who.create_tenant("acme")
    key, token = await who.create_key("acme")
    await who.principal(token)

    def slow(_token: Token, _mac: str, _pepper: bytes) -> bool:
        return False

    monkeypatch.setattr(Token, "opens", slow)
    assert (await who.principal(token)).key == key
    with pytest.raises(InvalidKey):
        await who.principal(token[:-4] + "AAAA")
