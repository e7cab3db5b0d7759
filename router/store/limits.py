"""How often, how much and how many at once: alone counts what a tenant and its keys ask for.

Requests and tokens follow the generic cell rate algorithm (ITU-T I.371), which needs one number per limit and
admits a burst of the whole limit; concurrency is a set of leases, so that a dead process' places come back.
All limits of a request are taken together or not at all, in one script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from router.errors import RateLimited
from router.store import names
from router.store.connection import Executor
from router.store.scripts import Argument, Ask, Reply, Script, ignore

MINUTE_MS = 60_000
CONCURRENCY_LEASE_S = 600.0  # longer than a request may take; a dead process' places come back after it

_TAKE = Script("core.lua", "limits.lua", "limits_take.lua")
_GIVE = Script("core.lua", "limits.lua", "limits_give.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a tenant or of a key; None does not limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One limit as it applies to one request. `owner` is `""` for the tenant or, for example, `key:ab12`."""

    kind: str  # requests, tokens or concurrency
    owner: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How one limit stands after the request.

    Attributes:
        reset_s: seconds until the limit is wholly free again. wait_s: until this request would have passed; 0
            where it did.
    """

    rule: Rule
    remaining: int
    reset_s: float
    wait_s: float


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Verdict:
    """Whether the limits admit a request, and how they stand. `refused` is the first limit that does not."""

    quotas: tuple[Quota, ...] = ()
    refused: Quota | None = None

    def require(self) -> None:
        """Raise RateLimited where a limit refused."""
        if self.refused is None:
            return
        rule = self.refused.rule
        unit = {"requests": "requests a minute", "tokens": "tokens a minute"}.get(rule.kind, "requests at once")
        raise RateLimited(
            f"The {'key' if rule.owner else 'tenant'}'s limit of {rule.limit} {unit} is used up: retry in"
            f" {self.refused.wait_s:.3g} s, or ask the operator for a higher one.",
            retry_after_s=self.refused.wait_s,
        )

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, each of the limit with the least left."""
        found: dict[str, str] = {}
        for kind in ("requests", "tokens"):
            quotas = [quota for quota in self.quotas if quota.rule.kind == kind]
            if quotas:
                least = min(quotas, key=lambda quota: quota.remaining)
                found[f"x-ratelimit-limit-{kind}"] = str(least.rule.limit)
                found[f"x-ratelimit-remaining-{kind}"] = str(least.remaining)
                found[f"x-ratelimit-reset-{kind}"] = f"{least.reset_s:.3f}s"
        return found


@lru_cache(maxsize=10_000)
def rules(*owners: tuple[str, Limits]) -> tuple[Rule, ...]:
    """The rules for a request of these owners, such as `("", tenant.limits), ("key:ab12", key.limits)`."""
    return tuple(
        Rule(kind=kind, owner=owner, limit=limit)
        for owner, limits in owners
        for kind, limit in (
            ("concurrency", limits.concurrency),
            ("requests", limits.requests_per_minute),
            ("tokens", limits.tokens_per_minute),
        )
        if limit is not None
    )


class Limiter:
    """Limits in the store. `frozen_ms` is a test's clock."""

    def __init__(self, executor: Executor, *, frozen_ms: int | None = None) -> None:
        self._executor = executor
        self.frozen_ms = frozen_ms

    def take_ask(
        self,
        tenant: str,
        request_id: str,
        limited_by: Sequence[Rule],
        tokens: int,
        lease_s: float = CONCURRENCY_LEASE_S,
    ) -> Ask[Verdict]:
        """Admit one request of so many estimated tokens, for a pipeline. Without rules, ask nothing."""
        return _TAKE.ask(
            [names.of(tenant, "acct")],
            [self._clock(), request_id, *taking(limited_by, tokens, lease_s)],
            lambda reply: read_verdict(reply, limited_by),
        )

    async def take(self, tenant: str, request_id: str, limited_by: Sequence[Rule], tokens: int) -> Verdict:
        """Admit one request, or say which limit refuses it. Raises StoreUnavailable."""
        if not limited_by:
            return Verdict()
        return await self._executor.ask(self.take_ask(tenant, request_id, limited_by, tokens))

    def give_ask(self, tenant: str, request_id: str, limited_by: Sequence[Rule], extra_tokens: int) -> Ask[None] | None:
        """End a request: its place is free, and the tokens beyond the estimate (or short of it) are booked.

        Returns:
            None where nothing has to be done.
        """
        words = giving(limited_by, extra_tokens)
        return _GIVE.ask([names.of(tenant, "acct")], [self._clock(), request_id, *words], ignore) if words else None

    async def give(self, tenant: str, request_id: str, limited_by: Sequence[Rule], extra_tokens: int) -> None:
        """End a request. Raises StoreUnavailable."""
        ask = self.give_ask(tenant, request_id, limited_by, extra_tokens)
        if ask is not None:
            await self._executor.ask(ask)

    def _clock(self) -> str | int:
        return "" if self.frozen_ms is None else self.frozen_ms


def taking(limited_by: Sequence[Rule], tokens: int, lease_s: float) -> list[Argument]:
    """A script's words for admitting one request of so many estimated tokens."""
    return _words(limited_by, {"requests": 1, "tokens": tokens}, lease_s)


def giving(limited_by: Sequence[Rule], extra_tokens: int) -> list[Argument]:
    """A script's words for the end of a request; empty where there is nothing to give back or to book."""
    touched = [rule for rule in limited_by if rule.kind == "concurrency" or (rule.kind == "tokens" and extra_tokens)]
    return _words(touched, {"tokens": extra_tokens})


def _words(limited_by: Sequence[Rule], costs: dict[str, int], lease_s: float = 0.0) -> list[Argument]:
    words: list[Argument] = []
    for rule in limited_by:
        name = f"{rule.kind}:{rule.owner}"
        if rule.kind == "concurrency":
            words += ["many", name, rule.limit, round(lease_s * 1000), ""]  # a place costs nothing
        else:
            words += ["rate", name, rule.limit, MINUTE_MS, costs[rule.kind]]
    return words


def read_verdict(reply: Reply, limited_by: Sequence[Rule]) -> Verdict:
    """What a script says of the limits."""
    quotas = tuple(
        Quota(
            rule=rule,
            remaining=reply[4 * index + 2],
            reset_s=reply[4 * index + 3] / 1000,
            wait_s=reply[4 * index + 4] / 1000,
        )
        for index, rule in enumerate(limited_by)
    )
    return Verdict(quotas=quotas, refused=quotas[reply[0] - 1] if reply[0] else None)
