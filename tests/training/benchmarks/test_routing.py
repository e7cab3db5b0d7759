from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.results import made_up
from training.benchmarks import pool, routing
from training.benchmarks.compare import NOTHING_LEARNT, as_json, compare
from training.benchmarks.routers import Asked, Category, Judgement, length_router, oracle, random_router
from training.benchmarks.tables import routing_text
from training.data import DataError, Matrix, read_results, to_matrix

PAIR = ("tiny-7b", "big-70b")


def matrix(folder: Path, **options: object) -> Matrix:
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    made_up(**options).to_parquet(path)  # type: ignore[arg-type]  # made_up's own options
    return to_matrix(read_results([path]))


class Witness:
    """Remembers what it was trained on, and what it was asked."""

    name = "witness"
    learns = True
    names_success = True

    def __init__(self) -> None:
        self.trained: list[set[str]] = []
        self.judged: list[list[str]] = []

    def fit(self, train: Matrix) -> None:
        self.trained.append(set(train.prompts))

    def judge(self, asked: Asked) -> Judgement:
        self.judged.append(list(asked.prompts))
        lengths = np.array([len(prompt) for prompt in asked.prompts], float)
        return Judgement(gain=lengths, success=np.tile(lengths[:, None] / 1000, len(asked.models)))


def test_cross_validation_judges_every_query_once_and_never_one_that_was_learnt(tmp_path: Path):
    held = routing.contest(routing.arrange(matrix(tmp_path), "cv"), PAIR)
    witness = Witness()
    judgement = routing.run(witness, held)
    assert len(witness.trained) == 5
    for trained, judged in zip(witness.trained, witness.judged, strict=True):
        assert not trained & set(judged)
    assert sorted(prompt for judged in witness.judged for prompt in judged) == sorted(held.matrix.prompts)
    assert judgement is not None
    assert judgement.gain.tolist() == [len(prompt) for prompt in held.matrix.prompts]
    assert judgement.success is not None
    assert judgement.success.shape == (200, 2)


def test_a_number_of_labels_limits_what_is_learnt(tmp_path: Path):
    witness = Witness()
    routing.run(witness, routing.contest(routing.arrange(matrix(tmp_path), "cv", labels=30), PAIR))
    assert {len(trained) for trained in witness.trained} == {30}


def test_transfer_removes_shared_questions_from_training_and_counts_them(tmp_path: Path):
    test = matrix(tmp_path, seed=1)
    train = to_matrix(read_results([*tmp_path.iterdir(), _file(tmp_path, seed=2)]))
    setting = routing.arrange(test, "transfer", train=train)
    assert (setting.removed, setting.removed_from) == (200, "training")
    witness = Witness()
    routing.run(witness, routing.contest(setting, PAIR))
    assert not witness.trained[0] & set(test.prompts)
    assert len(witness.trained[0]) == 200


def test_what_ships_learns_nothing_and_shared_questions_leave_the_test(tmp_path: Path):
    test, train = matrix(tmp_path, n=100, seed=1), matrix(tmp_path, n=40, seed=1)
    setting = routing.arrange(test, "shipped", train=train)
    assert setting.removed_from == "test"
    assert len(setting.matrix) == 100 - setting.removed
    assert not set(setting.matrix.prompts) & set(train.prompts)
    alone = routing.contest(routing.arrange(test, "shipped"), PAIR)
    assert routing.run(Witness(), alone) is None
    assert routing.run(length_router(), alone) is not None


@pytest.mark.parametrize(
    ("mode", "labels", "message"),
    [
        ("transfer", None, "add --train FILE"),
        ("shipped", 50, "limits what the mode cv learns from"),
    ],
)
def test_a_mode_without_what_it_needs_is_refused(tmp_path: Path, mode: routing.Mode, labels: int | None, message: str):
    with pytest.raises(DataError, match=message):
        routing.arrange(matrix(tmp_path), mode, labels=labels)


def test_training_on_nothing_but_the_test_is_refused(tmp_path: Path):
    one = matrix(tmp_path)
    with pytest.raises(DataError, match="train on other files"):
        routing.arrange(one, "transfer", train=one)
    with pytest.raises(DataError, match="--train is for transfer and shipped"):
        routing.arrange(one, "cv", train=one)


