from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decide import decide
from policies.policy import Policy
from policies.types import Wishes
from tests.policies.ladders import USD, ask

SHARE = 0.2
GENEROUS = Policy(explore_extra_nano=USD)


def explored(draw: float | None, share: float = SHARE, policy: Policy = GENEROUS):
    return decide(**ask(wishes=Wishes(explore=share), policy=policy), exploration_draw=draw)


def test_without_a_draw_or_a_share_the_choice_is_certain():
    assert explored(None).propensity == explored(0.0, share=0.0).propensity == 1.0


def test_the_propensities_are_those_with_which_rungs_are_really_taken():
    draws = [(i + 0.5) / 5000 for i in range(5000)]
    decisions = [explored(draw) for draw in draws]
    taken = Counter((d.chosen.model, d.chosen.allowance) for d in decisions)
    told = {(d.chosen.model, d.chosen.allowance): d.propensity for d in decisions}
    assert len(taken) > 3
    assert sum(told.values()) == pytest.approx(1.0)
    for rung, times in taken.items():
        assert times / 5000 == pytest.approx(told[rung], abs=0.001)


def test_exploring_costs_little_more_than_the_choice():
    usual = explored(None).chosen.expected_cost_nano
    thrifty = Policy(explore_extra_nano=USD // 1000)
    for i in range(200):
        assert explored(i / 1000, policy=thrifty).chosen.expected_cost_nano <= usual + USD // 1000


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 20_000), st.floats(0.01, 1))
def test_exploration_never_passes_a_ceiling(draw: float, ceiling: int, share: float):
    wishes = Wishes(explore=share, max_reasoning_tokens=ceiling, max_cost_nano=USD // 100)
    decision = decide(**ask(wishes=wishes, policy=GENEROUS), exploration_draw=draw)
    assert decision.plan[0].allowance <= ceiling
    assert decision.hold_nano <= USD // 100
    assert 0 < decision.propensity <= 1
