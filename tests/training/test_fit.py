"""Routing models learn what there is to learn, and place what they have never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifier import load_default
from tests.training.results import made_up
from training.data import Matrix, read_results, to_matrix
from training.fit import RoutingModel, ShippedModel
from training.placement import APART, kinds_apart, placed_gain, placed_success

INPUTS = load_default().inputs
PAIR = ("tiny-7b", "big-70b")


def matrix(folder: Path, seed: int, models: tuple[str, ...] = PAIR) -> Matrix:
    path = folder / f"made{seed}.parquet"
    made_up(300, seed=seed, models=models).to_parquet(path)
    return to_matrix(read_results([path]))


def test_own_heads_tell_the_questions_where_the_strong_model_pays(tmp_path: Path) -> None:
    model = RoutingModel(INPUTS).fit(matrix(tmp_path, 0))
    test = matrix(tmp_path, 1)
    gain = model.gain(test.prompts.tolist(), "big-70b", "tiny-7b")
    hard = test.categories == "hard"
    assert gain[hard].mean() > gain[~hard].mean() + 0.1


def test_equal_data_and_seed_give_equal_models(tmp_path: Path) -> None:
    train, prompts = matrix(tmp_path, 0), matrix(tmp_path, 1).prompts.tolist()
    first, second = (RoutingModel(INPUTS, seed=3).fit(train).success(prompts, PAIR) for _ in range(2))
    assert (first == second).all()


def test_success_is_a_probability_per_query_and_model(tmp_path: Path) -> None:
    many = tuple(f"m{i}-7b" for i in range(9))
    model = RoutingModel(INPUTS).fit(matrix(tmp_path, 0, many))
    success = model.success(["a theorem", "an apple", ""], many)
    assert success.shape == (3, 9)
    assert ((success > 0) & (success < 1)).all()


def test_models_without_results_are_placed_by_their_mean_scores(tmp_path: Path) -> None:
    model = RoutingModel(INPUTS).fit(matrix(tmp_path, 0))
    test = matrix(tmp_path, 1)
    success = model.success(test.prompts.tolist(), ["new", "newer"], {"new": 0.4, "newer": 0.8})
    assert success.mean(axis=0) == pytest.approx([0.4, 0.8], abs=1e-3)
    easy = test.categories == "easy"
    assert success[easy, 0].mean() > success[~easy, 0].mean()


def test_a_model_of_which_nothing_is_known_is_named(tmp_path: Path) -> None:
    model = RoutingModel(INPUTS).fit(matrix(tmp_path, 0))
    with pytest.raises(ValueError, match="stranger"):
        model.success(["a"], ["stranger"])


def test_the_shipped_model_answers_for_any_names() -> None:
    prompts = ["Hi", "What is 2+2?", "Prove that every group of prime order is cyclic.", "Name a river."]
    means = {"weak": 0.4, "strong": 0.7}
    shipped = ShippedModel()
    assert shipped.success(prompts, ["weak", "strong"], means).mean(axis=0) == pytest.approx([0.4, 0.7], abs=1e-3)
    assert shipped.gain(prompts, "strong", "weak", means).shape == (4,)


def test_placement_keeps_the_order_of_ease_and_the_means() -> None:
    ease = np.random.default_rng(0).normal(size=500)
    success = placed_success(ease, [0.2, 0.9])
    assert success.mean(axis=0) == pytest.approx([0.2, 0.9], abs=1e-3)
    assert (np.diff(success[np.argsort(ease), 0]) >= 0).all()


def test_kinds_are_drawn_apart_and_questions_of_one_kind_are_not() -> None:
    draw = np.random.default_rng(0)
    kind = np.repeat([0, 1], 500)
    ease = draw.normal(size=1000) + kind
    apart = kinds_apart(ease, np.eye(2)[kind])
    within, between = np.std(ease[kind == 0]), ease[kind == 1].mean() - ease[kind == 0].mean()
    drawn = (apart[kind == 1].mean() - apart[kind == 0].mean()) / np.std(apart[kind == 0])
    assert drawn == pytest.approx(APART * between / within, rel=0.01)
    one = kinds_apart(ease, np.ones((1000, 1)))
    assert (np.argsort(one, kind="stable") == np.argsort(ease, kind="stable")).all()


def test_the_placed_gain_is_highest_where_neither_both_succeed_nor_both_fail() -> None:
    gain = placed_gain(np.linspace(-3, 3, 101), 0.7, 0.4)
    assert 30 < gain.argmax() < 70
    assert gain[[0, -1]].max() < gain[50]


def test_equal_ease_everywhere_gives_no_preference() -> None:
    assert placed_gain(np.zeros(5), 0.7, 0.4) == pytest.approx(np.zeros(5))
