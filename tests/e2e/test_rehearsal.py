"""The simulator's ledger and the gateway's own decide alike and charge alike, to the nano-dollar."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.store.rehearsal import RehearsalLedger
from tests.training.benchmarks.test_budget import made_up_records
from training.benchmarks.budget import measure
from training.benchmarks.budget_ledger import GROUP, SimulatedLedger, opener
from training.benchmarks.budget_policies import BASELINES, RUNG, policies
from training.benchmarks.budget_replay import REFUSED, Names, Window, replay
from training.benchmarks.budget_traffic import Traffic, arrivals
from training.benchmarks.budget_world import Records, Setup, configure, divide
from training.data import DataError

TENANTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A window, and who may spend in it."""

    window: Window
    found: Records
    setup: Setup
    named: dict[str, Names]


def world(shape: Traffic, share: float) -> World:
    """Many tenants at once, some of them richer than others; one answer in fifty is dear beyond its hold."""
    found = made_up_records(480, seed=3, dear_tail=0.02)
    draw = np.random.default_rng(5)
    past, _ = divide(found.questions, draw)
    setup = configure(found, past)
    at = arrivals(shape, found.hard, draw)
    order = np.argsort(at)
    tenant = draw.integers(0, TENANTS, len(order))
    shares = share * draw.uniform(0.5, 1.5, TENANTS)
    limits = tuple(int(shares[t] * found.cost[order[tenant == t], -1].sum()) for t in range(TENANTS))
    window = Window(query=order, tenant=tenant, at=at[order], limits=limits)
    return World(window=window, found=found, setup=setup, named=policies(found, setup, past, share))


@pytest.mark.parametrize(
    ("shape", "share", "policy"),
    [
        (Traffic.even, 0.4, RUNG),
        (Traffic.bursty, 0.1, RUNG),
        (Traffic.drift, 0.25, RUNG),
        (Traffic.bursty, 0.1, BASELINES[1]),
    ],
)
def test_the_real_ledger_and_its_double_decide_and_charge_alike(shape: Traffic, share: float, policy: str) -> None:
    made = world(shape, share)
    quick, real = (
        replay(made.window, made.found, made.setup, made.named[policy], opened=opened)
        for opened in (SimulatedLedger, RehearsalLedger)
    )
    assert (quick.model == real.model).all()
    assert (quick.cost == real.cost).all()
    assert quick.spent == real.spent
    assert quick.paces == real.paces
    assert all(spent <= limit for spent, limit in zip(real.spent, made.window.limits, strict=True))
    refused = real.model == REFUSED
    assert refused.any()
    assert not refused.all()


steps = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 60)), max_size=25)


@settings(max_examples=15)
@given(steps)
def test_whatever_is_asked_both_answer_the_same(asked: list[tuple[int, int, int]]) -> None:
    limits = (100, 0, 37)
    with closing(RehearsalLedger(limits)) as real:
        double = SimulatedLedger(limits)
        held: list[tuple[int, int]] = []
        for number, (tenant, amount, cost) in enumerate(asked):
            now = float(number)
            answers = {ledger.reserve(number, tenant, amount, now) for ledger in (real, double)}
            assert len(answers) == 1
            if answers.pop():
                held.append((number, min(cost, amount)))
            if len(held) > 2:
                done, charge = held.pop(0)
                real.settle(done, charge, now)
                double.settle(done, charge, now)
            assert real.standing(tenant, now) == double.standing(tenant, now)
        assert real.spent() == double.spent()


@pytest.mark.skipif(
    not any(point.name == "real" for point in entry_points(group=GROUP)),
    reason="this Rung was installed before it offered its ledger: install it again",
)
def test_the_benchmark_finds_the_gateways_ledger_and_its_figures_are_the_same() -> None:
    simulated, real = (
        measure(made_up_records(240), budgets=(0.5,), shapes=(Traffic.even,), seeds=1, resamples=10, ledger=ledger)
        for ledger in ("simulated", "real")
    )
    assert (simulated.pop("ledger"), real.pop("ledger")) == ("simulated", "real")
    assert simulated == real


def test_a_ledger_that_nobody_offers_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"no ledger is called gold; there are: simulated"):
        opener("gold")
