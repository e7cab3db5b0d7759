"""What a request's query is judged to be, what its payer can spend on it, and the decision over both.

Counts what was decided: the strong tier's share, and what the requests would have cost at other prices of money.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from policies import errors as refusals
from policies.budgets import Budget, purse_of
from policies.types import Decision, Purse
from router import errors
from router.dispatch.health import Health
from router.estimation.estimator import Estimator, forecast_of
from router.inputs import Inputs, decided
from router.money.arrivals import Arrivals
from router.money.pacing import apart, paced
from router.service.answering import Answering
from router.service.looking import Looking
from router.service.shadowing import Shadowing
from router.service.sitting import session_refuses
from router.service.turn import Turn
from router.store import Funds, Tenant
from router.telemetry import Metrics
from router.tenants.policy import StrongShares, rules_of
from router.wire.reading import query_of


class Deciding:
    """Decides requests. One per process.

    Args:
        estimator: judges queries. health: which models are kept away from. metrics: what is counted.
        answering: knows how fast models have been, and stores the steps of pacing.
        shadowing: is told what was decided. looking: decides close ones again.
    """

    def __init__(
        self,
        *,
        estimator: Estimator,
        health: Health,
        metrics: Metrics,
        answering: Answering,
        shadowing: Shadowing | None = None,
        looking: Looking | None = None,
    ) -> None:
        self._looking = looking
        self._shares = StrongShares()
        self._arrivals = Arrivals()
        self._estimator = estimator
        self._health = health
        self._metrics = metrics
        self._answering = answering
        self._shadowing = shadowing

    def purse(self, turn: Turn, funds: Funds, pace: tuple[bytes, ...]) -> Purse:
        """The tenant's money with its pacing price; a step of the pacing that is due is stored on the way."""
        tenant, organisation = turn.principal.tenant, turn.principal.organisation
        turn.paced = ()
        if organisation is None:
            return purse_of(self._pace(turn, tenant, funds, pace[0]))
        own, above = apart(funds)
        return purse_of(
            (*self._pace(turn, tenant, own, pace[0]), *self._pace(turn, organisation, above, pace[1])),
        )

    def _pace(self, turn: Turn, payer: Tenant, funds: Funds, pace: bytes) -> tuple[Budget, ...]:
        """The payer's budgets with their prices now."""
        rules = turn.own if payer is turn.principal.tenant else rules_of(payer)
        now = paced(funds, pace, rules.profile, partial(self._arrivals.take, payer.id))
        turn.paced += ((payer.id, now.budgets),)
        if now.fresh is not None:
            lost = partial(self._arrivals.put_back, payer.id, now.counted)
            self._answering.keep_pace(payer.id, before=pace, after=now.fresh, lost=lost)
        return now.all

    async def decide(self, turn: Turn, purse: Purse) -> Decision:
        """The decision, by a second look where the first leaves it close. Raises RungError."""
        decision = await self.at_first_sight(turn, purse)
        if self._looking is not None:
            decision = await self._looking.look(turn, decision)
        self.tell_shadow(turn)
        return decision

    def tell_shadow(self, turn: Turn) -> None:
        """A decision stands: the shadow may judge it."""
        if self._shadowing is not None:
            self._shadowing.consider(turn)

    def is_close(self, turn: Turn, decision: Decision) -> bool:
        """Whether a second look would be taken at this decision."""
        return self._looking is not None and self._looking.is_close(turn, decision)

    async def at_first_sight(self, turn: Turn, purse: Purse) -> Decision:
        """The decision by the first estimate. Raises RungError."""
        who = turn.extensions.session_id or turn.id
        estimate = await self._estimator.estimate(query_of(turn.request), turn.principal.tenant.id, who)
        if estimate is None:
            self._metrics.defaulted.inc()
        elif turn.logging is not None:
            turn.reading = estimate.reading
        catalog = turn.config.ladder.catalog
        barred = self._shares.barred(turn.principal.tenant.id, turn.own.strong_share, catalog.tiers)
        turn.wishes = replace(turn.wishes, barred_tiers=turn.wishes.barred_tiers | barred) if barred else turn.wishes
        turn.estimate, turn.forecast = estimate, forecast_of(estimate, turn.config.ladder.models)
        if turn.wishes.max_latency_s is not None:
            slowness = self._answering.speeds.slowness(turn.config.ladder.models)
            turn.demand = replace(turn.demand, slowness=slowness) if slowness else turn.demand
        given = Inputs(
            demand=turn.demand,
            forecast=turn.forecast,
            wishes=turn.wishes,
            purse=purse,
            draw=random.random() if turn.wishes.explore > 0 else None,  # noqa: S311 - not a secret
            now_s=time.time(),
            down=self._health.down(),
        )
        return self.again(turn, given)

    def again(self, turn: Turn, given: Inputs) -> Decision:
        """The decision over these inputs. Raises RungError."""
        turn.inputs = given
        try:
            turn.decision = decided(turn.config.ladder.catalog, turn.config.policy, given)
        except refusals.PolicyError as error:
            reply = session_refuses(turn, given) or as_reply(error)
            if isinstance(error, refusals.NotReachable):
                reply.retry_after_s = self._health.opens_in_s()
            raise reply from None
        return turn.decision

    def count(self, turn: Turn, decision: Decision) -> None:
        """A decision is carried out: it counts for the strong tier's share and for the price of money."""
        self._shares.count(turn.principal.tenant.id, strong=_is_strong(turn, decision))
        self._arrivals.add(turn.paced, decision)
        if turn.inputs is not None and turn.inputs.purse.past_soft:
            self._metrics.count_past_soft(turn.principal.tenant.id)


def _is_strong(turn: Turn, decision: Decision) -> bool:
    return decision.chosen.tier == turn.config.ladder.catalog.tiers[-1]


_REPLIES: dict[type[refusals.PolicyError], Callable[[str], errors.RungError]] = {
    refusals.UnknownModel: lambda words: errors.ModelNotFound(words, param="model"),
    refusals.ModelDenied: lambda words: errors.Forbidden(words, param="model"),
    refusals.TooLong: lambda words: errors.ContextTooLong(words, param="messages"),
    refusals.NoCandidate: errors.NothingFits,
    refusals.NotReachable: errors.NotAvailable,
    refusals.NoPrice: errors.NotPriced,
}


def as_reply(error: refusals.PolicyError) -> errors.RungError:
    """The client's error for a refusal of the policy's."""
    if isinstance(error, refusals.Unaffordable):
        return errors.BudgetExhausted(str(error), needed_nano=error.needed_nano, remaining_nano=error.remaining_nano)
    make = _REPLIES.get(type(error), errors.RungError)
    return make(str(error))
