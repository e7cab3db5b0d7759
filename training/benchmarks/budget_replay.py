"""Replaying a window: requests of several tenants on one simulated clock, through the real decisions and admission.

For each request, in the order of arrival:

1. what has finished by now is settled at its true cost;
2. the tenant's price is moved to now (`policies.pacing`, as the gateway does), and its purse is read
   (`policies.budgets`);
3. `policies.decide` chooses, or prices the model that a baseline names;
4. the ledger holds the plan's worst case, or the request is refused, scores 0 and costs nothing.

An answer dearer than its own hold is one that the cap on the wire cuts off: it costs the hold, and scores 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from policies.budgets import Budget, purse_of
from policies.decide import decide
from policies.errors import Unaffordable
from policies.pacing import Pace, Target, begin, step
from policies.profile import EVEN, Profile
from policies.spending import Batch
from policies.types import Decision, Purse, Wishes
from training.benchmarks.budget_ledger import Opener, SimulatedLedger, TenantsLedger
from training.benchmarks.budget_traffic import START_S, WINDOW_S
from training.benchmarks.budget_world import Records, Setup
from training.data import Floats, Integers

# The gateway (`router.money.pacing`) stores a step of the pacing about once a second; between two the state is one.
STORE_EVERY_S = 1.0
SPEND_IT_WELL = Wishes(quality=1.0)  # nothing is given away for cheapness; the pacing alone rations
REFUSED = -1
NO_REQUESTS = Batch()

Names = Callable[[int], Sequence[str | None]]  # query -> models to try in turn; None: the policy chooses


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """n requests in the order of arrival.

    Attributes:
        query: (n,) rows of the records. tenant: (n,) from 0. at: (n,) seconds since the start of the window.
        limits: nano-dollars per tenant.
    """

    query: Integers
    tenant: Integers
    at: Floats
    limits: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What became of the n requests of a window.

    Attributes:
        model: (n,) columns of the records, `REFUSED` where nobody answered. score: (n,).
        cost: (n,) nano-dollars. cut: (n,) whether the answer was cut off by its cap.
        paces: per tenant, where the pacing ended.
        spent: per tenant, nano-dollars, by the ledger.
    """

    model: Integers
    score: Floats
    cost: NDArray[np.int64]
    cut: NDArray[np.bool_]
    paces: tuple[Pace, ...]
    spent: tuple[int, ...]


@dataclass(slots=True)
class _Desk:
    """One tenant's pacing: what is stored, and what it comes to now."""

    target: Target
    stored: Pace
    paced: bool
    now: Pace = field(default_factory=Pace)
    batch: Batch = NO_REQUESTS

    def purse(self, spent: int, held: int, at: float) -> Purse:
        if self.paced:
            due = at - self.stored.at_s >= STORE_EVERY_S
            batch = self.batch if due and self.batch.count else None
            self.now = step(
                self.stored, spent_nano=spent + held, target=self.target, now_s=at, settled_nano=spent, batch=batch
            )
            if due:
                self.stored = self.now
            if batch is not None:
                self.batch = NO_REQUESTS
        budget = Budget(name="simulated", target=self.target, spent_nano=spent, held_nano=held, pace=self.now)
        return purse_of((budget,))


def replay(
    window: Window,
    found: Records,
    setup: Setup,
    names: Names,
    *,
    paces: Sequence[Pace] | None = None,
    profile: Profile = EVEN,
    opened: Opener = SimulatedLedger,
) -> Log:
    """Run a window.

    Args:
        window: the requests.
        found, setup: outcomes and the configured gateway.
        names: which models are asked for.
        paces: per tenant, the pacing at the end of the window before; None: no window came before.
        profile: how the operator means the money to be spread.
        opened: whose ledger keeps the money.
    """
    desks = [
        _Desk(
            target=(target := Target(limit_nano=limit, start_s=START_S, end_s=START_S + WINDOW_S, profile=profile)),
            stored=begin(target, paces[tenant] if paces else None),
            paced=names(0)[0] is None,
        )
        for tenant, limit in enumerate(window.limits)
    ]
    with closing(opened(window.limits)) as ledger:
        return _replayed(window, found, setup, names=names, desks=desks, ledger=ledger)


def _replayed(
    window: Window, found: Records, setup: Setup, *, names: Names, desks: Sequence[_Desk], ledger: TenantsLedger
) -> Log:
    n = len(window.query)
    model, score = np.full(n, REFUSED, np.intp), np.zeros(n)
    cost, cut = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    column = {name: i for i, name in enumerate(found.models)}
    flights: list[tuple[float, int, int]] = []  # end, request, cost
    requests = zip(window.query.tolist(), window.tenant.tolist(), window.at.tolist(), strict=True)
    for i, (query, tenant, at) in enumerate(requests):
        while flights and flights[0][0] <= at:
            end, number, charge = heappop(flights)
            ledger.settle(number, charge, START_S + end)
        now = START_S + at
        decision = _decided(setup, query, names(query), desks[tenant].purse(*ledger.standing(tenant, now), now))
        if decision is not None and desks[tenant].paced:
            desks[tenant].batch = desks[tenant].batch.plus(decision.curve)
        if decision is None or not ledger.reserve(i, tenant, decision.hold_nano, now):
            continue
        call = decision.plan[0]
        model[i] = column[call.model]
        true = int(found.cost[query, model[i]])
        cut[i] = true > call.worst_cost_nano
        cost[i] = min(true, call.worst_cost_nano)
        score[i] = 0.0 if cut[i] else found.score[query, model[i]]
        heappush(flights, (at + decision.chosen.expected_latency_s, i, int(cost[i])))
    for end, number, charge in sorted(flights):
        ledger.settle(number, charge, START_S + end)
    return Log(
        model=model,
        score=score,
        cost=cost,
        cut=cut,
        paces=tuple(desk.now for desk in desks),
        spent=ledger.spent(),
    )


def _decided(setup: Setup, query: int, names: Sequence[str | None], purse: Purse) -> Decision | None:
    for name in names:
        demand = setup.demands[query]
        try:
            return decide(
                catalog=setup.catalog,
                demand=demand if name is None else replace(demand, model=name),
                forecast=setup.forecasts[query],
                wishes=SPEND_IT_WELL,
                purse=purse,
                policy=setup.policy,
            )
        except Unaffordable:
            continue
    return None
