"""Estimates of what another policy would have earned are unbiased, and their intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.learning.replay import CLIP, Logged, dr, dr_gain, ips, snips, weights

N, K = 600, 3


def world(seed: int):
    """Rewards of every arm, a logged draw, a target policy, and a crude model of the rewards."""
    draw = np.random.default_rng(seed)
    chance = draw.uniform(0.2, 0.9, (N, K))
    reward = (draw.random((N, K)) < chance).astype(float)
    logging = draw.dirichlet(np.ones(K) * 3, N) * 0.7 + 0.1
    taken = (logging.cumsum(1) > draw.random((N, 1))).argmax(1)
    rows = np.arange(N)
    logged = Logged(taken=taken, propensity=logging[rows, taken], reward=reward[rows, taken], group=rows)
    target = np.eye(K)[chance.argmax(1)]
    return logged, target, reward, np.full((N, K), 0.5)


def test_every_estimator_is_right_on_average_and_its_intervals_hold_the_truth() -> None:
    errors: dict[str, list[float]] = {"ips": [], "snips": [], "dr": []}
    held = dict.fromkeys(errors, 0)
    for seed in range(120):
        logged, target, reward, q = world(seed)
        truth = float((target * reward).sum(1).mean())
        for name, value in (
            ("ips", ips(logged, target)),
            ("snips", snips(logged, target)),
            ("dr", dr(logged, target, q)),
        ):
            errors[name].append(value.value - truth)
            held[name] += value.low <= truth <= value.high
    for name, off in errors.items():
        assert abs(np.mean(off)) < 4 * np.std(off) / np.sqrt(120), name
        assert held[name] >= 0.9 * 120, name


def test_a_perfect_model_of_the_reward_leaves_nothing_to_chance() -> None:
    logged, target, reward, _ = world(0)
    assert dr(logged, target, reward).value == pytest.approx(float((target * reward).sum(1).mean()))


def test_a_policy_gains_nothing_over_itself() -> None:
    logged, target, _, q = world(1)
    gain = dr_gain(logged, target, target, q)
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_outcomes_that_nobody_told_widen_the_interval_and_move_nothing_else() -> None:
    logged, target, _, q = world(2)
    draw, values = np.random.default_rng(0), []
    for _ in range(200):
        told = draw.random(N) < 0.3
        part = Logged(
            taken=logged.taken,
            propensity=logged.propensity,
            reward=np.where(told, logged.reward, np.nan),
            group=logged.group,
        )
        values.append(dr(part, target, q))
    assert np.mean([v.value for v in values]) == pytest.approx(dr(logged, target, q).value, abs=0.01)
    assert values[0].high - values[0].low > dr(logged, target, q).high - dr(logged, target, q).low
    assert all(v.rows < N / 2 for v in values)


@settings(max_examples=30)
@given(st.integers(0, 1_000_000))
def test_weights_are_bounded_and_the_effective_sample_no_larger_than_the_real_one(seed: int) -> None:
    logged, target, *_ = world(seed)
    w = weights(logged, target)
    assert ((w >= 0) & (w <= CLIP)).all()
    assert 0 < ips(logged, target).effective <= N


def test_what_the_log_never_tried_shows_in_the_support() -> None:
    logged, target, *_ = world(3)
    never = Logged(taken=np.zeros(N, np.int64), propensity=np.ones(N), reward=logged.reward, group=logged.group)
    assert ips(never, target).support < 0.5
    assert ips(logged, target).support == pytest.approx(1.0, abs=0.25)


def test_decisions_that_belong_together_count_as_one() -> None:
    logged, target, _, q = world(4)
    twice = Logged(**{f: np.tile(getattr(logged, f), 2) for f in ("taken", "propensity", "reward", "group")})
    single, double = dr(logged, target, q), dr(twice, np.tile(target, (2, 1)), np.tile(q, (2, 1)))
    assert double.value == pytest.approx(single.value)
    assert double.high - double.low == pytest.approx(single.high - single.low)
