"""A cap on how often the strongest tier may be used: the classifier may be fooled, the spend may not.

Suffixes exist that make most routers call any prompt hard (arXiv 2501.01818). Whatever the classifier says, after every
admission the strong calls are at most `cap` of all recent calls plus one:  strong <= cap * total + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

# Calls over which the share is taken: the past fades by 1/e every so many calls, so that yesterday's thrift is not
# spent in one burst today.
MEMORY = 500.0
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Share:
    """Fading counts of one tenant's calls.

    Attributes:
        strong: calls to the strongest tier. total: all calls.
    """

    strong: float = 0.0
    total: float = 0.0


def count(share: Share, *, strong: bool) -> Share:
    """The counts after one more call."""
    keep = 1.0 - 1.0 / MEMORY
    return Share(strong=share.strong * keep + strong, total=share.total * keep + 1.0)


def barred(share: Share, *, cap: float, tiers: tuple[str, ...]) -> frozenset[str]:
    """The tiers that the next call may not use: the strongest where one more call would be above the cap.

    Args:
        share: the counts so far.
        cap: the highest share of strong calls, 0..1.
        tiers: of the catalogue, the strongest last. A ladder of one tier has nothing to bar.
    """
    if len(tiers) > 1 and share.strong > cap * share.total:
        return frozenset({tiers[-1]})
    return NOTHING
