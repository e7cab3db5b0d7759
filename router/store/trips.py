"""The two trips of a request as one script each: alone says what they carry, and how their replies are read.

One script instead of one per part saves the store and this process a third of their work per request. The money comes
first in both; a cache, a receipt or a limit that fails alone costs nobody an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.store import names
from router.store.cache import DEFAULT_TTL_S, AnswerCache
from router.store.decisions import DecisionStream
from router.store.flights import APART_MS, LEASE_S, Role, read_look
from router.store.ledger import Ledger, reservation_words, scopes_word, settlement_words
from router.store.ledger_types import Ending, Funds, Hold, State, read_budgets
from router.store.limits import Rule, Verdict, giving, read_verdict, taking
from router.store.near import Question
from router.store.outbox import Settlement
from router.store.scripts import Argument, Ask, Reply, Script, text
from router.store.sessions import StoredSession

_ADMIT = Script("core.lua", "holds.lua", "rollover.lua", "windows.lua", "limits.lua", "flights.lua", "admit.lua")
_CLOSE = Script("core.lua", "holds.lua", "settling.lua", "flights.lua", "receipts.lua", "limits.lua", "close.lua")
NO_SESSION = StoredSession()
_NO_SETTLEMENT: tuple[Argument, ...] = ("",) * 7
_NO_ANSWER: tuple[Argument, ...] = ("",) * 6
_NO_RECEIPT: tuple[Argument, ...] = ("",) * 4


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Opening:
    """What the store says before a dispatch.

    Attributes:
        verdict: of the limits; where they refuse, nothing else was done. funds: the budgets, before this hold.
        pace: where the pacing of the tenant's budgets stood when it was last written, and behind it that of its
            organisation's, where it has one; see `router.money.pacing`.
        answer: the cached one, or None.
        role: HIT with an answer; FOLLOW: wait in `Store.flights.follow`; LEAD: call, and name the leader in the
            closing's `Answer`; ALONE: call.
        hold: the money that was asked for, or None where none was asked for, needed or left.
        session: as it stands, empty where none was asked for.
        near: the answer to a question that asks the same in other words, where one was looked for.
    """

    verdict: Verdict
    funds: Funds
    pace: tuple[bytes, ...]
    answer: bytes | None
    role: Role = Role.ALONE
    hold: Hold | None = None
    session: StoredSession = NO_SESSION
    near: bytes | None = None


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Wanted:
    """The money to set aside, nano-dollars, and what the reaper may conclude should its holder die."""

    amount_nano: int
    state: State


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Answer:
    """The cache's part of a closing.

    Attributes:
        content: None where there is nothing to store: an error, a partial answer, a tool call.
        leader: the request id of a leader, whose flight then lands.
        near: the question, where it may be found in other words too.
    """

    key: str
    content: bytes | None
    ttl_s: float = DEFAULT_TTL_S
    leader: str | None = None
    near: Question | None = None


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Receipt:
    """The decision stream's part of a closing; `content` is JSON, `attachment` for the log's writer only."""

    decision_id: str
    content: bytes
    attachment: bytes = b""


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Places:
    """The limits' part of a closing. `extra_tokens`: used beyond the estimate, or short of it (< 0)."""

    request_id: str
    rules: Sequence[Rule]
    extra_tokens: int = 0


def admit_ask(
    ledger: Ledger,
    tenant: str,
    *,
    request_id: str,
    rules: Sequence[Rule],
    tokens: int,
    scopes: Sequence[str],
    answer_key: str | None,
    lease_s: float,
    single_flight: bool,
    wanted: Wanted | None,
) -> Ask[Opening]:
    """The first trip; see `Store.opening`."""
    words: list[Argument] = [
        *(ledger.clock(), request_id, scopes_word(scopes)),
        *(answer_key or "", round(LEASE_S * 1000) if single_flight else ""),
        *(("", "", "") if wanted is None else reservation_words(wanted.amount_nano, wanted.state)),
        *taking(rules, tokens, lease_s),
    ]

    def read(reply: Reply) -> Opening:
        now_ms, budgets = int(reply[0]), read_budgets(reply[1])
        look = read_look(reply[4])
        hold = None
        if wanted is not None and reply[5]:
            hold = Hold(
                tenant=tenant,
                id=request_id,
                amount_nano=wanted.amount_nano,
                windows=text(reply[5]),
                scopes=tuple(scopes),
                reserved_at_ms=now_ms,
                budgets=budgets,
            )
        return Opening(
            verdict=read_verdict(reply[3], rules) if rules else Verdict(),
            funds=Funds(now=now_ms / 1000, budgets=budgets),
            pace=tuple(reply[2]),
            answer=look.answer,
            role=look.role,
            hold=hold,
        )

    return _ADMIT.ask([names.of(tenant, "acct")], words, read)


def close_ask(
    ledger: Ledger,
    cache: AnswerCache,
    decisions: DecisionStream,
    tenant: str,
    *,
    settlement: Settlement | None,
    answer: Answer | None,
    receipt: Receipt | None,
    places: Places | None,
) -> Ask[Ending | None] | None:
    """The last trip, or None where there is nothing to write; see `Store.closing`."""
    settling = _NO_SETTLEMENT if settlement is None else _settlement_words(settlement)
    keeping = _NO_ANSWER if answer is None else _answer_words(cache, answer)
    noting = (
        _NO_RECEIPT if receipt is None else decisions.words(receipt.decision_id, receipt.content, receipt.attachment)
    )
    freeing = [] if places is None else giving(places.rules, places.extra_tokens)
    if settlement is None and keeping is _NO_ANSWER and receipt is None and not freeing:
        return None
    request_id = "" if places is None else places.request_id
    words: list[Argument] = [ledger.clock(), request_id, *settling, *keeping, *noting, *freeing]
    return _CLOSE.ask([names.of(tenant, "acct")], words, _ending)


def _settlement_words(settlement: Settlement) -> tuple[Argument, ...]:
    return settlement_words(
        settlement.hold, settlement.cost_nano, estimated=settlement.estimated, facts=settlement.facts
    )


def _answer_words(cache: AnswerCache, answer: Answer) -> tuple[Argument, ...]:
    packed = None if answer.content is None else cache.pack(answer.content)
    if packed is None and answer.leader is None:
        return _NO_ANSWER
    stored = ("", "", "") if packed is None else (packed, *cache.bounds(answer.ttl_s))
    return (answer.key, *stored, answer.leader or "", APART_MS)


def _ending(reply: Reply) -> Ending | None:
    return Ending(outcome=text(reply[0]), charged_nano=int(reply[1])) if reply else None  # pyright: ignore[reportArgumentType] # the script's five words
