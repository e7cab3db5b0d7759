"""The receipt of a decision for who asks for it, also where it follows its reply: waited for, for half a second.

A reply leaves before its receipt is kept. The process that answered finds it all the same, since the store is told in
order; another one may be asked first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from router.errors import NotFound
from router.service.turn import begun_at_s
from router.store import DecisionStream

# Keeping it takes milliseconds, or what a machine that stands still takes.
LOOK_AGAIN_AFTER_S = (0.02, 0.08, 0.4)
LONGEST_REQUEST_S = 3600.0  # an older decision's receipt is not on its way any more


async def receipt_of(decisions: DecisionStream, tenant: str, decision_id: str) -> bytes:
    """A tenant's receipt.

    Raises:
        NotFound: the tenant has none of this id; another tenant's looks the same.
        StoreUnavailable: the store is away.
    """
    for pause_s in LOOK_AGAIN_AFTER_S if _may_be_on_its_way(decision_id) else ():
        with contextlib.suppress(NotFound):
            return await decisions.get(tenant, decision_id)
        await asyncio.sleep(pause_s)
    return await decisions.get(tenant, decision_id)


def _may_be_on_its_way(decision_id: str) -> bool:
    begun = begun_at_s(decision_id)
    return begun is not None and abs(time.time() - begun) < LONGEST_REQUEST_S