def test_the_pair_is_the_worst_and_the_best_model_unless_named(tmp_path: Path):
    three = matrix(tmp_path, n=400, models=("a-7b", "b-13b", "c-70b"))
    assert routing.pair(three) == ("a-7b", "c-70b")
    assert routing.pair(three, strong="a-7b") == ("b-13b", "a-7b")
    assert routing.pair(three, weak="c-70b") == ("c-70b", "b-13b")
    with pytest.raises(DataError, match="name two"):
        routing.pair(three, weak="a-7b", strong="a-7b")
    with pytest.raises(DataError, match="no rows of the model nobody"):
        routing.pair(three, weak="nobody")
    with pytest.raises(DataError, match="needs two models"):
        routing.pair(three.pick(["a-7b"]))


def test_a_model_that_answered_little_is_not_chosen_unless_named(tmp_path: Path):
    frame = made_up(100, models=("a-7b", "b-13b", "c-70b"))
    few = frame[frame["model"] == "c-70b"].head(30).assign(model="lucky-1b", score=1.0)
    path = tmp_path / "x.parquet"
    pd.concat([frame, few]).to_parquet(path)
    found = to_matrix(read_results([path]))
    assert routing.pair(found) == ("a-7b", "c-70b")
    assert routing.pair(found, strong="lucky-1b") == ("a-7b", "lucky-1b")


def test_a_pair_that_hardly_answered_anything_in_common_is_refused(tmp_path: Path):
    frame = made_up(100)
    frame = frame[(frame["model"] == "tiny-7b") | (frame["query_id"] == "q1")]
    path = tmp_path / "x.parquet"
    frame.to_parquet(path)
    with pytest.raises(DataError, match="only 1 test queries were answered by all"):
        routing.contest(routing.arrange(to_matrix(read_results([path])), "shipped"), PAIR)


def test_only_queries_that_both_answered_count_in_every_fold(tmp_path: Path):
    frame = made_up(100)
    path = tmp_path / "x.parquet"
    frame.drop(index=range(0, 40, 2)).to_parquet(path)
    held = routing.contest(routing.arrange(to_matrix(read_results([path])), "cv"), PAIR)
    assert len(held.matrix) == 80
    assert sorted(np.concatenate([split.rows for split in held.splits])) == list(range(80))
    for split in held.splits:
        assert not set(held.matrix.prompts[split.rows]) & set(split.train.prompts if split.train else ())


def test_figures_of_the_bounds_are_what_they_must_be(tmp_path: Path):
    held = routing.contest(routing.arrange(matrix(tmp_path), "shipped"), PAIR)
    best = routing.figures(oracle(held.matrix.score), held, resamples=50)
    assert best["oracle_share"].value == pytest.approx(1.0)
    assert (best["auroc"].value, best["brier"].value, best["ece"].value) == (1.0, 0.0, 0.0)
    judgement = routing.run(random_router(), held)
    assert judgement is not None
    none = routing.figures(judgement, held, resamples=50)
    assert none["apgr"].value == pytest.approx(0.5)
    assert none["oracle_share"].value == pytest.approx(0.0)
    assert "brier" not in none
    assert 0.0 < best["cost80"].value < none["cost80"].value < 100.0


def test_a_comparison_has_everyone_and_says_who_had_nothing_to_learn_from(tmp_path: Path):
    three = matrix(tmp_path, n=300, models=("a-7b", "b-13b", "c-70b"))
    told: list[str] = []
    routers = [length_router(), random_router(), Category()]
    comparison = compare(
        routing.arrange(three, "shipped"), routing.pair(three), routers, resamples=20, progress=told.append
    )
    result = as_json(comparison)
    rows = {row["router"]: row for row in result["results"]}
    assert list(rows) == ["length", "random", "category", "oracle"]
    assert rows["category"]["apgr"] is None
    assert rows["category"]["note"] == NOTHING_LEARNT
    assert rows["length"]["over"]["random"]["apgr"] == pytest.approx(rows["length"]["apgr"] - 0.5)
    assert [row["router"] for row in result["pool"]["results"]] == ["oracle"]
    assert told[:3] == ["length", "random", "category"]
    text = routing_text(result)
    assert "category: had nothing to learn from" in text
    assert "best single: c-70b" in text


