"""The pacing price of a request: the stored state of the tenant's budgets, moved on to now. Pure but for its bytes.

The price is worked out afresh for every request from the last stored step; a new step is stored about once a second,
by whichever process comes first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from policies.budgets import Budget as PolicyBudget
from policies.budgets import exhausted_at, purse_of
from policies.pacing import Pace, Target, begin, step
from policies.profile import EVEN, Profile
from policies.spending import Batch, Memory, Spending
from policies.types import Purse
from router.store import Budget, Funds

# Requests between two stored steps reckon from the same state, so this is the longest that an error can last.
STORE_EVERY_S = 1.0


Take = Callable[[tuple[str, ...]], Mapping[str, Batch]]


def _nothing(_budgets: tuple[str, ...]) -> Mapping[str, Batch]:
    return {}


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Paced:
    """The purse with its pacing price.

    Attributes:
        fresh: the state to store now, or None where the stored one is young enough.
        all: every budget as the policy reads it.
        budgets: the names of those that are paced, in the books that they belong to.
        counted: the requests that `fresh` counts in.
    """

    fresh: bytes | None
    all: tuple[PolicyBudget, ...] = ()
    budgets: tuple[str, ...] = ()
    counted: Mapping[str, Batch] = field(default_factory=dict[str, Batch])

    @property
    def purse(self) -> Purse:
        """What these budgets leave a request."""
        return purse_of(self.all)


def paced(funds: Funds, stored: bytes, profile: Profile = EVEN, take: Take = _nothing) -> Paced:
    """The pacing of one set of books, the tenant's or its organisation's, moved on to now.

    Args:
        funds: the budgets as they stand, with the store's clock.
        stored: the state as it was last written, or b"".
        profile: how the tenant's money is meant to be spread over the hours of the week.
        take: hands over the requests of some budgets that were not counted in yet; asked when a step is due.
    """
    if not funds.budgets:
        return Paced(fresh=None)
    before = _load(stored)
    budgets = [b for b in funds.budgets if _is_paced(b)]
    names = tuple([b.own_name for b in budgets])
    due = any(name not in before or funds.now - before[name].at_s >= STORE_EVERY_S for name in names)
    counted = take(names) if due else {}
    moved = {
        name: _moved(b, before.get(name), profile, funds.now, counted.get(name))
        for name, b in zip(names, budgets, strict=True)
    }
    read = tuple([_policy_budget(b, moved.get(b.own_name, Pace()), profile) for b in funds.budgets])
    fresh = _dump({**before, **moved}) if due else None
    return Paced(fresh=fresh, all=read, budgets=names, counted=counted)


def apart(funds: Funds) -> tuple[Funds, Funds]:
    """The tenant's own budgets, and its organisation's."""
    own = tuple([b for b in funds.budgets if not b.of_organisation])
    above = tuple([b for b in funds.budgets if b.of_organisation])
    return replace(funds, budgets=own), replace(funds, budgets=above)


def lasts_until(budget: Budget, now_s: float, profile: Profile = EVEN) -> float | None:
    """When the budget's money will be gone if spending goes on as it has, seconds since the epoch; None if it lasts."""
    if not _is_paced(budget):
        return None
    return exhausted_at(_policy_budget(budget, Pace(), profile), now_s)


def _is_paced(budget: Budget) -> bool:
    """A budget that never ends has no window to spread its money over."""
    return budget.ends_at is not None


def _target(budget: Budget, profile: Profile) -> Target:
    ends_at = budget.starts_at if budget.ends_at is None else budget.ends_at
    return Target(limit_nano=budget.limit_nano, start_s=budget.starts_at, end_s=ends_at, profile=profile)


def _moved(budget: Budget, before: Pace | None, profile: Profile, now_s: float, batch: Batch | None) -> Pace:
    target = _target(budget, profile)
    if before is None:
        # A budget that is set in the middle of its window is paced from here on, whatever was spent before it.
        return Pace(spent_nano=budget.spent_nano, at_s=now_s, settled_nano=budget.spent_nano)
    pace = before if before.at_s >= target.start_s else begin(target, before)
    return step(
        pace,
        spent_nano=budget.spent_nano + budget.held_nano,
        target=target,
        now_s=now_s,
        settled_nano=budget.spent_nano,
        batch=batch,
    )


def _policy_budget(budget: Budget, pace: Pace, profile: Profile) -> PolicyBudget:
    return PolicyBudget(
        name=budget.name,
        target=_target(budget, profile),
        spent_nano=budget.spent_nano,
        held_nano=budget.held_nano,
        pace=pace,
        soft=budget.soft,
    )


@functools.lru_cache(maxsize=4096)  # between two stored steps every request reads the same bytes
def _load(stored: bytes) -> dict[str, Pace]:
    if not stored:
        return {}
    rows: dict[str, Any] = orjson.loads(stored)
    return {name: _pace(*row) for name, row in rows.items()}


def _pace(weight: float, spent: int, at: float, settled: int | None = None, known: Any = None) -> Pace:  # noqa: ANN401 - parsed
    """A stored step; before there was `policies.spending`, it ended with its time."""
    spending = None
    if known is not None:
        arrived, before, skipped, *memories = known
        long, short = (
            Memory(count=count, expected=expected, spent=paid, costs=tuple(costs))
            for count, expected, paid, *costs in memories
        )
        spending = Spending(arrived=arrived, before=before, skipped=skipped, long=long, short=short)
    settled_nano = spent if settled is None else settled
    return Pace(log_weight=weight, spent_nano=spent, at_s=at, settled_nano=settled_nano, spending=spending)


def _dump(paces: dict[str, Pace]) -> bytes:
    return orjson.dumps({name: _row(pace) for name, pace in paces.items()})


def _row(pace: Pace) -> tuple[object, ...]:
    known = pace.spending
    row = (pace.log_weight, pace.spent_nano, pace.at_s, pace.settled_nano)
    if known is None:
        return (*row, None)
    memories = [(m.count, m.expected, m.spent, *map(round, m.costs)) for m in (known.long, known.short)]
    return (*row, (known.arrived, known.before, known.skipped, *memories))
