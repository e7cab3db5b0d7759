"""How a request ends in the books: what it cost, its record, its answer for the cache, its places, its session.

Pure: who settles it is the caller's matter.
"""

from __future__ import annotations

import time
from dataclasses import replace

from policies.cost import prices_at
from policies.types import Attempt, Decision
from router.dispatch.course import Course, Lost
from router.dispatch.dispatcher import Trail
from router.money.billing import BYTES_PER_TOKEN, Bill, bill
from router.money.settlement import Ending
from router.service.records import answered, failed
from router.service.sessions import dump, left
from router.service.turn import Turn
from router.store import Answer, Places, Receipt, SessionNote
from router.upstream.tally import Tally
from router.upstream.types import Usage
from router.wire.reading import input_bytes


def bill_of(turn: Turn, attempt: Attempt, usage: Usage, output_bytes: int) -> Bill:
    """What a call of this attempt costs, by the prices of its plan. See `router.money.billing`."""
    model = turn.config.ladder.models[attempt.model]
    prices = attempt.prices or model.prices
    if model.price_rules and usage.input is not None:  # the plan knew a bound of the prompt's length only
        now_s = turn.inputs.now_s if turn.inputs is not None else None
        prices = prices_at(model, input_tokens=usage.input, now_s=now_s)
    sent = 0 if usage.input is not None else input_bytes(turn.request)  # reading it all again is for estimates
    most = attempt.max_tokens * turn.demand.choices * BYTES_PER_TOKEN  # the cap is kept on the wire
    return bill(prices, usage, input_bytes=sent, output_bytes=min(output_bytes, most))


def bill_of_stream(turn: Turn, attempt: Attempt, tally: Tally) -> Bill:
    """What a stream costs, at whatever moment it is left.

    Thinking that is not shown is told with the usage alone, at the end: whoever left before it would have it for
    nothing. So then what was expected of the call is the least.
    """
    charge = bill_of(turn, attempt, tally.usage, tally.output_bytes)
    hidden = tally.usage.output is None and attempt.allowance > 0 and not tally.thinking_chars
    return replace(charge, cost_nano=max(charge.cost_nano, attempt.expected_cost_nano)) if hidden else charge


def cost_of(turn: Turn, lost: Lost) -> int:
    """What a call that nobody has of anything may have cost, nano-dollars."""
    if lost.usage is None:
        return lost.attempt.expected_cost_nano
    return bill_of(turn, lost.attempt, lost.usage, lost.output_bytes).cost_nano


def ending_of(turn: Turn, trail: Trail, charge: Bill, finish: str | None, answer: bytes | None) -> Ending:
    """The end of a request that was answered, in whole or in part; `answer` is the cache's, where it may be kept."""
    used = (charge.usage.input or 0) + (charge.usage.output or 0)
    return Ending(
        session=session_note(turn, charge.cost_nano, trail.attempt.model, charge.usage, finish),
        cost_nano=charge.cost_nano,
        estimated=charge.estimated,
        receipt=as_receipt(turn, answered(turn, trail, charge, finish)),
        answer=landing(turn, None if answer is None else _pack(trail.attempt.model, charge.cost_nano, answer)),
        places=Places(request_id=turn.id, rules=turn.rules, extra_tokens=used - turn.demand.input_tokens),
    )


def given_up(turn: Turn, decision: Decision, error: BaseException, course: Course) -> Ending:
    """The end of a request without an answer: with what its calls may have cost (`course.lost`), as an estimate."""
    last = course.tried[-1].attempt if course.tried else decision.plan[0]
    return Ending(
        cost_nano=course.lost_nano,
        estimated=bool(course.lost),
        receipt=as_receipt(turn, failed(turn, course.current or last, error, course)),
        answer=landing(turn, None),
        places=Places(request_id=turn.id, rules=turn.rules),
        session=session_note(turn, course.lost_nano),
    )


def landing(turn: Turn, content: bytes | None) -> Answer | None:
    """What the cache is told at the end: the answer, if it may be kept, and that nobody need wait any longer."""
    if turn.answer_key is None or (content is None and not turn.leads):
        return None
    return Answer(
        key=turn.answer_key,
        content=content,
        ttl_s=turn.config.settings.cache.ttl_s,
        leader=turn.id if turn.leads else None,
        near=turn.near,
    )


def session_note(
    turn: Turn, cost_nano: int, model: str = "", usage: Usage | None = None, finish: str | None = None
) -> SessionNote | None:
    """What a request leaves of its session; without an answer only its money changes, and its failures."""
    sitting = turn.sitting
    if sitting is None:
        return None
    state = dump(sitting.state) if usage is None else left(sitting.state, model, usage, finish, time.time())
    return SessionNote(
        name=turn.session,
        ttl_s=turn.config.settings.sessions.ttl_s,
        state=state,
        extra_nano=cost_nano - sitting.taken_nano,
    )


def _pack(model: str, cost_nano: int, answer: bytes) -> bytes:
    """An answer as the cache keeps it: after a line with the catalogue's name of who gave it, and what it cost."""
    return f"{model} {cost_nano}\n".encode() + answer


def unpack(kept: bytes) -> tuple[str, int, bytes]:
    """Who gave an answer that was kept, what it cost (nano-dollars), and the answer."""
    head, _, answer = kept.partition(b"\n")
    model, _, cost_nano = head.decode().partition(" ")  # answers of an earlier version name no cost
    return model, int(cost_nano or 0), answer


def as_receipt(turn: Turn, content: bytes) -> Receipt:
    """A request's record, as the store takes it."""
    return Receipt(decision_id=turn.id, content=content, attachment=turn.reading)


def places_back(turn: Turn) -> Places:
    """The places of a request that makes no call, with the tokens that it was thought to take."""
    return Places(request_id=turn.id, rules=turn.rules, extra_tokens=-turn.demand.input_tokens)
