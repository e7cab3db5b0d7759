"""A request's place in its session: what the session says of the decision, and its own money beside the tenant's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from policies.cost import usd
from policies.errors import PolicyError
from policies.session import Session, wishes_in
from policies.types import NANO_PER_USD
from router.configuration.settings import Settings
from router.errors import BudgetExhausted
from router.inputs import Inputs, decided
from router.service.sessions import Sitting, entered, name_of
from router.service.turn import Turn
from router.store import Hold, Principal, Store, StoredSession
from router.tenants.policy import rules_of
from router.wire.reading import Extensions


class Releases(Protocol):
    """Gives back what was set aside for a call that is not made."""

    def release(self, reserving: asyncio.Future[Hold]) -> None:
        """The tenant's money."""
        ...

    def release_session(self, turn: Turn) -> None:
        """The session's."""
        ...


def session_of(
    pepper: bytes, principal: Principal, settings: Settings, extensions: Extensions, request: Mapping[str, Any]
) -> str:
    """The name of the request's session in the store, or "" where it belongs to none."""
    if extensions.session_id is None and not settings.sessions.detect:
        return ""
    return name_of(pepper, principal.key.id, extensions.session_id, request)


def sit_down(turn: Turn, stored: StoredSession) -> None:
    """Let the request's session have its say: its money, its failures, and what is cached where."""
    if not turn.session:
        return
    own, asked = rules_of(turn.principal.tenant).session_budget_nano, turn.extensions.session_budget_usd
    budgets = [nano for nano in (own, None if asked is None else round(asked * NANO_PER_USD)) if nano is not None]
    state = entered(stored.state, stored.spent_nano, min(budgets, default=None), turn.request)
    turn.sitting = Sitting(state=state)
    turn.wishes = wishes_in(state, turn.wishes)
    cached = state.cached_at(time.time())
    if cached:
        turn.demand = replace(turn.demand, cached=cached)


async def hold_of_session(store: Store, releases: Releases, turn: Turn, reserving: asyncio.Future[Hold]) -> Hold:
    """The hold that is being made, counted against the session's own budget at the same moment.

    Raises:
        BudgetExhausted: the session has not so much left; then nothing is held.
    """
    sitting, decision = turn.sitting, turn.decision
    assert sitting is not None  # noqa: S101 - asked for by `Turn.has_own_money`
    assert decision is not None  # noqa: S101 - money is held for decided requests alone
    taking = store.sessions.take(
        turn.principal.tenant.id,
        turn.session,
        decision.hold_nano,
        budget_nano=sitting.state.budget_nano or 0,
        ttl_s=turn.config.settings.sessions.ttl_s,
    )
    hold, taken = await asyncio.gather(reserving, taking, return_exceptions=True)
    sitting.taken_nano = decision.hold_nano if taken is True else 0
    if isinstance(hold, BaseException):
        releases.release_session(turn)
        raise hold
    if taken is not True:
        releases.release(reserving)
        raise taken if isinstance(taken, BaseException) else exhausted(sitting.state)
    return hold


def session_refuses(turn: Turn, given: Inputs) -> BudgetExhausted | None:
    """The refusal, where more money in the session would have found a rung."""
    state = turn.sitting.state if turn.sitting is not None else None
    if state is None or state.left_nano is None or given.wishes.max_cost_nano != state.left_nano:
        return None
    config = turn.config
    try:
        decided(config.ladder.catalog, config.policy, replace(given, wishes=replace(given.wishes, max_cost_nano=None)))
    except PolicyError:
        return None
    return exhausted(state)


def exhausted(state: Session) -> BudgetExhausted:
    """The client's error where a session has used up its own money."""
    budget, remaining = state.budget_nano or 0, state.left_nano or 0
    return BudgetExhausted(
        f"This session has ${usd(remaining)} of its ${usd(budget)} left, which covers no rung that may serve this. "
        "Raise `rung.session_budget_usd` (or the tenant's), begin a new session, or lower max_tokens.",
        remaining_nano=remaining,
    )
