"""`GET /v1/decisions/{id}`: the receipt of a decision, for the tenant whose it is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from router.api.access import gateway_of, principal_of


async def get_decision(request: Request) -> Response:
    """The receipt, as it was recorded. Raises NotFound, also for another tenant's."""
    principal = await principal_of(request)
    store = gateway_of(request).store
    record = await store.decisions.get(principal.tenant.id, str(request.path_params["decision_id"]))
    return Response(record, media_type="application/json")
