"""What this process' requests would have cost at other prices of money, until the tenant's pacing counts them in.

Working that out takes some 20 microseconds: after the first few since the last count, one request stands for several.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from policies.spending import NONE, Batch
from policies.types import Decision

FIRST = 8  # looked at each
EVERY = 4  # ... and of those that follow every so many
MAX_BUDGETS = 20_000  # half a kilobyte each; what is forgotten of an idle one is a few requests


@dataclass(slots=True)
class _Tally:
    count: int = 0
    seen: int = 0
    costs: list[float] = field(default_factory=lambda: list(NONE))
    expected: float = 0.0

    def add(self, decision: Decision) -> None:
        self.count += 1
        if self.count > FIRST and self.count % EVERY:
            return
        curve = decision.curve
        self.seen += 1
        self.expected += curve.now
        self.costs = [a + b for a, b in zip(self.costs, curve.costs, strict=True)]

    def as_batch(self) -> Batch:
        scale = self.count / self.seen
        costs = tuple([cost * scale for cost in self.costs])
        return Batch(count=self.count, costs=costs, expected=self.expected * scale)


class Arrivals:
    """The decided requests of each budget that were not counted in yet. One per process."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[tuple[str, str], _Tally] = OrderedDict()

    def add(self, paid_by: Iterable[tuple[str, Iterable[str]]], decision: Decision) -> None:
        """One more request, which these budgets of these tenants pay."""
        for tenant, budget in [(tenant, budget) for tenant, budgets in paid_by for budget in budgets]:
            tally = self._tallies.get((tenant, budget))
            if tally is None:
                tally = self._tallies[tenant, budget] = _Tally()
                if len(self._tallies) > MAX_BUDGETS:
                    self._tallies.popitem(last=False)
            tally.add(decision)

    def take(self, tenant: str, budgets: Iterable[str]) -> dict[str, Batch]:
        """The requests of these budgets, to be counted in by the caller."""
        taken = {budget: self._tallies.pop((tenant, budget), None) for budget in budgets}
        return {budget: tally.as_batch() for budget, tally in taken.items() if tally is not None}

    def put_back(self, tenant: str, batches: Mapping[str, Batch]) -> None:
        """Requests that were not counted in after all, because another process was quicker."""
        for budget, batch in batches.items():
            tally = self._tallies.setdefault((tenant, budget), _Tally())
            scale = tally.count / tally.seen if tally.seen else 1.0
            tally.costs = [a * scale + b for a, b in zip(tally.costs, batch.costs, strict=True)]
            tally.expected = tally.expected * scale + batch.expected
            tally.count = tally.seen = tally.count + round(batch.count)
