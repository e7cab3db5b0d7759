"""`/v1/admin/tenants` and `/v1/admin/alerts`: the tenants' money, for the operator's key only."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from router.api.access import gateway_of, json_reply
from router.api.admin import require_admin
from router.tenants.accounts import account_of, summary, told
from router.tenants.alert_words import told as told_alert

MOST_ALERTS = 1000  # of all tenants: a screen of them is read, and a megabyte is enough


async def list_tenants(request: Request) -> Response:
    """All tenants with what they have spent."""
    require_admin(request)
    store = gateway_of(request).store
    rows = [summary(tenant, await store.ledger.standing(tenant.id)) for tenant in await store.directory.tenants()]
    return json_reply({"object": "list", "data": rows})


async def get_tenant(request: Request) -> Response:
    """One tenant's money: budgets with their forecast, alerts, and what the tenants of an organisation spent.

    Raises:
        NotFound: there is no such tenant.
    """
    require_admin(request)
    return json_reply(told(await account_of(gateway_of(request).store, request.path_params["tenant"])))


async def list_alerts(request: Request) -> Response:
    """The alerts of all tenants, the newest first."""
    require_admin(request)
    store = gateway_of(request).store
    found = [alert for tenant in await store.alerts.tenants() for alert in await store.alerts.alerts(tenant)]
    found.sort(key=lambda alert: alert.at, reverse=True)
    return json_reply(
        {
            "object": "list",
            "data": [told_alert(alert) for alert in found[:MOST_ALERTS]],
        }
    )
