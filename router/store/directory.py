"""Tenants and API keys: alone says who a token is, and changes who may ask.

Every change raises a revision. A process keeps principals in memory and asks for the revision twice a second,
so that a change is seen everywhere within a second; where it cannot ask, nothing older than that second is
believed.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any, TypeVar

from router.errors import Conflict, Forbidden, InvalidKey, NotFound
from router.recent import Recent
from router.store import names
from router.store.connection import Executor
from router.store.credentials import Token
from router.store.directory_types import INFERENCE, Key, Principal, Tenant
from router.store.ledger import Ledger
from router.store.limits import Limits
from router.store.scripts import Argument, Ask, Reply, Script, refusal, text

FRESH_S = 1.0  # how long a principal is believed without asking for the revision
POLL_S = 0.4  # twice within FRESH_S, with room for a slow answer
REMEMBERED = 10_000  # principals and unknown ids in memory: a few megabytes


_REPLACE = Script("replace.lua")
R = TypeVar("R", Tenant, Key)


class Directory:
    """Tenants and keys in the store.

    Args:
        executor: what carries the commands.
        pepper: the server's secret for the keys' HMACs.
        ledger: opens a new tenant's books.
        clock: seconds since 1970, for expiry.

    Attributes:
        epoch: the books that this process entered; tenants are created in no others. Set by `Store`.
    """

    def __init__(
        self, executor: Executor, pepper: bytes, ledger: Ledger, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._executor = executor
        self._pepper = pepper
        self._ledger = ledger
        self._clock = clock
        self.epoch = ""
        self._known: dict[str, Principal | None] = {}
        self._opened: Recent[str, bytes] = Recent(REMEMBERED)
        self._memory_key = secrets.token_bytes()
        self._revision: int | None = None
        self._confirmed_at = float("-inf")

    # --- who is asking
    # -------------------------------------------------------------------------------------------

    async def principal(self, token: str) -> Principal:
        """Who a token is. From memory, but for the first time and after a change.

        Raises:
            InvalidKey: malformed, unknown, wrong, revoked or expired.
            Forbidden: the tenant is disabled.
            StoreUnavailable: it is not in memory, or memory is too old, and the store is away.
        """
        given = Token.parse(token)
        if time.monotonic() - self._confirmed_at > FRESH_S:
            await self.refresh()
        found = self._known[given.id] if given.id in self._known else await self._fetch(given.id)
        if found is None or not self._opens(given, found.key.mac):
            raise InvalidKey("This API key opens nothing: check it, or make a new one with `rung keys create`.")
        self._admit(found)
        return found

    def _opens(self, given: Token, mac: str) -> bool:
        """Whether the secret is the key's; what has opened it once is known again by a quicker hash of this process."""
        seen = blake2b(given.secret.encode(), key=self._memory_key).digest()
        if hmac.compare_digest(self._opened.get(mac) or b"", seen):
            return True
        opens = given.opens(mac, self._pepper)
        if opens:
            self._opened.put(mac, seen)
        return opens

    async def refresh(self) -> None:
        """Forget what is in memory where the revision has changed. Raises StoreUnavailable."""
        asked_at = time.monotonic()
        revision = await self._executor.ask(Ask(("GET", names.REVISION), _number))
        if revision != self._revision:
            self._known.clear()
            self._revision = revision
        self._confirmed_at = max(self._confirmed_at, asked_at)

    async def shares_pepper(self) -> bool:
        """Whether keys of this store are hashed with this process' pepper: that of the first who asked."""
        mark = hmac.digest(self._pepper, b"which pepper", "sha256").hex()
        await self._executor.ask(Ask(("SET", names.PEPPER, mark, "NX"), bool))
        return hmac.compare_digest(await self._executor.ask(Ask(("GET", names.PEPPER), text)), mark)

    def _admit(self, found: Principal) -> None:
        if found.key.revoked_at is not None:
            raise InvalidKey("This API key was revoked: make a new one with `rung keys create`.")
        if found.key.expires_at is not None and found.key.expires_at <= self._clock():
            raise InvalidKey("This API key has expired: make a new one with `rung keys create`.")
        for tenant in (found.tenant, found.organisation):
            if tenant is not None and tenant.disabled:
                raise Forbidden(f"The tenant {tenant.id} is disabled: ask the operator.")

    async def _fetch(self, key_id: str) -> Principal | None:
        revision = self._revision
        key = await self._executor.ask(Ask(("GET", names.api_key(key_id)), _key))
        tenant = await self._executor.ask(_tenant_ask(key.tenant)) if key else None
        above = names.organisation_of(tenant.id) if tenant else None
        organisation = await self._executor.ask(_tenant_ask(above)) if above else None
        found = None
        if key and tenant and (organisation or not above):
            found = Principal(tenant=tenant, key=key, organisation=organisation)
        if revision == self._revision:  # otherwise this may be the state before the change
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key_id] = found
        return found

    # --- tenants
    # -------------------------------------------------------------------------------------------------

    async def create_tenant(
        self,
        tenant_id: str,
        *,
        name: str = "",
        models: frozenset[str] | None = None,
        limits: Limits | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> Tenant:
        """Create a tenant with its books.

        Raises:
            Conflict: there is one of this id.
            NotFound: there is no such organisation.
            ValueError: the id is malformed.
            StoreUnavailable: the store is away, or was emptied since this process entered it.
        """
        tenant = Tenant(
            id=tenant_id,
            name=name or tenant_id,
            models=models,
            limits=limits or Limits(),
            policy=dict(policy or {}),
            created_at=self._clock(),
            generation=await self._same_epoch(),
        )
        place = names.of(tenant_id, "rec")
        await self._require_organisation(tenant_id)
        await self._ledger.open_account(tenant_id, tenant.generation)
        if not await self._executor.ask(Ask(("SET", place, tenant.dump(), "NX"), bool)):
            raise Conflict(f"There is a tenant {tenant_id} already: change it, or choose another id.")
        await self._executor.ask(Ask(("SADD", names.TENANTS, tenant_id), int))
        await self._changed()
        return tenant

    async def _require_organisation(self, tenant_id: str) -> None:
        above = names.organisation_of(tenant_id)
        if above is not None and await self._executor.ask(_tenant_ask(above)) is None:
            raise NotFound(f"There is no organisation {above}: `rung tenants create {above}` first.")

    async def tenant(self, tenant_id: str) -> Tenant:
        """A tenant. Raises NotFound."""
        found = await self._executor.ask(_tenant_ask(tenant_id)) if names.TENANT_ID.fullmatch(tenant_id) else None
        if found is None:
            raise NotFound(f"There is no tenant {tenant_id[:64]}: `rung tenants list` shows them.")
        return found

    async def tenants(self) -> list[Tenant]:
        """All tenants, by id."""
        ids = await self._executor.ask(Ask(("SMEMBERS", names.TENANTS), _texts))
        return [tenant for tenant in await self._all([_tenant_ask(i) for i in ids]) if tenant is not None]

    async def set_disabled(self, tenant_id: str, *, disabled: bool) -> Tenant:
        """Disable or enable a tenant; seen everywhere within a second. Raises NotFound."""
        await self.tenant(tenant_id)
        return await self._change(names.of(tenant_id, "rec"), Tenant.load, lambda now: replace(now, disabled=disabled))

    async def declare_tenant(
        self,
        tenant_id: str,
        *,
        name: str = "",
        models: frozenset[str] | None = None,
        limits: Limits | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> Tenant:
        """Make a tenant what the configuration says, creating it where missing; its books stay untouched."""
        try:
            before = await self.tenant(tenant_id)
        except NotFound:
            try:
                return await self.create_tenant(tenant_id, name=name, models=models, limits=limits, policy=policy)
            except Conflict:  # another process that starts at the same time was quicker
                before = await self.tenant(tenant_id)

        def declared(now: Tenant) -> Tenant:
            rules = dict(policy or {})
            return replace(now, name=name or tenant_id, models=models, limits=limits or Limits(), policy=rules)

        if declared(before) == before:
            return before
        return await self._change(names.of(tenant_id, "rec"), Tenant.load, declared)

    # --- keys
    # ----------------------------------------------------------------------------------------------------

    async def create_key(
        self,
        tenant_id: str,
        *,
        name: str = "",
        scopes: frozenset[str] = frozenset({INFERENCE}),
        models: frozenset[str] | None = None,
        deny: frozenset[str] = frozenset(),
        limits: Limits | None = None,
        expires_at: float | None = None,
        token: str | None = None,
    ) -> tuple[Key, str]:
        """Create a key.

        Args:
            tenant_id: whose.
            name: for people.
            scopes: what it may do.
            models: a narrower list than the tenant's, or None. deny: models that it may not use.
            limits: of this key, beside the tenant's.
            expires_at: seconds since 1970, or None.
            token: a key that exists elsewhere (a secret manager, the demo's file), to be taken as it is; None
                draws one.

        Returns:
            the key, and the token that nobody can show again.

        Raises:
            NotFound: no such tenant. Conflict: there is a key of this id, with another secret or tenant.
            InvalidKey: `token` is malformed.
        """
        await self.tenant(tenant_id)
        given = Token.parse(token) if token is not None else Token.new()
        key = Key(
            id=given.id,
            tenant=tenant_id,
            mac=given.mac(self._pepper),
            name=name,
            scopes=scopes,
            models=models,
            deny=deny,
            limits=limits or Limits(),
            created_at=self._clock(),
            expires_at=expires_at,
        )
        if not await self._executor.ask(Ask(("SET", names.api_key(key.id), key.dump(), "NX"), bool)):
            before = await self.key(key.id)
            if before.tenant != tenant_id or before.mac != key.mac:
                raise Conflict(f"There is a key {key.id} already: draw a new one.")
            key = before
        await self._executor.ask(Ask(("SADD", names.of(tenant_id, "keys"), key.id), int))
        await self._changed()
        return key, given.reveal()

    async def key(self, key_id: str) -> Key:
        """A key. Raises NotFound."""
        found = await self._executor.ask(Ask(("GET", names.api_key(key_id)), _key))
        if found is None:
            raise NotFound(f"There is no key {key_id[:32]}: `rung keys list` shows them.")
        return found

    async def keys(self, tenant_id: str) -> list[Key]:
        """A tenant's keys, by id, the revoked ones too."""
        ids = await self._executor.ask(Ask(("SMEMBERS", names.of(tenant_id, "keys")), _texts))
        found = await self._all([Ask(("GET", names.api_key(key_id)), _key) for key_id in ids])
        return [key for key in found if key is not None]

    async def revoke_key(self, key_id: str) -> Key:
        """Revoke a key; seen everywhere within a second. Raises NotFound."""
        await self.key(key_id)
        now = self._clock()
        return await self._change(names.api_key(key_id), Key.load, lambda key: replace(key, revoked_at=now))

    async def rotate_key(self, key_id: str, *, grace_s: float = 0.0) -> tuple[Key, str]:
        """Draw a key with the rights of another, which ends after `grace_s` seconds; budgets of the old id stay there.

        Returns:
            the new key, and its token, shown once.

        Raises:
            NotFound: no such key. Conflict: it is revoked or expired, so that nothing is there to rotate.
        """
        old, now = await self.key(key_id), self._clock()
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
            raise Conflict(f"The key {key_id} is revoked or expired: make a new one with `rung keys create`.")
        fresh, token = await self.create_key(
            old.tenant,
            name=old.name,
            scopes=old.scopes,
            models=old.models,
            deny=old.deny,
            limits=old.limits,
            expires_at=old.expires_at,
        )
        if grace_s <= 0:
            await self.revoke_key(key_id)
        else:
            ends_at = min(now + grace_s, old.expires_at or float("inf"))
            ending = await self._change(names.api_key(key_id), Key.load, lambda key: replace(key, expires_at=ends_at))
            if ending.revoked_at is not None:
                await self.revoke_key(fresh.id)
                raise Conflict(f"The key {key_id} was revoked meanwhile: make a new one with `rung keys create`.")
        return fresh, token

    async def _change(self, place: str, load: Callable[[bytes], R], change: Callable[[R], R]) -> R:
        """Make another record of the one that is there, and say so; who was overtaken by another's change reads again.

        Raises NotFound where the record is gone.
        """
        while True:
            found = await self._executor.ask(Ask(("GET", place), _raw))
            if found is None:
                raise NotFound("It was deleted meanwhile: nothing was changed.")
            after = change(load(found))
            if await self._executor.ask(_REPLACE.ask([place], [found, after.dump()], bool)):
                await self._changed()
                return after

    async def _all(self, asks: list[Ask[Any]]) -> list[Any]:
        replies = await self._executor.run(*asks) if asks else []
        return [ask.read(reply) for ask, reply in zip(asks, replies, strict=True)]

    async def _changed(self) -> None:
        await self._executor.ask(Ask(("INCR", names.REVISION), int))
        self._known.clear()

    async def _same_epoch(self) -> str:
        """The books' epoch. In emptied books, a tenant created anew would be given its money twice."""
        found = text(await self._executor.ask(Ask(("GET", names.EPOCH), lambda reply: reply or b"")))
        if found != self.epoch:
            raise refusal("NOBOOKS the store was emptied or replaced")
        return found


def _tenant_ask(tenant_id: str) -> Ask[Tenant | None]:
    command: tuple[Argument, ...] = ("GET", names.of(tenant_id, "rec"))
    return Ask(command, lambda reply: None if reply is None else Tenant.load(reply))


def _raw(reply: Reply) -> bytes | None:
    return reply


def _key(reply: Reply) -> Key | None:
    return None if reply is None else Key.load(reply)


def _number(reply: Reply) -> int:
    return int(reply or 0)


def _texts(reply: Reply) -> list[str]:
    return sorted(text(item) for item in reply)
