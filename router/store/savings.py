"""What the cache has saved a tenant: alone counts the money that answered requests would have cost, by month."""

from __future__ import annotations

from dataclasses import dataclass

from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, Script

_SAVED = Script("saved.lua")
_KEEP_S = 800 * 86_400  # as long as the books' own months
KINDS = ("hit", "semantic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """An answer out of the cache. `kind`: one of KINDS. `nano`: what the answer had cost, nano-dollars."""

    kind: str
    nano: int
    month: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Of one kind in one month: nano-dollars, and how many requests."""

    nano: int = 0
    requests: int = 0


class SavingsBook:
    """The savings of all tenants; a report, apart from the books: nobody has paid or is owed this money."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def note_ask(self, tenant: str, saving: Saving) -> Ask[int]:
        """Counts a saving, for a pipeline."""
        return _SAVED.ask([names.of(tenant, "sv", saving.month)], [saving.kind, saving.nano, _KEEP_S], int)

    async def of(self, tenant: str, month: str) -> dict[str, Saved]:
        """What was saved in a month (`2026-11`, UTC), by kind. Raises StoreUnavailable."""
        words = [word for kind in KINDS for word in (kind, f"{kind}:n")]
        return await self._executor.ask(Ask(("HMGET", names.of(tenant, "sv", month), *words), _read))


def _read(reply: Reply) -> dict[str, Saved]:
    numbers = [int(value or 0) for value in reply]
    pairs = zip(KINDS, numbers[::2], numbers[1::2], strict=True)
    return {kind: Saved(nano=nano, requests=requests) for kind, nano, requests in pairs}
