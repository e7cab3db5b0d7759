"""A double of the ledger's one rule, in memory: after every admission, spent + held <= limit.

The real ledger is Lua in the gateway's store, which training may not import; `tests/router/store` holds it to the same
rule. Amounts are integers of nano-dollars.
"""

from __future__ import annotations

from collections.abc import Sequence


class SimulatedLedger:
    """One budget per tenant, all of one window.

    Args:
        limits: nano-dollars per tenant, who are numbered from 0.

    Attributes:
        spent, held: nano-dollars per tenant.
    """

    def __init__(self, limits: Sequence[int]) -> None:
        self.limits = tuple(limits)
        self.spent = [0] * len(self.limits)
        self.held = [0] * len(self.limits)

    def reserve(self, tenant: int, amount: int) -> bool:
        """Set the worst case aside, or refuse."""
        if self.spent[tenant] + self.held[tenant] + amount > self.limits[tenant]:
            return False
        self.held[tenant] += amount
        return True

    def settle(self, tenant: int, amount: int, cost: int) -> None:
        """Charge the true cost of what was reserved, and release the rest."""
        self.held[tenant] -= amount
        self.spent[tenant] += cost
