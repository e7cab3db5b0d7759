"""Calibration does what its theory promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.abilities import LOWEST, abilities, place, place_by_results
from training.calibrate import conformal_quantile, platt
from training.tasks import LEVELS, kind_of, level_targets


def test_the_conformal_quantile_covers_fresh_values_as_promised() -> None:
    draw = np.random.default_rng(0)
    covered = [(draw.normal(size=200) <= conformal_quantile(draw.normal(size=100), 0.9)).mean() for _ in range(300)]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50))
def test_the_conformal_quantile_is_one_of_the_values_and_not_below_the_plain_one(values: list[float]) -> None:
    found = conformal_quantile(np.array(values), 0.9)
    assert found in values
    assert found >= np.quantile(values, 0.9, method="lower")


def test_platt_ignores_cells_without_weight() -> None:
    logits = np.linspace(-3, 3, 200)
    target = 1 / (1 + np.exp(-logits))
    spoiled = np.where(np.arange(200) % 2, target, 1 - target)
    slope, offset = platt(logits, spoiled, (np.arange(200) % 2).astype(float))
    assert (slope, offset) == pytest.approx((1.0, 0.0), abs=1e-2)


def test_a_model_with_a_published_ability_keeps_it_and_others_fall_in_between() -> None:
    known = abilities(["Qwen2.5-72B-Instruct", "gemma-2-9b-it", "gpt-4o-2024-08-06"], [0.67, 0.33, 0.72])
    assert known == pytest.approx([0.711, 0.521, 0.747])
    placed = place(np.array([0.3, 0.5, 0.7, 0.5]), np.array([0.3, 0.5, 0.7, np.nan]))
    assert placed[3] == pytest.approx(0.5, abs=0.02)


def test_few_results_move_a_new_model_and_many_place_it() -> None:
    draw = np.random.default_rng(0)
    curves = np.sort(draw.random((400, len(LEVELS))), axis=1)
    able = 0.8
    chance = np.array([np.interp(able, LEVELS, row) for row in curves])
    scores = (draw.random(400) < chance).astype(float)
    few = place_by_results(curves[:5], LEVELS, scores[:5], prior=0.4, strength=50.0)
    many = place_by_results(curves, LEVELS, scores.tolist(), prior=0.4)
    assert abs(few - 0.4) < abs(many - 0.4)
    assert many == pytest.approx(able, abs=0.08)


def test_no_result_at_all_leaves_a_model_at_its_prior() -> None:
    assert place_by_results(np.empty((0, len(LEVELS))), LEVELS, [], prior=0.55) == pytest.approx(0.55, abs=0.005)
    assert place_by_results(np.full((50, len(LEVELS)), 0.9), LEVELS, [0.0] * 50) >= LOWEST


def test_a_model_speaks_for_the_levels_next_to_its_ability() -> None:
    score = np.array([[1.0, 0.0], [0.0, np.nan]])
    target, evidence = level_targets(score, np.array([0.3, 0.65]))
    assert evidence[0, LEVELS.index(0.3)] == pytest.approx(1.0)
    assert evidence[0, LEVELS.index(0.6)] == pytest.approx(0.5, abs=1e-6)
    assert target[0, LEVELS.index(0.3)] == pytest.approx(1.0)
    assert evidence[1, LEVELS.index(0.7)] == 0.0


def test_categories_map_to_kinds_and_unknown_ones_to_none() -> None:
    assert kind_of("mmlu_pro:math") is not None
    assert kind_of("mmlu_pro:math") == kind_of("arithmetic:dice")
    assert kind_of("underwater basket weaving") is None
