"""The one path of a request.

estimate -> decide -> limits, cache look-up and reserve (one trip to the store)
-> dispatch -> settle, cache and record (one trip, which no cancellation interrupts)

A tenant whose money was not seen a moment ago is looked at first, and its request takes two trips: limits, money and
cache look-up -> estimate -> decide -> reserve.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from policies import errors as refusals
from policies.budgets import Budget, purse_of
from policies.layers import within
from policies.receipt import menu
from policies.types import Decision, Purse
from router import errors
from router.auth import allowed_models, require_model
from router.configuration.ladder import Ladder
from router.configuration.live import Live
from router.decision_log.entry import Logging
from router.dispatch.health import Health
from router.estimation.estimator import Estimator, forecast_of
from router.inputs import Inputs, decided
from router.money.arrivals import Arrivals
from router.money.foresight import Foresight
from router.money.pacing import apart, paced
from router.service.answering import Answering
from router.service.looking import Looking
from router.service.reply import Reply
from router.service.semantics import Semantics
from router.service.shadowing import Shadowing
from router.service.sitting import (
    hold_of_session,
    session_of,
    session_refuses,
    sit_down,
)
from router.service.streaming import EventStream
from router.service.turn import Turn
from router.store import Funds, Hold, Opening, Principal, State, Store, Tenant, Wanted, answer_key, rules
from router.store.flights import Role
from router.telemetry import Metrics
from router.tenants.policy import StrongShares, rules_of
from router.wire.chat import check_chat, unknown_fields
from router.wire.reading import (
    Headers,
    cacheable,
    canonical,
    demand_of,
    extensions_of,
    query_of,
    wishes_of,
)

# What every model takes, or what is not sent to one.
_TAKEN_BY_ALL = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "rung", "user"),
        *("metadata", "reasoning", "reasoning_effort", "thinking", "safety_identifier", "store"),
    }
)
# Answers are shared inside a tenant, and never beyond.
_CACHE_SCOPE = "tenant"


class Service:
    """Serves chat requests. One per process; everything that it uses is handed in."""

    def __init__(
        self,
        *,
        live: Live,
        store: Store,
        estimator: Estimator,
        answering: Answering,
        metrics: Metrics,
        health: Health,
        pepper: bytes,
        logging: bool = False,
        word_runs: bool = True,
        shadowing: Shadowing | None = None,
        looking: Looking | None = None,
        refused: Callable[[str], None] = lambda _tenant: None,
    ) -> None:
        self._live = live
        self._shares = StrongShares()
        self._arrivals = Arrivals()
        self._foresight = Foresight()
        self._store = store
        self._health = health
        self._pepper = pepper
        self.semantics = Semantics(pepper)
        self._shadowing = shadowing
        self.looking = looking
        self._refused = refused
        kept = (False, True) if logging else ()
        self._logging = {keep: Logging(pepper=pepper, keep_text=keep, hash_runs=word_runs) for keep in kept}
        self._estimator = estimator
        self._answering = answering
        self._metrics = metrics

    async def chat(
        self, principal: Principal, body: dict[str, Any], headers: Headers, request_id: str
    ) -> Reply | EventStream:
        """Answer a chat completion request.

        Raises:
            RungError: anything that keeps it from being answered.
        """
        turn = self._read(principal, body, headers, request_id)
        await self._deny_the_unable(turn)
        if turn.near is not None and turn.extensions.cache != "refresh":
            turn.look = self._store.near.look(principal.tenant.id, turn.near)
        decision = await self._foresee(turn)
        opening = await self._open(turn, decision)
        turn.leads = opening.role is Role.LEAD
        if opening.verdict.refused is not None:
            opening.verdict.require()
        turn.limits = opening.verdict.headers()
        try:
            turn.cache = "semantic" if opening.near is not None else turn.cache
            answer = opening.answer or opening.near
            if answer is None and opening.role is Role.FOLLOW:
                answer = await self._follow(turn)
            if answer is not None:
                turn.forget()
                return self._answering.from_cache(turn, answer)
            hold = opening.hold
            if decision is None or hold is None:
                sit_down(turn, opening.session)
                decision = await self._decide(turn, self._purse(turn, opening.funds, opening.pace))
                decision, hold = await self._hold(turn, decision)
        except BaseException as error:
            self._answering.give_back(turn)
            if isinstance(error, errors.BudgetExhausted):
                self._note_refusal(principal)
            raise
        self._shares.count(principal.tenant.id, strong=_is_strong(turn, decision))
        self._arrivals.add(turn.paced, decision)
        if turn.inputs is not None and turn.inputs.purse.past_soft:
            self._metrics.count_past_soft(principal.tenant.id)
        turn.overhead_s = turn.elapsed_s()
        self._metrics.overhead.observe(turn.overhead_s)
        if turn.wants_stream:
            return await self._answering.stream(turn, decision, hold)
        return await self._answering.complete(turn, decision, hold)

    def _note_refusal(self, principal: Principal) -> None:
        for payer in (principal.tenant, principal.organisation):
            if payer is not None:
                self._refused(payer.id)

    async def _foresee(self, turn: Turn) -> Decision | None:
        """The decision by what was just seen of the tenant's money; None where that has to be looked at first."""
        seen = self._foresight.money_of(turn.principal, time.monotonic())
        if not self._foresight.is_new(turn.answer_key) or seen is None or turn.session or turn.look:
            return None
        try:
            decision = await self._at_first_sight(turn, self._purse(turn, seen.funds, seen.pace))
        except errors.RungError:  # the store may say otherwise by now, or have an answer that costs nothing
            turn.forget()
            return None
        if self.looking is not None and self.looking.is_close(turn, decision):
            turn.forget()  # an answer out of the cache shall not wait for a second look
            return None
        self._tell_shadow(turn)
        return decision

    async def _follow(self, turn: Turn) -> bytes | None:
        """The answer of an identical request that is under way, or None where this one has to call after all."""
        key = turn.answer_key
        assert key is not None  # noqa: S101 - only a request with a key follows another
        try:
            look = await self._store.flights.follow(turn.principal.tenant.id, key, turn.id)
        except asyncio.CancelledError:  # the store may have given it the lead all the same
            turn.leads = True
            raise
        turn.leads = look.role is Role.LEAD
        return look.answer

    async def _deny_the_unable(self, turn: Turn) -> None:
        """Leave out the models that would refuse one of the request's parameters; a named model speaks for itself."""
        if turn.demand.model is None and not turn.request.keys() <= _TAKEN_BY_ALL:
            unable = await self._answering.refusing(turn)
            if unable and not unable >= turn.config.ladder.targets.keys() - turn.wishes.deny:
                turn.wishes = replace(turn.wishes, deny=turn.wishes.deny | unable)

    async def _open(self, turn: Turn, decision: Decision | None) -> Opening:
        principal = turn.principal
        wanted = None if decision is None else Wanted(amount_nano=decision.hold_nano, state=_state(turn))
        try:
            opening = await self._store.opening(
                principal.tenant.id,
                request_id=turn.id,
                rules=turn.rules,
                tokens=turn.demand.input_tokens,
                scopes=(principal.scope,),
                cache_key=_readable_key(turn),
                lease_s=turn.config.settings.server.request_timeout_s,
                single_flight=turn.config.settings.cache.single_flight,
                session=turn.session,
                wanted=wanted,
                near=turn.look,
            )
        except asyncio.CancelledError:  # the store takes the places and gives the lead all the same, and answers nobody
            turn.leads = turn.answer_key is not None
            self._answering.give_back(turn)
            raise
        self._foresight.note(principal, opening, time.monotonic())
        return opening

    async def quote(
        self, principal: Principal, body: dict[str, Any], headers: Headers, request_id: str
    ) -> dict[str, Any]:
        """The whole ladder as a priced menu, and what would be chosen; no call is made and nothing is reserved."""
        turn = self._read(principal, body, headers, request_id)
        opening = await self._store.opening(
            principal.tenant.id, request_id=turn.id, scopes=(principal.scope,), session=turn.session
        )
        sit_down(turn, opening.session)
        purse = self._purse(turn, opening.funds, opening.pace)
        return {"object": "rung.route", **menu(await self._decide(turn, purse))}

    def _purse(self, turn: Turn, funds: Funds, pace: tuple[bytes, ...]) -> Purse:
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

    def _read(self, principal: Principal, body: dict[str, Any], headers: Headers, request_id: str) -> Turn:
        """What the request says, within what the key allows."""
        config = self._live.current
        settings, ladder = config.settings, config.ladder
        request = check_chat(body)
        demand = demand_of(request)
        if demand.model is not None:
            _require_known(demand.model, ladder)
            require_model(principal, demand.model, ladder.targets)
        extensions = extensions_of(request, headers)
        unknown = unknown_fields(request)
        own = rules_of(principal.tenant)
        asked = wishes_of(
            request,
            extensions,
            default_quality=settings.quality if own.quality is None else own.quality,
            allow=allowed_models(principal, ladder.targets),
            deny=_refusing(unknown, ladder),
        )
        wishes = within(own.limits, asked)
        turn = Turn(
            config=config,
            principal=principal,
            own=own,
            request=request,
            request_id=request_id,
            extensions=extensions,
            demand=demand,
            wishes=wishes,
            session=session_of(self._pepper, principal, settings, extensions, request),
            rules=rules(("", principal.tenant.limits), (principal.scope, principal.key.limits)),
            logging=self._logging.get(own.log_text),
        )
        cache = settings.cache
        if cache.enabled and extensions.cache != "off" and cacheable(request, unknown, cache.max_temperature):
            turn.cache = "miss"
            question = canonical(request, wishes, ladder.catalog.version)
            turn.answer_key = answer_key(self._pepper, principal.tenant.id, _CACHE_SCOPE, question)
            mode = own.semantic_cache or cache.semantic
            turn.near = None if mode == "off" else self.semantics.question(turn, mode, _CACHE_SCOPE)
        return turn

    async def _decide(self, turn: Turn, purse: Purse) -> Decision:
        decision = await self._at_first_sight(turn, purse)
        if self.looking is not None:
            decision = await self.looking.look(turn, decision)
        self._tell_shadow(turn)
        return decision

    def _tell_shadow(self, turn: Turn) -> None:
        if self._shadowing is not None:
            self._shadowing.consider(turn)

    async def _at_first_sight(self, turn: Turn, purse: Purse) -> Decision:
        """The decision by the first estimate."""
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
        return self._decided(turn, given)

    def _decided(self, turn: Turn, given: Inputs) -> Decision:
        turn.inputs = given
        try:
            turn.decision = decided(turn.config.ladder.catalog, turn.config.policy, given)
        except refusals.PolicyError as error:
            reply = session_refuses(turn, given) or as_reply(error)
            if isinstance(error, refusals.NotReachable):
                reply.retry_after_s = self._health.opens_in_s()
            raise reply from None
        return turn.decision

    async def _hold(self, turn: Turn, decision: Decision) -> tuple[Decision, Hold]:
        """Set a decision's money aside; where others were quicker, that of the decision by what they have left.

        Raises:
            BudgetExhausted: no rung fits into it any more.
        """
        while True:
            try:
                return decision, await self._reserve(turn, decision)
            except errors.BudgetExhausted as short:
                if turn.inputs is None or turn.has_own_money or short.remaining_nano >= decision.hold_nano:
                    raise
                left = replace(turn.inputs.purse, remaining_nano=short.remaining_nano)
                decision = self._decided(turn, replace(turn.inputs, purse=left))  # needs less: so this ends

    async def _reserve(self, turn: Turn, decision: Decision) -> Hold:
        reserving = self._store.ledger.reserve(
            turn.principal.tenant.id,
            turn.id,
            decision.hold_nano,
            scopes=(turn.principal.scope,),
            state=_state(turn),
        )
        if not turn.has_own_money:
            return await reserving
        both = asyncio.ensure_future(
            hold_of_session(self._store, self._answering, turn, asyncio.ensure_future(reserving))
        )
        try:
            return await asyncio.shield(both)
        except asyncio.CancelledError:  # the money is set aside all the same: nothing was bought with it
            both.add_done_callback(lambda _: self._answering.release_session(turn))
            self._answering.release(both)
            raise


