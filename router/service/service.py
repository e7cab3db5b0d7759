"""The one path of a request.

estimate -> decide -> limits, cache look-up and reserve (one trip to the store)
-> dispatch -> settle, cache and record (one trip, which no cancellation interrupts)

A tenant whose money was not seen a moment ago is looked at first, and its request takes two trips: limits, money and
cache look-up -> estimate -> decide -> reserve.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from policies.receipt import menu
from policies.types import Decision
from router import errors
from router.money.foresight import Foresight
from router.service.answering import Answering
from router.service.deciding import Deciding
from router.service.intake import Intake
from router.service.reply import Reply
from router.service.sitting import hold_of_session, sit_down
from router.service.streaming import EventStream
from router.service.turn import Turn
from router.store import Hold, Opening, Principal, State, Store, Wanted
from router.store.flights import Role
from router.telemetry import Metrics
from router.wire.reading import Headers

# What every model takes, or what is not sent to one.
_TAKEN_BY_ALL = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "rung", "user"),
        *("metadata", "reasoning", "reasoning_effort", "thinking", "safety_identifier", "store"),
    }
)


class Service:
    """Serves chat requests. One per process; everything that it uses is handed in."""

    def __init__(
        self,
        *,
        store: Store,
        intake: Intake,
        deciding: Deciding,
        answering: Answering,
        metrics: Metrics,
        refused: Callable[[str], None] = lambda _tenant: None,
    ) -> None:
        self._store = store
        self._intake = intake
        self._deciding = deciding
        self._answering = answering
        self._metrics = metrics
        self._refused = refused
        self._foresight = Foresight()

    async def chat(
        self, principal: Principal, body: dict[str, Any], headers: Headers, request_id: str
    ) -> Reply | EventStream:
        """Answer a chat completion request.

        Raises:
            RungError: anything that keeps it from being answered.
        """
        turn = self._intake.read(principal, body, headers, request_id)
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
                decision = await self._deciding.decide(turn, self._deciding.purse(turn, opening.funds, opening.pace))
                decision, hold = await self._hold(turn, decision)
        except BaseException as error:
            self._answering.give_back(turn)
            if isinstance(error, errors.BudgetExhausted):
                self._note_refusal(principal)
            raise
        self._deciding.count(turn, decision)
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
            decision = await self._deciding.at_first_sight(turn, self._deciding.purse(turn, seen.funds, seen.pace))
        except errors.RungError:  # the store may say otherwise by now, or have an answer that costs nothing
            turn.forget()
            return None
        if self._deciding.is_close(turn, decision):
            turn.forget()  # an answer out of the cache shall not wait for a second look
            return None
        self._deciding.tell_shadow(turn)
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
        turn = self._intake.read(principal, body, headers, request_id)
        opening = await self._store.opening(
            principal.tenant.id, request_id=turn.id, scopes=(principal.scope,), session=turn.session
        )
        sit_down(turn, opening.session)
        purse = self._deciding.purse(turn, opening.funds, opening.pace)
        return {"object": "rung.route", **menu(await self._deciding.decide(turn, purse))}

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
                decision = self._deciding.again(turn, replace(turn.inputs, purse=left))  # needs less: so this ends

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


def _readable_key(turn: Turn) -> str | None:
    """The key under which an answer may be looked up: none where the caller wants a fresh one."""
    return turn.answer_key if turn.extensions.cache != "refresh" else None
