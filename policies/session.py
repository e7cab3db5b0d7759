"""Agent sessions: many calls that belong together, with money of their own and escalation after repeated failure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policies.types import Wishes

# The first failure is everyday luck (a cheap model fails on what it was rightly given now and then); a second in a row
# says that the task is harder than it looks.
PATIENCE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Where a session stands.

    Attributes:
        failures: failed steps in a row, as the client or a check reports them.
        budget_nano: its own money, nano-dollars, or None. spent_nano: what it has cost so far, holds included.
    """

    failures: int = 0
    budget_nano: int | None = None
    spent_nano: int = 0


def wishes_in(session: Session, wishes: Wishes) -> Wishes:
    """Wishes within a session: each further failure moves the dial half its way to 1; its money caps each call."""
    extra = max(0, session.failures - PATIENCE)
    quality = wishes.quality + (1.0 - wishes.quality) * (1.0 - 0.5**extra)
    if session.budget_nano is None:
        return replace(wishes, quality=quality)
    left = max(0, session.budget_nano - session.spent_nano)
    ceiling = left if wishes.max_cost_nano is None else min(left, wishes.max_cost_nano)
    return replace(wishes, quality=quality, max_cost_nano=ceiling)
