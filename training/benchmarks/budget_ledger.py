"""Who keeps the simulated tenants' money: a double in memory by default, or the gateway's own ledger.

Both keep one rule: after every admission, spent + held <= limit. The double is integers in memory, and quick. The real
one is the Lua in a private server of the gateway's store, with the simulation's clock for the store's; training may
not import the gateway, which offers it under the entry points `rung.ledgers`. Amounts are integers of nano-dollars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

from training.data import DataError

GROUP = "rung.ledgers"
SIMULATED = "simulated"


class TenantsLedger(Protocol):
    """One budget per tenant, who are numbered from 0, all of one window. Requests are numbered by the caller."""

    def standing(self, tenant: int, now_s: float) -> tuple[int, int]:
        """What the tenant has spent and what is held."""
        ...

    def reserve(self, request: int, tenant: int, amount: int, now_s: float) -> bool:
        """Set the worst case aside, or refuse."""
        ...

    def settle(self, request: int, cost: int, now_s: float) -> None:
        """Charge the true cost of what was reserved, and release the rest."""
        ...

    def spent(self) -> tuple[int, ...]:
        """What each tenant has spent."""
        ...

    def close(self) -> None:
        """The window is over."""
        ...


Opener = Callable[[Sequence[int]], TenantsLedger]  # limits per tenant -> the ledger


class SimulatedLedger:
    """The double.

    Args:
        limits: nano-dollars per tenant.
    """

    def __init__(self, limits: Sequence[int]) -> None:
        self._limits = tuple(limits)
        self._spent = [0] * len(self._limits)
        self._held = [0] * len(self._limits)
        self._holds: dict[int, tuple[int, int]] = {}

    def standing(self, tenant: int, now_s: float) -> tuple[int, int]:  # noqa: ARG002 - the real one has a clock
        """What the tenant has spent and what is held."""
        return self._spent[tenant], self._held[tenant]

    def reserve(self, request: int, tenant: int, amount: int, now_s: float) -> bool:  # noqa: ARG002 - likewise
        """Set the worst case aside, or refuse."""
        if self._spent[tenant] + self._held[tenant] + amount > self._limits[tenant]:
            return False
        self._held[tenant] += amount
        self._holds[request] = tenant, amount
        return True

    def settle(self, request: int, cost: int, now_s: float) -> None:  # noqa: ARG002 - likewise
        """Charge the true cost of what was reserved, and release the rest."""
        tenant, amount = self._holds.pop(request)
        self._held[tenant] -= amount
        self._spent[tenant] += cost

    def spent(self) -> tuple[int, ...]:
        """What each tenant has spent."""
        return tuple(self._spent)

    def close(self) -> None:
        """Nothing is left behind."""


def opener(name: str) -> Opener:
    """The ledger of that name.

    Raises:
        DataError: nobody offers it.
    """
    if name == SIMULATED:
        return SimulatedLedger
    offered: dict[str, Any] = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join([SIMULATED, *sorted(offered)])
        raise DataError(f"no ledger is called {name}; there are: {known} (install Rung again if one is missing)")
    return offered[name].load()