def test_in_cross_validation_those_who_learn_say_from_what(tmp_path: Path):
    two = matrix(tmp_path)
    told: list[str] = []
    routers = [Category(), length_router()]
    result = as_json(compare(routing.arrange(two, "cv"), PAIR, routers, resamples=20, progress=told.append))
    assert told[:2] == ["category", "category, fold 1 of 5"]
    assert told[-1] == "length, fold 5 of 5"
    learnt = {row["router"]: row["learnt_from"] for row in result["results"]}
    assert learnt == {"category": "the other folds", "length": None, "oracle": None}
    assert result["pool"] is None
    assert result["results"][0]["apgr"] > 0.6


def test_the_best_single_model_is_no_better_than_itself(tmp_path: Path):
    three = matrix(tmp_path, n=300, models=("a-7b", "b-13b", "c-70b"))
    best = pool.best_single(three)
    certain = np.zeros_like(three.score)
    certain[:, best] = 1.0
    curve = pool.curve(certain, pool.expected_costs(three, three.prompts), three, resamples=20)
    assert curve.accuracy[-1] == pytest.approx(three.means[best])
    assert curve.usd[-1] == pytest.approx(three.usd[:, best].mean())
    assert curve.figures["gain_at_best_cost"].value == pytest.approx(0.0, abs=0.5)


def test_the_oracle_is_better_at_the_same_cost_and_cheaper_at_the_same_accuracy(tmp_path: Path):
    three = matrix(tmp_path, n=300, models=("a-7b", "b-13b", "c-70b"))
    curve = pool.curve(three.score, pool.expected_costs(three, three.prompts), three, resamples=20)
    assert curve.figures["gain_at_best_cost"].value > 5
    assert curve.figures["cost_at_best_accuracy"].value < 0.8
    low, high = three.usd.mean(axis=0)[[three.means.argmin(), three.means.argmax()]]
    share = curve.figures["extra_cost_at_best_accuracy"].value
    assert low + share * (high - low) == pytest.approx(curve.figures["cost_at_best_accuracy"].value * high)
    assert curve.figures["area"].low is not None
    assert (np.diff(curve.usd) > -1e-12).all()


def test_models_of_one_price_have_no_share_of_an_extra_cost_and_cause_no_warning(tmp_path: Path):
    three = matrix(tmp_path, n=100, models=("a", "b", "c"))
    equal = replace(three, usd=np.ones_like(three.usd))
    found = pool.curve(equal.score, equal.usd, equal, resamples=5).figures
    assert found["gain_at_best_cost"].value > 0
    assert np.isnan(found["extra_cost_at_best_accuracy"].value)


def test_an_accuracy_that_is_never_reached_has_no_cost(tmp_path: Path):
    three = matrix(tmp_path, n=300, models=("a-7b", "b-13b", "c-70b"))
    worst = np.zeros_like(three.score)
    worst[:, three.means.argmin()] = 1.0
    found = pool.curve(worst, np.zeros_like(worst), three, resamples=0).figures["cost_at_best_accuracy"]
    assert np.isnan(found.value)


def test_models_with_many_gaps_leave_the_pool(tmp_path: Path):
    frame = made_up(100, models=("a-7b", "b-13b", "c-70b"))
    path = tmp_path / "x.parquet"
    frame[~((frame["model"] == "b-13b") & (frame.index > 90))].to_parquet(path)
    assert set(pool.models(to_matrix(read_results([path])))) == {"a-7b", "c-70b"}


def test_expected_costs_follow_the_prompts_length():
    prompts = np.array(["x" * 4 * n for n in range(1, 30)], object)
    tokens = np.arange(1, 30.0)
    known = Matrix(
        prompts=prompts,
        sources=prompts,
        categories=prompts,
        questions=np.arange(29),
        models=("m", "flat"),
        score=np.zeros((29, 2)),
        usd=np.stack([tokens * 2 + 5, np.full(29, 7.0)], axis=1),
        tokens=np.zeros((29, 2)),
    )
    expected = pool.expected_costs(known, np.array(["x" * 400], object))
    assert expected[0] == pytest.approx([205.0, 7.0])


def _file(folder: Path, **options: object) -> Path:
    path = folder / "more.csv"
    made_up(**options).to_csv(path, index=False)  # type: ignore[arg-type]  # made_up's own options
    return path
