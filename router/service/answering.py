"""From a hold to a reply: runs the plan, relays the answer, and settles the books however it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import orjson

from policies.candidates import room
from policies.receipt import receipt
from policies.types import Attempt, Decision
from router.configuration.serving import HedgingSettings
from router.dispatch.course import Course, Lost
from router.dispatch.dispatcher import Dispatcher, Opened, Trail
from router.dispatch.hedging import Terms
from router.dispatch.speeds import Speeds
from router.errors import DRAINING, Draining, RungError, UpstreamError
from router.money.billing import Bill, with_lost
from router.money.settlement import Ending, Settler
from router.outcomes.aftermath import MAX_STREAM_BYTES, Aftermath, Answered
from router.service.ending import (
    as_receipt,
    bill_of,
    bill_of_stream,
    cost_of,
    ending_of,
    given_up,
    landing,
    places_back,
    session_note,
    unpack,
)
from router.service.records import remembered
from router.service.reply import Reply
from router.service.streaming import DONE, EventStream, frame
from router.service.turn import Turn, reply_headers, saved_header
from router.store import Hold, Places
from router.store.savings import Saving
from router.telemetry import Metrics
from router.upstream.tally import Tally
from router.upstream.types import Usage
from router.wire.errors import as_sse
from router.wire.replay import Recorder, chunks_of, completion_with, worth_keeping
from router.wire.thinking import carries_thinking, without_thinking

# Stands where a tier's name would, when no model was called.
CACHED_TIER = "cache"
# Ends a stream that this process must leave: an error, so that nobody takes the answer for whole.
_FAREWELL = as_sse(Draining(DRAINING))

log = logging.getLogger("rung.answering")

T = TypeVar("T")


class Answering:
    """Answers decided requests. One per process.

    Attributes:
        speeds: how fast models have been.
    """

    def __init__(
        self, *, dispatcher: Dispatcher, settler: Settler, metrics: Metrics, aftermath: Aftermath | None = None
    ) -> None:
        self._dispatcher = dispatcher
        self._aftermath = aftermath
        self._settler = settler
        self._metrics = metrics
        self.speeds = Speeds()

    def from_cache(self, turn: Turn, answer: bytes) -> Reply | EventStream:
        """The answer to an equal request, or to a question that asks the same (`turn.cache` says so), at no cost."""
        turn.cache = "semantic" if turn.cache == "semantic" else "hit"
        turn.overhead_s = turn.elapsed_s()
        model, saved_nano, answer = unpack(answer)
        completion = orjson.loads(answer)
        tenant = turn.principal.tenant.id
        self._metrics.remembered(cache=turn.cache, tenant=tenant, saved_nano=saved_nano)
        saving = Saving(kind=turn.cache, nano=saved_nano, month=time.strftime("%Y-%m", time.gmtime()))
        receipt = as_receipt(turn, remembered(turn, model, saved_nano))
        self._settler.note(tenant, receipt, places_back(turn), landing(turn, None), saving)
        headers = reply_headers(turn, model=model, tier=CACHED_TIER, attempts=0, allowance=0, cost_nano=0)
        headers |= saved_header(saved_nano)
        if turn.wants_stream:
            return EventStream(_replayed(turn, completion), headers, farewell=_FAREWELL)
        if turn.extensions.explain:
            answer = completion_with(answer, {"decision_id": turn.id, "cache": turn.cache})
        return Reply(body=answer, headers=headers)

    async def refusing(self, turn: Turn) -> frozenset[str]:
        """The models that would refuse one of the request's parameters."""
        return await self._dispatcher.refusing(turn.config.ladder.targets, turn.request)

    def give_back(self, turn: Turn) -> None:
        """Free the places that the limits gave to a request which makes no call."""
        if turn.rules or turn.leads:
            self._settler.note(turn.principal.tenant.id, None, places_back(turn), landing(turn, None))

    def land(self, turn: Turn) -> None:
        """Let the requests that wait for this one's answer go on by themselves."""
        if turn.leads:
            self._settler.note(
                turn.principal.tenant.id, None, Places(request_id=turn.id, rules=()), landing(turn, None)
            )

    def release(self, reserving: Awaitable[Hold]) -> None:
        """Release a hold that is being made for a request whose client has gone: no call was made."""
        self._settler.release(reserving)

    def keep_pace(self, payer: str, *, before: bytes, after: bytes, lost: Callable[[], None]) -> None:
        """Store a step of a tenant's pacing, beside the request; `lost` is told where it was not stored."""
        self._settler.keep_pace(payer, before=before, after=after, lost=lost)

    async def complete(self, turn: Turn, decision: Decision, hold: Hold) -> Reply:
        """The whole answer.

        Raises:
            UpstreamError: no attempt of the plan succeeded; what it may have cost is booked.
        """
        self._settler.watch(hold, lambda: hold.amount_nano)
        course, began = self._course(turn, hold), time.monotonic()
        served = await self._dispatched(self._dispatcher.complete, turn, decision, hold, course)
        reply, trail = served.reply, served.trail
        self._note_speed(turn, trail, reply.usage, began)
        charge = with_lost(bill_of(turn, trail.attempt, reply.usage, reply.output_bytes), trail.lost_nano)
        keep = turn.answer_key is not None and worth_keeping(reply.body, reply.finish_reason)
        answer, finish = reply.body if keep else None, reply.finish_reason
        self._settler.end_soon(hold, lambda: self._ending(turn, trail, charge, finish, answer), trail.spare)
        self._look_back(turn, trail.attempt, reply.body)
        body = reply.body
        if turn.extensions.explain:
            body = completion_with(body, {"decision_id": turn.id, "receipt": receipt(decision)})
        return Reply(body=body, headers=self._headers(turn, trail, charge))

    async def stream(self, turn: Turn, decision: Decision, hold: Hold) -> EventStream:
        """The answer as server-sent events; returns when the first frame is there.

        Raises:
            UpstreamError: no attempt of the plan gave a first frame.
        """
        self._settler.watch(hold, lambda: hold.amount_nano)
        course, began = self._course(turn, hold), time.monotonic()
        opened = await self._dispatched(self._dispatcher.open, turn, decision, hold, course)
        tally, attempt, lost = opened.stream.tally, opened.trail.attempt, opened.trail.lost_nano
        self._settler.watch(hold, lambda: lost + bill_of_stream(turn, attempt, tally).cost_nano)
        frames = self._frames(turn, opened, hold, began)
        await anext(frames)  # only a generator that is under way settles when it is closed
        return EventStream(frames, self._headers(turn, opened.trail, None), farewell=_FAREWELL)

    async def _dispatched(
        self, run: Callable[..., Awaitable[T]], turn: Turn, decision: Decision, hold: Hold, course: Course
    ) -> T:
        """What the dispatcher makes of the plan; where nothing came of it, what it may have cost is booked."""
        timeout_s = turn.config.settings.server.request_timeout_s
        try:
            return await run(decision.plan, turn.config.ladder.targets, turn.request, timeout_s, course)
        except BaseException as error:
            self._give_up(turn, decision, hold, error, course)
            raise

    def _worth_recording(self, turn: Turn) -> int:
        """How many bytes of a stream are kept, for the cache and for a look afterwards."""
        cached = turn.config.settings.cache.max_answer_bytes if turn.answer_key is not None else 0
        looked = self._aftermath is not None and self._aftermath.wants(turn.principal.tenant.id, turn.request)
        return max(cached, MAX_STREAM_BYTES if looked else 0)

    def _look_back(self, turn: Turn, attempt: Attempt, body: bytes | None, *, streamed: bool = False) -> None:
        """Have an answer looked at, where there is anything to see of it."""
        after, tenant = self._aftermath, turn.principal.tenant.id
        if after is None or body is None or not after.wants(tenant, turn.request):
            return
        answer = Answered(
            decision_id=turn.id,
            tenant=tenant,
            key=turn.principal.key.id,
            model=attempt.model,
            tier=attempt.tier,
            request=turn.request,
            body=body,
            streamed=streamed,
        )
        after.take(answer)

    def _course(self, turn: Turn, hold: Hold) -> Course:
        """What the dispatcher is to know of the request's money and room, and where it notes its attempts."""
        models = turn.config.ladder.models
        return Course(
            hold=hold,
            cost=lambda lost: cost_of(turn, lost),
            more=self._settler.reserve_more,
            room=lambda model: room(models[model], turn.demand),
            bodies=self._bodies(turn),
            hedging=_hedging(turn.config.settings.hedging),
        )

    def _bodies(self, turn: Turn) -> Callable[[str], Mapping[str, Any]] | None:
        """The request as each model gets it: earlier thinking goes back only to the model that made it."""
        if not carries_thinking(turn.request):
            return None
        maker = turn.sitting.state.model if turn.sitting is not None else turn.demand.model
        stripped = without_thinking(turn.request)
        return lambda model: turn.request if model == maker else stripped

    def release_session(self, turn: Turn) -> None:
        """Give back what was taken of the session's money for a call that is not made."""
        note = session_note(turn, cost_nano=0)
        if note is not None:
            self._settler.note_session(turn.principal.tenant.id, note)

    async def _frames(self, turn: Turn, opened: Opened, hold: Hold, began: float) -> AsyncGenerator[bytes]:
        """Once b"" and then the client's frames. Settled as the end is told, or when the client leaves."""
        recorder = Recorder(self._worth_recording(turn))
        settled, reader_s = False, 0.0
        try:
            yield b""
            recorder.add(opened.first)
            yield opened.first
            async for frames in opened.rest:
                recorder.add(frames)
                given = time.monotonic()
                yield frames
                reader_s += time.monotonic() - given
            self._note_speed(turn, opened.trail, opened.stream.tally.usage, began, reader_s=reader_s)
            charge = self._charge(turn, opened)
            settled = True
            told = partial(self._stream_ending, turn, opened, charge, recorder)
            self._settler.end_soon(hold, told, opened.trail.spare)
            self._look_back(turn, opened.trail.attempt, recorder.frames, streamed=True)
            usage = b""
            if turn.wants_usage_event:
                usage = frame(self._usage_event(turn, opened.stream.tally, charge, opened.trail.attempt))
            yield usage + DONE
        except UpstreamError as error:
            self._dispatcher.broke(opened.trail.attempt, error)
            yield as_sse(error)
        except Exception:
            log.exception("a stream failed unexpectedly")
            yield as_sse(RungError("Rung failed unexpectedly; the operator's log has the details."))
        finally:
            if not settled:
                gone = partial(self._stream_ending, turn, opened, self._charge(turn, opened), None)
                self._settler.end_soon(hold, gone, opened.trail.spare)
            await opened.closing.aclose()

    def _note_speed(self, turn: Turn, trail: Trail, usage: Usage, began: float, *, reader_s: float = 0.0) -> None:
        """Remember how fast the model was, where one call gave the answer."""
        if trail.number == 1 and usage.output:
            model = turn.config.ladder.models[trail.attempt.model]
            self.speeds.note(model, usage.output, time.monotonic() - began, reader_s=reader_s)

    def _charge(self, turn: Turn, opened: Opened) -> Bill:
        charge = bill_of_stream(turn, opened.trail.attempt, opened.stream.tally)
        return with_lost(charge, opened.trail.lost_nano)

    def _stream_ending(self, turn: Turn, opened: Opened, charge: Bill, recorder: Recorder | None) -> Ending:
        """The end of a stream; without a recorder it was left before its own."""
        keep = recorder if turn.answer_key is not None else None
        answer = keep.completion(charge.usage.as_openai()) if keep is not None else None
        finish = opened.stream.tally.finish_reason if recorder is not None else "interrupted"
        return self._ending(turn, opened.trail, charge, finish, answer)

    def _ending(self, turn: Turn, trail: Trail, charge: Bill, finish: str | None, answer: bytes | None) -> Ending:
        self._count(turn, trail.attempt, charge)
        return ending_of(turn, trail, charge, finish, answer)

    def _give_up(self, turn: Turn, decision: Decision, hold: Hold, error: BaseException, course: Course) -> None:
        """Book what calls without an answer may have cost.

        A refused or unreachable call costs nothing. One that ran into the deadline, or whose client went away, has most
        likely been worked on and billed: its expected cost is booked, marked as an estimate.
        """
        if course.current is not None and isinstance(error, asyncio.CancelledError):
            course.lost.append(Lost(attempt=course.current))
        ending = given_up(turn, decision, error, course)
        self._settler.end_soon(hold, lambda: ending, tuple(course.spare))

    def _usage_event(self, turn: Turn, tally: Tally, charge: Bill, attempt: Attempt) -> bytes:
        """OpenAI's last event with usage, and with it what a stream's headers could not say yet."""
        extra: dict[str, Any] = {
            "decision_id": turn.id,
            "cost_usd": charge.cost_nano / 1e9,
            "cost_nano_usd": charge.cost_nano,
            "estimated": charge.estimated,
            "cache": turn.cache,
        }
        if turn.extensions.explain and turn.decision is not None:
            extra["receipt"] = receipt(turn.decision)
        event = {
            "id": tally.id or turn.id,  # one id and one time for all chunks of an answer
            "object": "chat.completion.chunk",
            "created": tally.created or int(time.time()),
            "model": attempt.model,
            "choices": [],
            "usage": charge.usage.as_openai(),
            "rung": extra,
        }
        return orjson.dumps(event)

    def _headers(self, turn: Turn, trail: Trail, charge: Bill | None) -> dict[str, str]:
        attempt = trail.attempt
        return reply_headers(
            turn,
            model=attempt.model,
            tier=attempt.tier,
            attempts=trail.number,
            allowance=attempt.allowance,
            cost_nano=None if charge is None else charge.cost_nano,
        )

    def _count(self, turn: Turn, attempt: Attempt, charge: Bill) -> None:
        usage = charge.usage
        self._metrics.billed(
            tier=attempt.tier,
            tenant=turn.principal.tenant.id,
            cost_nano=charge.cost_nano,
            tokens={
                "input": usage.input,
                "cached": usage.cached_read,
                "output": usage.output,
                "reasoning": usage.reasoning,
            },
        )


def _hedging(said: HedgingSettings) -> Terms | None:
    if not said.enabled:
        return None
    return Terms(quantile=said.quantile, least_delay_s=said.least_delay_s, share=said.share)


async def _replayed(turn: Turn, completion: dict[str, Any]) -> AsyncGenerator[bytes]:
    """A kept completion told as a stream."""
    for chunk in chunks_of(completion):
        yield frame(chunk)
    if turn.wants_usage_event:
        head = {name: completion.get(name) for name in ("id", "created", "model", "usage")}
        extra = {"decision_id": turn.id, "cost_usd": 0, "cost_nano_usd": 0, "estimated": False, "cache": turn.cache}
        yield frame(orjson.dumps({**head, "object": "chat.completion.chunk", "choices": [], "rung": extra}))
    yield DONE
