"""The pacing price of a request: the stored state of the tenant's budgets, moved on to now. Pure but for its bytes.

The price is worked out afresh for every request from the last stored step; a new step is stored about once a second,
by whichever process comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from policies.budgets import Budget as PolicyBudget
from policies.budgets import purse_of
from policies.pacing import Pace, Target, begin, step
from policies.profile import EVEN, Profile
from policies.types import Purse
from router.store import Budget, Standing

# Requests between two stored steps reckon from the same state, so this is the longest that an error can last.
STORE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """The purse with its pacing price.

    Attributes:
        purse: for the decision. fresh: the state to store now, or None where the stored one is young enough.
    """

    purse: Purse
    fresh: bytes | None


def paced(standing: Standing, stored: bytes, profile: Profile = EVEN) -> Paced:
    """The tenant's purse now.

    Args:
        standing: the budgets as they stand, with the store's clock.
        stored: the state as it was last written, or b"".
        profile: how the tenant's money is meant to be spread over the hours of the week.
    """
    if not standing.budgets:
        return Paced(purse=Purse(), fresh=None)
    before = _load(stored)
    moved = {b.name: _moved(b, before.get(b.name), profile, standing.now) for b in standing.budgets if _is_paced(b)}
    purse = purse_of(_policy_budget(b, moved.get(b.name, Pace()), profile) for b in standing.budgets)
    due = any(name not in before or pace.at_s - before[name].at_s >= STORE_EVERY_S for name, pace in moved.items())
    return Paced(purse=purse, fresh=_dump({**before, **moved}) if due else None)


def _is_paced(budget: Budget) -> bool:
    """A budget that never ends has no window to spread its money over."""
    return budget.ends_at is not None


def _target(budget: Budget, profile: Profile) -> Target:
    ends_at = budget.starts_at if budget.ends_at is None else budget.ends_at
    return Target(limit_nano=budget.limit_nano, start_s=budget.starts_at, end_s=ends_at, profile=profile)


def _moved(budget: Budget, before: Pace | None, profile: Profile, now_s: float) -> Pace:
    target = _target(budget, profile)
    if before is None:
        # A budget that is set in the middle of its window is paced from here on, whatever was spent before it.
        return Pace(spent_nano=budget.spent_nano, at_s=now_s)
    pace = before if before.at_s >= target.start_s else begin(target, before)
    return step(pace, spent_nano=budget.spent_nano + budget.held_nano, target=target, now_s=now_s)


def _policy_budget(budget: Budget, pace: Pace, profile: Profile) -> PolicyBudget:
    return PolicyBudget(
        name=budget.name,
        target=_target(budget, profile),
        spent_nano=budget.spent_nano,
        held_nano=budget.held_nano,
        pace=pace,
    )


def _load(stored: bytes) -> dict[str, Pace]:
    if not stored:
        return {}
    rows: dict[str, tuple[float, int, float]] = orjson.loads(stored)
    return {name: Pace(log_weight=weight, spent_nano=spent, at_s=at) for name, (weight, spent, at) in rows.items()}


def _dump(paces: dict[str, Pace]) -> bytes:
    return orjson.dumps({name: (pace.log_weight, pace.spent_nano, pace.at_s) for name, pace in paces.items()})
