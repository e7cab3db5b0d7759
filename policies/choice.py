"""Which rung is best: the utility, and how a ceiling moves the choice. It knows rungs, not requests.

    utility = value(dial) * quality - (1 + pacing price) * expected cost      in nano-dollars

It is the Lagrangian of "as many right answers as the money buys": the pacing price is the multiplier of the
budget. The choice is the cheapest rung whose quality is within `tolerance` of that of the best utility.

A ceiling (on thinking, or on the worst case in money) is walked down to, not merely filtered by: from the
free choice x that breaks it, the next choice is the best among the rungs *below x in what the ceiling limits
and no dearer than x*, and so on. Each step lowers expected cost and, since x had the better utility, expected
quality too. Hence a lower ceiling never raises the expected cost, and more money never lowers the expected
quality. Only where every rung under the ceiling is dearer than the choice above it (a model that always
thinks, say) is the best of those taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.rungs import Rung


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Taste:
    """How quality is weighed against money, for one request.

    Attributes:
        value: what a right answer is worth, nano-dollars. weight: what a dollar is worth, 1 + the pacing
            price.
        tolerance: quality given away for a cheaper rung.
    """

    value: float
    weight: float
    tolerance: float

    def utility(self, rung: Rung) -> float:
        """Nano-dollars that the rung is worth beyond what it costs."""
        return self.value * rung.quality - self.weight * rung.cost


def pick(rungs: Sequence[Rung], taste: Taste) -> Rung:
    """The choice among `rungs` (at least one), whatever their order."""
    value, weight = taste.value, taste.weight
    best = rungs[0]
    best_utility = value * best.quality - weight * best.cost
    for rung in rungs:
        utility = value * rung.quality - weight * rung.cost
        if utility > best_utility or (utility == best_utility and _finer(rung, best)):
            best, best_utility = rung, utility
    return _cheapest_like(best, rungs, best.quality - taste.tolerance)


def choose(
    rungs: Sequence[Rung], measure: Callable[[Rung], int], ceiling: float, taste: Taste
) -> tuple[Rung | None, list[Rung]]:
    """The choice under a ceiling on what `measure` reads, and all the rungs that it was made from.

    Neither a choice nor a rung is left where every one breaks the ceiling.
    """
    bounded = rungs
    while bounded:
        best = pick(bounded, taste)
        if (reach := measure(best)) <= ceiling:
            return best, [rung for rung in bounded if measure(rung) <= ceiling]
        bounded = [rung for rung in bounded if measure(rung) < reach and rung.cost <= best.cost]
    dearer = [rung for rung in rungs if measure(rung) <= ceiling]
    return (pick(dearer, taste) if dearer else None), dearer


def _cheapest_like(best: Rung, rungs: Sequence[Rung], threshold: float) -> Rung:
    for rung in rungs:
        if rung.cost <= best.cost and rung.quality >= threshold and _thriftier(rung, best):
            best = rung
    return best


def _finer(rung: Rung, than: Rung) -> bool:
    return (-rung.quality, rung.cost, *_name(rung)) < (-than.quality, than.cost, *_name(than))


def _thriftier(rung: Rung, than: Rung) -> bool:
    return (rung.cost, -rung.quality, *_name(rung)) < (than.cost, -than.quality, *_name(than))


def _name(rung: Rung) -> tuple[int, str]:
    """The last resort of every comparison, so that the order of the catalogue decides nothing."""
    return rung.allowance, rung.entry.model.id
