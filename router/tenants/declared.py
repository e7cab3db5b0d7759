"""The tenants that the configuration declares, and the demo tenant of a gateway that has none."""

from __future__ import annotations

from policies.types import NANO_PER_USD
from router.configuration.settings import Settings
from router.configuration.tenants import BudgetSettings, TenantPolicy, TenantSettings
from router.store import INFERENCE, Limits, Store, Terms, Window
from router.store.ledger_types import ALERTS

DEMO_TENANT = "demo"


async def declare_tenants(store: Store, settings: Settings, *, demo_key: str | None) -> None:
    """Put the declared tenants into the store; what `rung tenants` made there stays.

    Args:
        store: where they go.
        settings: the configuration with `tenants:`.
        demo_key: the key of the demo tenant, or None where there shall be none.
    """
    for tenant in sorted(settings.tenants, key=lambda tenant: "@" in tenant.id):  # organisations first
        await declare(store, tenant)
    if demo_key is not None:
        await store.directory.declare_tenant(DEMO_TENANT, name="Demo")
        await store.directory.create_key(DEMO_TENANT, name="demo", scopes=frozenset({INFERENCE}), token=demo_key)


async def declare(store: Store, tenant: TenantSettings) -> None:
    """Put one tenant and its budgets into the store."""
    await store.directory.declare_tenant(
        tenant.id,
        name=tenant.name,
        models=None if tenant.models is None else frozenset(tenant.models),
        limits=Limits(requests_per_minute=tenant.requests_per_minute, tokens_per_minute=tenant.tokens_per_minute),
        policy=tenant.model_dump(mode="json", include=set(TenantPolicy.model_fields), exclude_defaults=True),
    )
    for budget in tenant.budgets:
        nano = int(budget.limit_usd * NANO_PER_USD)
        window = Window.parse(budget.window)
        await store.ledger.set_budget(tenant.id, budget.window, nano, window, terms=terms_of(budget))


def terms_of(budget: BudgetSettings) -> Terms:
    """What a declared budget says beside its limit."""
    cap = budget.rollover_cap_usd
    return Terms(
        soft=budget.soft,
        rollover=budget.rollover,
        rollover_cap_nano=None if cap is None else int(cap * NANO_PER_USD),
        alerts=ALERTS if budget.alerts is None else tuple(sorted(set(budget.alerts))),
    )
