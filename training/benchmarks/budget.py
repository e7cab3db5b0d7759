"""`rung bench budget`: what a month's money buys, by Rung's policy, by simpler ones, and at best.

1. Predictions are cross-fitted once (`budget_world`).
2. Per seed the questions are divided into a past and a window, over several tenants; per budget and shape of traffic
   each policy is replayed (`budget_replay`). The past month gives Rung's price its start, as in the gateway, and the
   baselines their thresholds.
3. The bounds are linear programmes over each tenant's window (`budget_bounds`).
4. Figures are means over all requests of all seeds, with intervals by question; differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.profile import EVEN
from training.benchmarks.bootstrap import Figures, Interval, bootstrap, figure
from training.benchmarks.budget_bounds import within
from training.benchmarks.budget_drift import first_and_last
from training.benchmarks.budget_ledger import SIMULATED, Opener, opener
from training.benchmarks.budget_policies import BASELINES, RUNG, policies
from training.benchmarks.budget_replay import REFUSED, Log, Window, replay
from training.benchmarks.budget_traffic import WINDOW_S, Traffic, arrivals, usual_hours
from training.benchmarks.budget_world import Records, Setup, configure, divide
from training.data import DataError, Floats, Integers

OPTIMUM, CLAIRVOYANT = "optimum_predicted", "clairvoyant"
POLICIES = (RUNG, *BASELINES, OPTIMUM, CLAIRVOYANT)
BUDGETS = (0.1, 0.25, 0.5, 0.75)
MOMENTS = 60  # points of the spend over time


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one policy did at one budget under one shape of traffic, summed over seeds and tenants.

    Attributes:
        right, asked: (queries,) sums per query of the records.
        spent, limit, worth: nano-dollars. refused, cut, over_limit: requests; tenants whose limit was broken.
        course: (MOMENTS,) spend by time, nano-dollars. early, late: quality per kind in the first and last tenth.
    """

    right: Floats
    asked: Floats
    spent: float = 0.0
    limit: float = 0.0
    worth: float = 0.0
    refused: float = 0.0
    cut: float = 0.0
    over_limit: int = 0
    course: Floats = field(default_factory=lambda: np.zeros(MOMENTS))
    tenths: list[tuple[Floats, Floats, Integers]] = field(default_factory=list[tuple[Floats, Floats, Integers]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Per budget: whether it pays the cheapest answer to every question, with a better one to save for."""

    cheap: str
    strong: str
    cheap_share: float
    gain: float

    def allows(self, budget: float) -> bool:
        """Whether there is anything to choose at that budget."""
        return self.gain > 0 and budget > self.cheap_share


def measure(
    found: Records,
    *,
    budgets: Sequence[float] = BUDGETS,
    shapes: Sequence[Traffic] = tuple(Traffic),
    seeds: int = 5,
    tenants: int = 3,
    value_usd: float | None = None,
    profiled: bool = True,
    ledger: str = SIMULATED,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Every policy and both bounds, per budget and shape of traffic.

    Args:
        found: outcomes and predictions.
        budgets: shares of what the strong model would cost for all of the window.
        shapes: of the traffic.
        seeds: draws of past and window, tenants and traffic.
        tenants: each with a budget of its own.
        value_usd: what a right answer is worth; see `budget_world.configure`.
        profiled: whether the operator tells the usual hours, read off the past month; else money is spread evenly.
        ledger: `simulated`, or one that is plugged in (`budget_ledger`), such as the gateway's own, `real`.
        resamples: for the intervals.
        seed: of everything.
        progress: told what is under way.

    Raises:
        DataError: a budget that is no positive share, or a ledger that nobody offers.
    """
    if min(budgets) <= 0:
        raise DataError("a budget is a share of the always-strong cost; give numbers above 0")
    tallies: dict[tuple[float, Traffic, str], Tally] = {}
    setting = _Operator(value_usd=value_usd, profiled=profiled, opened=opener(ledger))
    for number in range(seeds):
        for budget in budgets:
            progress(f"seed {number + 1} of {seeds}, budget {budget:g}")
            _add(tallies, _Trial(found, budget, tenants, setting, (seed, number)), shapes)
    setup = configure(found, np.arange(len(found.score)), value_usd=value_usd)
    spread = _spread(found, setup)
    rows: list[dict[str, Any]] = []
    for budget in budgets:
        for shape in shapes:
            part = {name: tallies[budget, shape, name] for name in POLICIES}
            accuracy = _accuracies(part, found.questions, resamples, seed)
            for row in _rows(part, accuracy, found):
                allows = spread.allows(budget)
                rows.append({"budget": budget, "traffic": shape.value, "spread_allows": allows, **row})
    return {
        "results": rows,
        "models": list(found.models),
        "cheap": spread.cheap,
        "strong": spread.strong,
        "cheap_share": spread.cheap_share,
        "queries": len(found.score),
        "seeds": seeds,
        "tenants": tenants,
        "value_usd": setup.policy.value_at_1_nano / 1e9,
        "profile": "past" if profiled else "even",
        "ledger": ledger,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operator:
    """What the operator says beside the budget."""

    value_usd: float | None
    profiled: bool
    opened: Opener


class _Trial:
    """One seed at one budget: past and window, and who pays."""

    def __init__(self, found: Records, budget: float, tenants: int, operator: _Operator, seed: tuple[int, int]) -> None:
        self.found, self.budget, self.tenants = found, budget, tenants
        self.profiled, self.opened = operator.profiled, operator.opened
        # Of the seed alone, so that budgets and shapes are compared on the same division.
        draw = np.random.default_rng(seed)
        self.past, self.rows = divide(found.questions, draw)
        self.payer = draw.integers(0, tenants, len(found.score))
        self.setup = configure(found, self.past, value_usd=operator.value_usd)
        self.seed = seed

    def window(self, rows: Integers, shape: Traffic, salt: int) -> Window:
        """These rows as traffic; a tenant's limit is the budget's share of the strong model's cost for its part."""
        draw = np.random.default_rng((*self.seed, salt, list(Traffic).index(shape)))
        at = arrivals(shape, self.found.hard[rows], draw)
        order = np.argsort(at, kind="stable")
        query = rows[order]
        strong = self.found.cost[query, self.setup.strong]
        limits = [int(self.budget * strong[self.payer[query] == t].sum()) for t in range(self.tenants)]
        return Window(query=query, tenant=self.payer[query], at=at[order], limits=tuple(limits))

    def bound(self, gain: Floats, cost: NDArray[np.int64], limits: Sequence[int]) -> Floats:
        """(window, m) shares of the linear programmes, tenant by tenant."""
        found, whose = self.found, self.payer[self.rows]
        x = np.zeros((len(self.rows), len(found.models)))
        for tenant, limit in enumerate(limits):
            rows = self.rows[whose == tenant]
            x[whose == tenant] = within(gain[rows], cost[rows], found.cost[rows], limit)
        return x


def _add(tallies: dict[tuple[float, Traffic, str], Tally], trial: _Trial, shapes: Sequence[Traffic]) -> None:
    found, setup, rows = trial.found, trial.setup, trial.rows
    limits = trial.window(rows, Traffic.even, 1).limits  # the same whatever the shape
    bounds = {
        OPTIMUM: trial.bound(found.success, setup.expected, limits),
        CLAIRVOYANT: trial.bound(found.score, found.cost, limits),
    }
    worth = _worth(trial, limits)
    named = policies(found, setup, trial.past, trial.budget)
    for shape in shapes:
        past = trial.window(trial.past, Traffic.even if shape is Traffic.drift else shape, 0)
        profile = usual_hours(past.at) if trial.profiled else EVEN
        paces = replay(past, found, setup, named[RUNG], profile=profile, opened=trial.opened).paces
        window = trial.window(rows, shape, 1)
        for name in POLICIES:
            key = (trial.budget, shape, name)
            n = len(found.score)
            tally = tallies.setdefault(key, Tally(right=np.zeros(n), asked=np.zeros(n)))
            tally.limit += sum(limits)
            tally.worth += worth
            if name in bounds:
                _count_bound(tally, bounds[name], found, rows)
            else:
                before = paces if name == RUNG else None
                log = replay(window, found, setup, named[name], paces=before, profile=profile, opened=trial.opened)
                _count(tally, log, window)


def _worth(trial: _Trial, limits: Sequence[int]) -> float:
    """The money that is worth spending: the limit, or less where the best predicted answers cost less."""
    found, setup, rows = trial.found, trial.setup, trial.rows
    best = np.lexsort((setup.expected[rows], -found.success[rows]), axis=1)[:, 0]
    cost = found.cost[rows, best]
    whose = trial.payer[rows]
    return float(sum(min(limit, int(cost[whose == tenant].sum())) for tenant, limit in enumerate(limits)))


def _count(tally: Tally, log: Log, window: Window) -> None:
    tally.right[window.query] += log.score
    tally.asked[window.query] += 1
    tally.spent += sum(log.spent)
    tally.refused += float((log.model == REFUSED).sum())
    tally.cut += float(log.cut.sum())
    tally.over_limit += sum(spent > limit for spent, limit in zip(log.spent, window.limits, strict=True))
    moments = np.linspace(0.0, WINDOW_S, MOMENTS)
    tally.course += np.concatenate([[0], np.cumsum(log.cost)])[np.searchsorted(window.at, moments, side="right")]
    tally.tenths.append((log.score, window.at, window.query))


def _count_bound(tally: Tally, x: Floats, found: Records, rows: Integers) -> None:
    tally.right[rows] += (x * found.score[rows]).sum(axis=1)
    tally.asked[rows] += 1
    tally.spent += float((x * found.cost[rows]).sum())
    tally.refused += float(np.maximum(0.0, 1.0 - x.sum(axis=1)).sum())


def _spread(found: Records, setup: Setup) -> Spread:
    cost, score = found.cost.mean(axis=0), found.score.mean(axis=0)
    return Spread(
        cheap=found.models[setup.cheap],
        strong=found.models[setup.strong],
        cheap_share=float(cost[setup.cheap] / cost[setup.strong]),
        gain=float(score[setup.strong] - score[setup.cheap]),
    )


def _rows(part: Mapping[str, Tally], accuracy: Mapping[str, Interval], found: Records) -> list[dict[str, Any]]:
    best = {name: accuracy[name].value for name in (OPTIMUM, CLAIRVOYANT)}
    rows: list[dict[str, Any]] = []
    for name, tally in part.items():
        asked = tally.asked.sum()
        row: dict[str, Any] = {
            "policy": name,
            **figure("accuracy", {"accuracy": accuracy[name]}),
            "spend_ratio": tally.spent / tally.limit,
            "spend_of_worth": tally.spent / tally.worth if tally.worth else None,
            "of_optimum_predicted": accuracy[name].value / best[OPTIMUM] if best[OPTIMUM] else None,
            "of_clairvoyant": accuracy[name].value / best[CLAIRVOYANT] if best[CLAIRVOYANT] else None,
            "refused": tally.refused / asked,
            "cut_off": tally.cut / asked,
            "over_limit": tally.over_limit,
        }
        if tally.tenths:
            row["spend_by_time"] = [float(spent / tally.limit) for spent in tally.course]
            row |= first_and_last(tally.tenths, found)
        if name == RUNG:
            row["over"] = {
                other: figure("accuracy", {"accuracy": accuracy[name].minus(accuracy[other])}) for other in BASELINES
            }
        rows.append(row)
    return rows


def _accuracies(part: Mapping[str, Tally], questions: Integers, resamples: int, seed: int) -> dict[str, Interval]:
    """Right answers over requests; everyone was asked the same, so that differences are paired."""

    def compute(weights: Floats) -> Figures:
        return {name: (weights @ tally.right) / (weights @ tally.asked) for name, tally in part.items()}

    return bootstrap(compute, questions, count=resamples, seed=seed)
