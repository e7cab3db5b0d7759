"""The words and the whole ladder of a decision, made when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from policies.catalog import Catalog
from policies.choice import Taste
from policies.cost import usd
from policies.doubt import doubt
from policies.plan import attempt
from policies.policy import Policy
from policies.rungs import Rung, latency_s
from policies.second_look import Doubt
from policies.spending import Curve, curve_of
from policies.types import Attempt, Candidate, Demand, Forecast, Purse, Wishes


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Board:
    """Everything on the table of one decision.

    Attributes:
        down: models that cannot be called at the moment, with the reason.
        rungs: every rung that can carry the request. rejected: per model that cannot, the reason.
        thinking: the lowest ceiling on thinking, tokens. money: the lowest ceiling on the worst case,
            nano-dollars.
    """

    catalog: Catalog
    demand: Demand
    forecast: Forecast
    wishes: Wishes
    purse: Purse
    policy: Policy
    down: Mapping[str, str]
    rungs: list[Rung]
    rejected: Mapping[str, str]
    taste: Taste
    thinking: int | None
    money: int | None

    @property
    def all_callable(self) -> bool:
        """Whether every model of the catalogue can be called now."""
        return self.catalog.all_available and not self.down

    def can_call(self, rung: Rung) -> bool:
        """Whether the rung's model can be called now."""
        model = rung.entry.model
        return model.available and model.id not in self.down

    def why_down(self, rung: Rung) -> str:
        """Why the rung's model cannot be called now, or "" where it can."""
        model = rung.entry.model
        if not model.available:
            return model.unavailable_because or "it is switched off in the configuration"
        return self.down.get(model.id, "")

    def objection(self, rung: Rung) -> str:
        """Which ceiling or floor excludes the rung, in words with the remedy, or ""."""
        named = self.demand.model is not None
        if self.thinking is not None and rung.allowance > self.thinking and not named:
            return f"it thinks for {rung.allowance:,} tokens, above the ceiling of {self.thinking:,}; raise it"
        floor, limit = self.wishes.min_quality, self.wishes.max_latency_s
        if floor is not None and rung.quality < floor and not named:
            reached = f"its expected quality is {100 * rung.quality:.3g}%"
            return f"{reached}, below the floor of {100 * floor:.3g}%; lower the floor"
        if limit is not None and (late := latency_s(rung, self.demand)) > limit and not named:
            return f"it would take {late:.3g} s, above the ceiling of {limit:.3g} s; raise that"
        return self._too_dear(rung)

    def _too_dear(self, rung: Rung) -> str:
        if self.money is None or rung.worst <= self.money:
            return ""
        what = "the request's ceiling" if self.money == self.wishes.max_cost_nano else "what the budget has left"
        return f"it may cost ${usd(rung.worst)}, above {what}, ${usd(self.money)}; raise that or ask for less"


KIBI = 1024  # providers count thinking in binary thousands


def name_of(rung: Rung) -> str:
    """A rung in words, for example `gpt-5-mini with 4K of thinking`."""
    return f"{rung.entry.model.id} {thinking_words(rung.allowance)}"


def thinking_words(allowance: int) -> str:
    """An allowance in words: `without thinking`, `with 500 tokens of thinking`, `with 4K of thinking`."""
    if allowance == 0:
        return "without thinking"
    amount = f"{allowance} tokens" if allowance < KIBI else f"{allowance / KIBI:.3g}K"
    return f"with {amount} of thinking"


