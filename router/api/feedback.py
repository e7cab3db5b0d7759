"""`POST /v1/feedback`: what became of an answer, told by whoever may know; late, and as often as it takes."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from router.api.access import gateway_of, json_object, json_reply, principal_of
from router.errors import IdempotencyMismatch
from router.outcomes.feedback import MAX_BODY_BYTES, check_feedback, outcomes_of
from router.outcomes.outcome import RELIABILITY, reliability
from router.service.receipts import receipt_of
from router.store import FEEDBACK, Taken
from router.tenants.policy import rules_of
from router.wire.idempotency import check_idempotency_key

_RESULTS = {Taken.NEW: "recorded", Taken.AGAIN: "repeated", Taken.REFUSED: "refused"}


async def feedback(request: Request) -> Response:
    """Take feedback on a decision of the key's tenant.

    Raises:
        NotFound: the tenant has no such decision (any more). IdempotencyMismatch: the key was used for other words.
        InvalidRequest: the body is wrong.
    """
    gateway, principal = gateway_of(request), await principal_of(request, FEEDBACK)
    headers: dict[bytes, bytes] = dict(request.scope["headers"])
    given = headers.get(b"idempotency-key")
    named = None if given is None else check_idempotency_key(given)
    said = check_feedback(await json_object(request, max_bytes=MAX_BODY_BYTES))
    # Another tenant's is not found either.
    await receipt_of(gateway.store.decisions, principal.tenant.id, said.decision_id)
    declared = gateway.settings.log.reliability
    told = outcomes_of(
        said,
        tenant=principal.tenant.id,
        key=principal.key.id,
        idempotency_key=named,
        reliability={source: reliability(source, declared) for source in RELIABILITY},
        keep_text=rules_of(principal.tenant).log_text,
        created=time.time(),
    )
    results: list[Taken] = []
    for one in told:
        taken = await gateway.store.outcomes.add(
            one.tenant, one.outcome_id, one.says, one.dump(), strict=named is not None
        )
        gateway.metrics.outcomes.labels(one.source, _RESULTS[taken]).inc()
        if taken is Taken.REFUSED:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used with other feedback; take a new one.", param="idempotency-key"
            )
        results.append(taken)
    return json_reply(
        {
            "object": "rung.feedback",
            "decision_id": said.decision_id,
            "outcomes": [
                {"id": one.outcome_id, "source": one.source, "value": one.value, "status": _RESULTS[taken]}
                for one, taken in zip(told, results, strict=True)
            ],
        }
    )
