"""Taking another rung than the best one now and then, to learn what it would have done; with its exact probability.

With share e and n rungs to explore, the choice is taken with probability 1 - e + e / n and every other with e / n.
Only rungs that every constraint admits and that are expected to cost little more than the choice are explored, so
exploration breaks no ceiling and has a price that is known beforehand: at most e * extra per request.
"""

from __future__ import annotations

from collections.abc import Sequence

from policies.rungs import Rung


def explore(
    chosen: Rung, affordable: Sequence[Rung], *, draw: float | None, share: float, extra_nano: int
) -> tuple[Rung, float]:
    """The rung to take and the probability with which it is taken.

    Args:
        chosen: the best one.
        affordable: all rungs that constraints and money admit, the best one among them.
        draw: uniform in [0, 1), or None not to explore.
        share: of requests that explore, 0..1.
        extra_nano: how much dearer than the choice a rung may be expected to be.
    """
    if draw is None or share <= 0:
        return chosen, 1.0
    reach = sorted(
        (rung for rung in affordable if rung.cost <= chosen.cost + extra_nano),
        key=lambda rung: (rung.entry.model.id, rung.allowance),
    )
    each = share / len(reach)
    taken = reach[min(int(draw / each), len(reach) - 1)] if draw < share else chosen
    return taken, each + (1.0 - share if taken is chosen else 0.0)