class Sentences:
    """One sentence each for why, why not cheaper and why not better; written when they are read.

    They are about the rung that is preferred; where that cannot be called, a further sentence says why another serves.
    """

    __slots__ = ("_board", "_chosen", "_served")

    def __init__(self, board: Board, chosen: Rung, served: Rung) -> None:
        self._board = board
        self._chosen = chosen
        self._served = served

    def curve(self) -> Curve:
        """What the request would have cost at other prices of money, over the rungs that could have been chosen."""
        board = self._board
        ceiling = math.inf if board.thinking is None else board.thinking
        able = [r for r in board.rungs if r.allowance <= ceiling and board.can_call(r)] or [self._chosen]
        taste = board.taste
        return curve_of([(r.quality, r.cost) for r in able], taste.value, math.log(taste.weight))

    def doubt(self) -> Doubt | None:
        """How close the choice of the rung that serves was, against what else could have served."""
        board = self._board
        rivals = [r for r in board.rungs if board.can_call(r) and not board.objection(r)]
        forecast = board.forecast
        return doubt(
            self._served, rivals, board.taste, difficulty=forecast.difficulty, uncertainty=forecast.uncertainty
        )

    def why(self) -> str:
        """Why this rung."""
        board, chosen = self._board, self._chosen
        if board.demand.model is not None:
            return f"{name_of(chosen)}: the request names this model."
        return (
            f"{name_of(chosen)}: expected to be right {chosen.quality:.0%} of the time for "
            f"${usd(chosen.cost)}, at a difficulty of {board.forecast.difficulty:.2f} and "
            f"${board.taste.value / 1e9:.4f} for a right answer.{self._instead()}"
        )

    def _instead(self) -> str:
        """Why another rung serves, or "" where the preferred one does."""
        served = self._served
        if served is self._chosen:
            return ""
        why = self._board.why_down(self._chosen)
        return (
            f" It cannot be called now ({why}), so {name_of(served)} serves: expected to be right {served.quality:.0%} "
            f"of the time for ${usd(served.cost)}."
        )

    def why_not_cheaper(self) -> str:
        """What the best of the cheaper rungs would lose."""
        cheaper = [r for r in self._board.rungs if r.cost < self._chosen.cost and self._board.can_call(r)]
        if not cheaper:
            return "Nothing cheaper can carry this request."
        return self._compare(max(cheaper, key=self._board.taste.utility), "save", "lose")

    def why_not_better(self) -> str:
        """What the best of the better rungs would cost."""
        better = [r for r in self._board.rungs if r.quality > self._chosen.quality]
        if not better:
            return "Nothing better is in the ladder."
        return self._compare(max(better, key=self._board.taste.utility), "cost", "add")

    def _compare(self, other: Rung, money_verb: str, quality_verb: str) -> str:
        board = self._board
        money, gain = other.cost - self._chosen.cost, other.quality - self._chosen.quality
        told = (
            f"{name_of(other)} would {money_verb} {'' if money < 0 else 'another '}${usd(abs(money))} and "
            f"{quality_verb} {100 * abs(gain):.1f} points of expected quality"
        )
        obstacle = board.objection(other) or board.why_down(other)
        if obstacle:
            return f"{told}, but {obstacle}."
        worth = abs(gain) * board.taste.value / board.taste.weight
        return (
            f"{told}, which are worth ${worth / 1e9:.6f} at quality {board.wishes.quality:g} and "
            f"pacing price {board.purse.pacing_price:g}."
        )


def notes(board: Board, chosen: Rung) -> tuple[str, ...]:
    """What the caller should know about the choice."""
    ceiling = board.thinking
    if ceiling is None or chosen.allowance <= ceiling:
        return ()
    name, least = chosen.entry.model.id, chosen.allowance
    return (f"{name} cannot think with less than {least:,} tokens; the ceiling of {ceiling:,} is not kept",)


def candidate(rung: Rung, call: Attempt, demand: Demand, *, available: bool, rejected: str = "") -> Candidate:
    """One rung, with the call that it stands for, in the vocabulary of receipts."""
    return Candidate(
        model=call.model,
        tier=call.tier,
        allowance=call.allowance,
        quality=rung.quality,
        expected_cost_nano=rung.cost,
        worst_cost_nano=call.worst_cost_nano,
        expected_latency_s=latency_s(rung, demand),
        max_tokens=call.max_tokens,
        available=available,
        rejected=rejected,
    )


class Ladder(Sequence[Candidate]):  # noqa: PLW1641 - records of a request are compared, never hashed
    """Every rung as a `Candidate`, built at the first look: best utility first, the rejected ones last."""

    __slots__ = ("_board", "_built")

    def __init__(self, board: Board) -> None:
        self._board = board
        self._built: tuple[Candidate, ...] | None = None

    def _all(self) -> tuple[Candidate, ...]:
        if self._built is None:
            self._built = self._build()
        return self._built

    def _build(self) -> tuple[Candidate, ...]:
        utility = self._board.taste.utility
        ranked = sorted(self._board.rungs, key=lambda r: (-utility(r), r.cost, r.allowance, r.entry.model.id))
        built = [self._candidate(rung) for rung in ranked]
        fit = [c for c in built if c.admissible]
        unfit = [c for c in built if not c.admissible]
        return (*fit, *unfit, *(self._rejected(name) for name in sorted(self._board.rejected)))

    def _candidate(self, rung: Rung) -> Candidate:
        board = self._board
        call = attempt(rung, board.demand, board.forecast, board.policy, board.money)
        return candidate(rung, call, board.demand, available=board.can_call(rung), rejected=board.objection(rung))

    def _rejected(self, name: str) -> Candidate:
        model = self._board.catalog.get(name)
        return Candidate(
            model=name,
            tier=model.tier,
            allowance=0,
            quality=0.0,
            expected_cost_nano=0,
            worst_cost_nano=0,
            expected_latency_s=0.0,
            max_tokens=0,
            available=model.available,
            rejected=self._board.rejected[name],
        )

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __repr__(self) -> str:
        return repr(self._all())
