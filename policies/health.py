"""The circuit breaker of one model: closed, open, half-open. A pure state machine; the clock is passed in.

closed     calls go through; so many failures without a success between them open it
open       calls are kept away until `until_s`
half-open  from then on one call at a time may try; success closes it, failure opens it for twice as long
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

THRESHOLD = 5  # failures in a row: fewer would trip on a provider's everyday hiccup
FIRST_PAUSE_S = 5.0  # a restart or a short overload is over by then
MAX_PAUSE_S = 120.0  # a long outage is noticed to be over within two minutes
PROBE_LEASE_S = (
    600.0  # a probe whose end is never told (its process died) stops blocking others after the call time-out
)


class State(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Where one model's breaker stands.

    Attributes:
        failures: in a row. pause_s: how long it is (or was last) kept open; 0 while closed.
        until_s: when the pause ends. probe_until_s: until when a try is under way, 0 where none is.
    """

    failures: int = 0
    pause_s: float = 0.0
    until_s: float = 0.0
    probe_until_s: float = 0.0

    def state(self, now_s: float) -> State:
        """What it lets through now."""
        if self.pause_s == 0:
            return State.CLOSED
        return State.OPEN if now_s < self.until_s else State.HALF_OPEN

    def allows(self, now_s: float) -> bool:
        """Whether a call may be made now; in half-open only while no other is trying."""
        state = self.state(now_s)
        return state is State.CLOSED or (state is State.HALF_OPEN and now_s >= self.probe_until_s)

    def why(self, now_s: float) -> str:
        """Why no call may be made now, as a clause for the receipt, or ""."""
        if self.allows(now_s):
            return ""
        if self.state(now_s) is State.OPEN:
            return f"it failed {_times(self.failures)}; it is tried again in {self.until_s - now_s:.0f} s"
        return f"it failed {_times(self.failures)}; another call is trying it now"


def _times(failures: int) -> str:
    return "just now" if failures == 1 else f"{failures} times in a row"


def called(breaker: Breaker, now_s: float) -> Breaker:
    """After a call that the breaker allowed has been sent."""
    if breaker.state(now_s) is State.CLOSED:
        return breaker
    return replace(breaker, probe_until_s=now_s + PROBE_LEASE_S)


def left(breaker: Breaker) -> Breaker:
    """After a try that ended without news, because its client went away: the next call may try."""
    return replace(breaker, probe_until_s=0.0)


def succeeded(_breaker: Breaker) -> Breaker:
    """After a success: closed, whatever it was."""
    return Breaker()


def failed(
    breaker: Breaker, now_s: float, *, retry_after_s: float = 0.0, jitter: float = 0.0, threshold: int = THRESHOLD
) -> Breaker:
    """After a failure that is the provider's fault.

    Args:
        breaker: the state before.
        now_s: seconds on any clock that does not go back.
        retry_after_s: what the provider asked for; a wish for a pause opens the breaker at once.
        jitter: 0..1, lengthens the pause by up to a quarter, so that many processes do not try all at once.
        threshold: failures in a row that open it.
    """
    failures = breaker.failures + 1
    state = breaker.state(now_s)
    if state is State.OPEN:
        return replace(breaker, failures=failures)  # a call from before; its failure is no news
    if state is State.CLOSED and failures < threshold and retry_after_s <= 0:
        return replace(breaker, failures=failures)
    if state is State.CLOSED and failures < threshold:
        pause = retry_after_s  # a healthy provider that asks for a moment gets that moment, and no more
    else:
        pause = max(min(MAX_PAUSE_S, breaker.pause_s * 2 or FIRST_PAUSE_S), retry_after_s)
    return Breaker(failures=failures, pause_s=pause, until_s=now_s + pause * (1 + jitter / 4))
