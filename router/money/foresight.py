"""What this process has just seen of the tenants' money, so that most requests are decided before they ask it.

    the payer's budgets were seen within FRESH_S, and the question is new -> decide, then one trip: limits, answer, hold
    otherwise -> one trip to see, decide, a second one to hold

It only spares a trip: whether there is money for a request is the store's word alone, and where its hold does not fit,
the request is decided again by what the store has just said. See docs/adr/0051-decide-before-asking.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.recent import Recent
from router.store import Funds, Opening, Principal

# A changed budget takes effect within a second (its limit at once, in the store); half of that for the pacing price.
FRESH_S = 0.5
PAYERS = 10_000  # half a kilobyte each
QUESTIONS = 20_000  # keys of 64 characters: some 3 MB


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Seen:
    """The funds and the state of their pacing, as they were at a moment (seconds of this process' clock)."""

    funds: Funds
    pace: tuple[bytes, ...]
    at_s: float


class Foresight:
    """One per process."""

    def __init__(self) -> None:
        self._seen: Recent[tuple[str, str], Seen] = Recent(PAYERS)
        self._asked: Recent[str, bool] = Recent(QUESTIONS)

    def note(self, principal: Principal, opening: Opening, now_s: float) -> None:
        """Remember what the store has said of a payer's money."""
        self._seen.put(_payer(principal), Seen(funds=opening.funds, pace=opening.pace, at_s=now_s))

    def money_of(self, principal: Principal, now_s: float) -> Seen | None:
        """What is known of a payer's money, its clock moved on to now; None where it is not fresh."""
        seen = self._seen.get(_payer(principal))
        if seen is None or not 0 <= now_s - seen.at_s <= FRESH_S:
            return None
        funds = Funds(now=seen.funds.now + now_s - seen.at_s, budgets=seen.funds.budgets)
        return Seen(funds=funds, pace=seen.pace, at_s=seen.at_s)

    def is_new(self, answer_key: str | None) -> bool:
        """Whether this process has not met the question before; one that it has met is likely answered already."""
        if answer_key is None:
            return True
        met = self._asked.get(answer_key)
        self._asked.put(answer_key, True)  # noqa: FBT003 - a set of keys, kept as a mapping
        return met is None


def _payer(principal: Principal) -> tuple[str, str]:
    return principal.tenant.id, principal.scope
