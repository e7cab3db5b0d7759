"""When a decision deserves a second look, and what became of it: the rule, and the words for it.

The first stage answers in a fraction of a millisecond and is good enough wherever the decision is clear. A transformer
takes tens of times as long; it is asked only where its answer may change the decision, and where there is time for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How close a decision was (`policies.doubt`).

    Attributes:
        distance: standard errors by which the estimate would have to be off for the rival to be preferred, >= 0.
        rival: the model that would be. allowance: its thinking tokens.
    """

    distance: float
    rival: str
    allowance: int


class Looked(StrEnum):
    """What became of the wish for a second look; unless `taken`, the first estimate stands."""

    TAKEN = "taken"
    LATE = "late"  # it was not back in time
    FAILED = "failed"
    BUSY = "busy"  # too many waited for one
    DEADLINE = "deadline"  # the caller's deadline left no room for one


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLook:
    """A second look that a close decision asked for.

    Attributes:
        result: what became of it.
        doubt: how close the decision was by the first estimate.
        model, allowance: what was chosen by the first estimate. difficulty: the first estimate's.
        version: of the classifier that was to look again. took_ms: how long the request waited for it.
    """

    result: Looked
    doubt: Doubt
    model: str
    allowance: int
    difficulty: float
    version: str
    took_ms: float = 0.0


def wanted(
    doubt: Doubt | None, *, margin: float, within_s: float, expected_s: float, slack_s: float | None
) -> Looked | None:
    """Whether to look again: None where the decision is clear, `TAKEN` to go ahead, else what is in the way.

    Args:
        doubt: of the decision.
        margin: standard errors; a decision at this distance or beyond is clear.
        within_s: how long the request may wait for it.
        expected_s: how long it is likely to, by the queue and by how long the last ones took.
        slack_s: seconds that the caller's deadline leaves beside the expected answer; None without a deadline.
    """
    if doubt is None or doubt.distance >= margin:
        return None
    if expected_s > within_s:
        return Looked.BUSY
    if slack_s is not None and slack_s < within_s:
        return Looked.DEADLINE
    return Looked.TAKEN
