"""What a tenant's own policy makes of a request: ceilings, floors, lists, exploration, a cap on the strongest tier.

The policy is declared in `rung.yaml` and kept with the tenant in the store, so that every process reads the same one.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal

import orjson

from policies.profile import EVEN, Profile, weekly
from policies.share import NOTHING, Share, barred, count
from policies.types import NANO_PER_USD, Wishes
from router.configuration.tenants import SpendProfile, TenantPolicy
from router.store import Tenant

# Counts of the tenants seen last; one that returns after so many others begins at nothing, and stays under its cap.
MAX_TENANTS = 100_000
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A tenant's policy, made ready for requests.

    Attributes:
        quality: its dial, or None for the gateway's. strong_share: its cap on the strongest tier, or None.
        limits: the outer layer around the caller's wishes.
        session_budget_nano: what one session may cost, nano-dollars, or None.
        profile: how its money is meant to be spread over the hours of the week.
        semantic_cache: whether questions in other words share answers, or None for the gateway's.
        log_text: whether the log may keep the text of its questions. log_days: how long its log is kept, or None.
    """

    quality: float | None
    strong_share: float | None
    limits: Wishes
    profile: Profile
    session_budget_nano: int | None = None
    log_text: bool = False
    log_days: int | None = None
    semantic_cache: str | None = None


def rules_of(tenant: Tenant) -> Rules:
    """The rules of a tenant, as the store holds its policy."""
    return _ready(orjson.dumps(dict(tenant.policy), option=orjson.OPT_SORT_KEYS))


@functools.lru_cache(maxsize=4096)
def _ready(stored: bytes) -> Rules:
    policy = TenantPolicy.model_validate_json(stored)
    limits = Wishes(
        max_cost_nano=_nano(policy.max_cost_usd),
        max_reasoning_tokens=policy.max_reasoning_tokens,
        max_latency_s=policy.max_latency_s,
        min_quality=policy.min_quality,
        deny=frozenset(policy.deny),
        require_tags=frozenset(policy.require_tags),
        explore=policy.explore,
        value_nano=_nano(policy.answer_value_usd),
    )
    return Rules(
        quality=policy.quality,
        strong_share=policy.strong_share,
        limits=limits,
        profile=_profile(policy.spend_profile),
        session_budget_nano=_nano(policy.session_budget_usd),
        log_text=policy.log_text,
        log_days=policy.log_days,
        semantic_cache=policy.semantic_cache,
    )


def _nano(usd: Decimal | None) -> int | None:
    return None if usd is None else int(usd * NANO_PER_USD)


def _profile(spread: SpendProfile | None) -> Profile:
    if spread is None:
        return EVEN
    hours, weekdays = spread.hours or (1.0,) * 24, spread.weekdays or (1.0,) * 7
    return weekly(hours, weekdays, utc_offset_s=spread.utc_offset_hours * _HOUR_S)


class StrongShares:
    """Counts each tenant's calls to the strongest tier, in this process.

    Each process keeps its own counts: with N of them, strong calls are at most `cap` of all calls plus N.
    """

    def __init__(self) -> None:
        self._shares: OrderedDict[str, Share] = OrderedDict()

    def barred(self, tenant: str, cap: float | None, tiers: tuple[str, ...]) -> frozenset[str]:
        """The tiers that the tenant's next call may not use."""
        return NOTHING if cap is None else barred(self._shares.get(tenant, Share()), cap=cap, tiers=tiers)

    def count(self, tenant: str, *, strong: bool) -> None:
        """One more call."""
        self._shares[tenant] = count(self._shares.pop(tenant, Share()), strong=strong)
        if len(self._shares) > MAX_TENANTS:
            self._shares.popitem(last=False)
