"""The decision: from difficulty, money and wishes to a plan. Pure; the same inputs give the same decision.

Phases: the models that may be considered; their rungs, priced; floors; the choice over the whole ladder and over what
can be called now; exploration; the plan of attempts with the money to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from operator import attrgetter
from typing import cast

from policies.candidates import permitted, too_long
from policies.catalog import Catalog, Entry
from policies.choice import Taste, choose
from policies.errors import ModelDenied, NoCandidate, NotReachable, TooLong, Unaffordable
from policies.explain import Board, Ladder, Sentences, candidate, notes
from policies.exploration import explore
from policies.plan import attempt, fallback_money, fallbacks
from policies.policy import DEFAULT, Policy
from policies.rungs import Rung, latency_s, price_rungs
from policies.types import Attempt, Decision, Demand, Forecast, Purse, Wishes

THINKING: Callable[[Rung], int] = attrgetter("allowance")
MONEY: Callable[[Rung], int] = attrgetter("worst")
NONE_DOWN: Mapping[str, str] = {}


def decide(
    *,
    catalog: Catalog,
    demand: Demand,
    forecast: Forecast,
    wishes: Wishes,
    purse: Purse,
    policy: Policy = DEFAULT,
    down: Mapping[str, str] = NONE_DOWN,
    exploration_draw: float | None = None,
    now_s: float | None = None,
) -> Decision:
    """Choose a rung and plan the attempts.

    Args:
        catalog: the models.
        demand: what the request needs.
        forecast: the classifier's numbers.
        wishes: what caller and tenant want.
        purse: the tenant's money now.
        policy: the operator's knobs.
        down: models that cannot be called at the moment (an open breaker), each with the reason.
        exploration_draw: uniform in [0, 1), drawn by the caller; None explores nothing.
        now_s: seconds since the epoch, for prices that depend on the hour.

    Raises:
        UnknownModel, ModelDenied: the named model. NoCandidate (TooLong): the constraints reject every rung.
        NotReachable: no admissible model can be called now. Unaffordable: the money left covers none.
    """
    entries = catalog.entries if demand.model is None else (_named(catalog, demand.model, wishes),)
    rungs, rejected = price_rungs(entries, demand=demand, forecast=forecast, wishes=wishes, policy=policy, now_s=now_s)
    board = Board(
        catalog=catalog,
        demand=demand,
        forecast=forecast,
        wishes=wishes,
        purse=purse,
        policy=policy,
        down=down,
        rungs=rungs,
        rejected=rejected,
        taste=Taste(
            value=policy.value_nano(wishes.quality) if wishes.value_nano is None else float(wishes.value_nano),
            weight=1.0 + purse.pacing_price,
            tolerance=policy.tolerance_at(wishes.quality),
        ),
        thinking=_least(demand.reasoning_ceiling, wishes.max_reasoning_tokens),
        money=_least(purse.remaining_nano, wishes.max_cost_nano),
    )
    return _decision(board, *_choosable(board), exploration_draw)


def _named(catalog: Catalog, model: str, wishes: Wishes) -> Entry:
    entry = catalog.entry(model)
    if not permitted(model, wishes):
        raise ModelDenied(model)
    return entry


def _choosable(board: Board) -> tuple[list[Rung], float]:
    """The rungs that the floors admit, and the ceiling on thinking: at least one rung keeps it."""
    rungs = board.rungs if board.demand.model is not None else _above_floors(board.rungs, board.wishes, board.demand)
    if not rungs:
        raise _nothing_fits(board)
    if board.thinking is None:
        return rungs, inf
    least = min(rung.allowance for rung in rungs)
    if board.demand.model is not None:
        return rungs, max(board.thinking, least)  # one that cannot think so little gives its least; the notes say so
    if least > board.thinking:
        raise _nothing_fits(board)
    return rungs, board.thinking


def _above_floors(rungs: list[Rung], wishes: Wishes, demand: Demand) -> list[Rung]:
    floor, limit = wishes.min_quality, wishes.max_latency_s
    if floor is not None:
        rungs = [r for r in rungs if r.quality >= floor]
    if limit is not None:
        rungs = [r for r in rungs if latency_s(r, demand) <= limit]
    return rungs


def _choice(board: Board, rungs: list[Rung], ceiling: float) -> tuple[Rung | None, list[Rung]]:
    """The best of `rungs` under the ceilings on thinking and money, and all that it was chosen from."""
    money = inf if board.money is None else board.money
    under = choose(rungs, THINKING, ceiling, board.taste)[1] if ceiling < inf else rungs
    best, affordable = choose(under, MONEY, money, board.taste)
    if best is not None or under is rungs:
        return best, affordable
    # The walk down to the first ceiling left out what is dearer by expectation; some of it may have a lower worst case.
    return choose([rung for rung in rungs if rung.allowance <= ceiling], MONEY, money, board.taste)


def _decision(board: Board, rungs: list[Rung], ceiling: float, draw: float | None) -> Decision:
    """The choice over `rungs`, twice: as if every model could be called, and over those that can."""
    taste, demand = board.taste, board.demand
    reachable = rungs if board.all_callable else [r for r in rungs if board.can_call(r)]
    if all(rung.allowance > ceiling for rung in reachable):
        raise NotReachable({r.entry.model.id: board.why_down(r) for r in rungs if not board.can_call(r)})
    chosen, affordable = _choice(board, reachable, ceiling)
    if chosen is None:
        raise _too_dear(board, [r for r in reachable if r.allowance <= ceiling])
    # What can be paid among the callable can be paid in the whole ladder too: `preferred` always exists.
    preferred = chosen if reachable is rungs else cast("Rung", _choice(board, rungs, ceiling)[0])
    taken, propensity = explore(
        chosen, affordable, draw=draw, share=board.wishes.explore, extra_nano=board.policy.explore_extra_nano
    )
    others = () if demand.model else fallbacks(taken, affordable, taste, board.policy)
    spare = fallback_money(taken, board.policy, board.money)
    plan = (_call(board, taken, board.money), *(_call(board, rung, spare) for rung in others))
    wanted = plan[0] if preferred is taken else _call(board, preferred, board.money)
    return Decision(
        preferred=candidate(preferred, wanted, board.demand, available=board.can_call(preferred)),
        chosen=candidate(taken, plan[0], board.demand, available=True),
        plan=plan,
        candidates=Ladder(board),
        hold_nano=max([call.worst_cost_nano for call in plan]),
        # What is explored was not chosen for its merits: it is explained by itself.
        words=Sentences(board, preferred if taken is chosen else taken, taken),
        propensity=propensity,
        policy_version=board.policy.version,
        catalog_version=board.catalog.version,
        forecast=board.forecast,
        wishes=board.wishes,
        purse=board.purse,
        unavailable_because="" if preferred is taken else board.why_down(preferred),
        notes=notes(board, taken),
    )


def _call(board: Board, rung: Rung, money: int | None) -> Attempt:
    return attempt(rung, board.demand, board.forecast, board.policy, money)


def _nothing_fits(board: Board) -> NoCandidate:
    reasons = dict(board.rejected)
    for rung in board.rungs:
        reasons.setdefault(rung.entry.model.id, board.objection(rung))
    considered = [board.catalog.get(name) for name in reasons if permitted(name, board.wishes)]
    if considered and all(too_long(model, board.demand) for model in considered):
        return TooLong(reasons)
    return NoCandidate(reasons)


def _too_dear(board: Board, rungs: Sequence[Rung]) -> NoCandidate | Unaffordable:
    remaining = board.purse.remaining_nano
    needed = min(r.worst for r in rungs)
    if remaining is not None and needed > remaining:
        return Unaffordable(needed_nano=needed, remaining_nano=remaining)
    return NoCandidate({r.entry.model.id: board.objection(r) for r in rungs})


def _least(*ceilings: int | None) -> int | None:
    given = [c for c in ceilings if c is not None]
    return min(given) if given else None
