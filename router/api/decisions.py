"""`GET /v1/decisions/{id}`: the receipt of a decision, for the tenant whose it is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from router.api.access import gateway_of, json_reply, principal_of
from router.service.receipts import receipt_of
from router.service.records import rules_id_of, told


async def get_decision(request: Request) -> Response:
    """The receipt, as it was recorded. Raises NotFound, also for another tenant's."""
    principal = await principal_of(request)
    store = gateway_of(request).store
    stored = await receipt_of(store.decisions, principal.tenant.id, str(request.path_params["decision_id"]))
    return json_reply(told(stored, await store.decisions.rules(rules_id_of(stored))))
