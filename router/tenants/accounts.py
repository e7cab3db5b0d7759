"""A tenant's money as its operator sees it: budgets with their forecast, alerts, the tenants of an organisation.

Read by `rung tenants show` and by `/v1/admin/tenants`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from policies.cost import usd
from policies.profile import EVEN, Profile
from router.money.pacing import lasts_until
from router.store import Alert, Budget, Key, Meter, Standing, Store, Tenant, Terms, Window, names
from router.tenants.alert_words import told as told_alert
from router.tenants.policy import rules_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that there is to see.

    Attributes:
        tenant: whose. keys: its keys, the revoked ones too. standing: its money now.
        members: what the tenants of an organisation have spent, by id.
        alerts: the newest first. terms: what each of the standing's budgets says beside its limit, by its name.
        above: the profile of the organisation's spending.
    """

    tenant: Tenant
    keys: tuple[Key, ...]
    standing: Standing
    members: Mapping[str, Standing]
    alerts: tuple[Alert, ...]
    terms: Mapping[str, Terms]
    above: Profile = EVEN

    def terms_of(self, budget: Budget) -> Terms:
        """What one of its budgets says beside its limit."""
        return self.terms.get(budget.name, Terms())

    def forecast(self, budget: Budget) -> Forecast:
        """How long one of its budgets lasts."""
        profile = self.above if budget.of_organisation else rules_of(self.tenant).profile
        return Forecast(now_s=self.standing.now, budget=budget, gone_at=lasts_until(budget, self.standing.now, profile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How long a budget lasts if its spending goes on as it has. `gone_at`: seconds since 1970; None where it lasts."""

    now_s: float
    budget: Budget
    gone_at: float | None

    def __str__(self) -> str:
        """For example `at this pace: exhausted on the 24th`."""
        if self.budget.ends_at is None:
            return "it never renews"
        if self.gone_at is None:
            return "at this pace: it lasts"
        if self.gone_at <= self.now_s:
            return "exhausted"
        when = datetime.fromtimestamp(self.gone_at, UTC)
        if self.budget.window is Window.DAY:
            return f"at this pace: exhausted at {when:%H:%M} UTC"
        suffix = "th" if 10 < when.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(when.day % 10, "th")  # noqa: PLR2004 - 11th to 13th
        return f"at this pace: exhausted on the {when.day}{suffix}"


async def account_of(store: Store, tenant_id: str) -> Account:
    """A tenant's account. Raises NotFound, StoreUnavailable."""
    tenant = await store.directory.tenant(tenant_id)
    keys = await store.directory.keys(tenant_id)
    organisation = names.organisation_of(tenant_id)
    above = rules_of(await store.directory.tenant(organisation)).profile if organisation else EVEN
    terms = {grant.name: grant.terms for grant in await store.ledger.budgets(tenant_id)}
    if organisation:
        shared = await store.ledger.budgets(organisation)
        terms |= {f"@{organisation} {grant.name}": grant.terms for grant in shared}
    members = [other.id for other in await store.directory.tenants() if other.id.endswith(f"@{tenant_id}")]
    return Account(
        tenant=tenant,
        keys=tuple(keys),
        standing=await store.ledger.standing(tenant_id, [f"key:{key.id}" for key in keys]),
        members={member: await store.ledger.standing(member) for member in members},
        alerts=tuple(await store.alerts.alerts(tenant_id)),
        terms=terms,
        above=above,
    )


def summary(tenant: Tenant, standing: Standing) -> dict[str, Any]:
    """A tenant in a list, for machines."""
    return {
        "object": "rung.tenant",
        "id": tenant.id,
        "name": tenant.name,
        "disabled": tenant.disabled,
        "organisation": names.organisation_of(tenant.id),
        "spent": {
            "day": _meter(standing.day),
            "month": _meter(standing.month),
            "total": _meter(standing.total),
        },
    }


def told(account: Account) -> dict[str, Any]:
    """An account, for machines."""
    return {
        **summary(account.tenant, account.standing),
        "keys": sum(key.revoked_at is None for key in account.keys),
        "budgets": [_budget(account, budget) for budget in account.standing.budgets],
        "members": {member: _meter(standing.month) for member, standing in account.members.items()},
        "alerts": [told_alert(alert) for alert in account.alerts],
    }


def _meter(meter: Meter) -> dict[str, Any]:
    return {**_money("spent", meter.spent_nano), **_money("held", meter.held_nano)}


def _budget(account: Account, budget: Budget) -> dict[str, Any]:
    terms, forecast = account.terms_of(budget), account.forecast(budget)
    return {
        "name": budget.name,
        "scope": budget.scope or None,
        "window": budget.window.word,
        "starts_at": _moment(budget.starts_at),
        "ends_at": _moment(budget.ends_at),
        **_money("limit", budget.limit_nano),
        **_money("rolled_over", budget.rolled_nano),
        **_money("spent", budget.spent_nano),
        **_money("held", budget.held_nano),
        **_money("remaining", budget.remaining_nano),
        "soft": budget.soft,
        "past_soft_limit": budget.is_past_soft,
        "rollover": terms.rollover,
        "rollover_cap_usd": None if terms.rollover_cap_nano is None else usd(terms.rollover_cap_nano),
        "alerts": list(terms.alerts),
        "forecast": str(forecast),
        "exhausted_at": _moment(forecast.gone_at),
    }


def _money(name: str, nano: int) -> dict[str, Any]:
    return {f"{name}_nano": nano, f"{name}_usd": usd(nano)}


def _moment(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