def _state(turn: Turn) -> State:
    return State.STREAM if turn.wants_stream else State.CALL


def _is_strong(turn: Turn, decision: Decision) -> bool:
    return decision.chosen.tier == turn.config.ladder.catalog.tiers[-1]


def _require_known(model: str, ladder: Ladder) -> None:
    if model not in ladder.targets:
        known = ", ".join(["auto", *ladder.targets][:20])
        raise errors.ModelNotFound(
            f"There is no model `{model[:100]}` here; there are: {known}. GET /v1/models lists all.",
            param="model",
        )


def _refusing(unknown: list[str], ladder: Ladder) -> frozenset[str]:
    """The models that do not take fields which OpenAI's format does not have.

    Raises:
        InvalidRequest: none takes them.
    """
    if not unknown:
        return frozenset()
    targets = ladder.targets
    refusing = frozenset(name for name, target in targets.items() if not target.extra_params.issuperset(unknown))
    if len(refusing) == len(targets):
        raise errors.InvalidRequest(
            f"`{unknown[0]}` is not a field of OpenAI's chat format, and no model here is configured to take it "
            "(`extra_fields` in rung.yaml); remove it or mend its spelling.",
            param=unknown[0],
        )
    return refusing


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


def _readable_key(turn: Turn) -> str | None:
    """The key under which an answer may be looked up: none where the caller wants a fresh one."""
    return turn.answer_key if turn.extensions.cache != "refresh" else None
