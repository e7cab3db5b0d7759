from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier import load_default
from tests.training.results import made_up
from training.benchmarks import calibration, kinds_out, latency, probe, robustness, tokens, transfer
from training.benchmarks.routers import Asked, Category, Judgement, length_router
from training.benchmarks.routing import arrange
from training.data import DataError, Matrix, read_results, to_matrix
from training.overlap import normalise

DRAW = partial(Random, 0)


def matrix(folder: Path, **options: object) -> Matrix:
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    made_up(**options).to_parquet(path)  # type: ignore[arg-type]  # made_up's own options
    return to_matrix(read_results([path]))


def test_latency_is_measured_in_a_fresh_interpreter_without_torch():
    result = latency.measure(calls=40)
    rows = {row["name"]: row for row in result["results"]}
    assert set(rows) == {
        *("classifier_20_words", "classifier_600_words", "classifier_200000_characters", "policy_decision")
    }
    for row in rows.values():
        assert 0.0 < row["p50_ms"] <= row["p99_ms"]
    assert rows["classifier_20_words"]["p50_ms"] < rows["classifier_600_words"]["p50_ms"]
    assert 0.0 < result["load_s"] < 60
    assert 1.0 < result["memory_mb"] < 1000
    assert result["torch_imported"] is False
    assert "policy_decision" in latency.latency_text(result)


def test_an_artefact_that_is_not_there_is_told_in_its_own_words(tmp_path: Path):
    with pytest.raises(ValueError, match=r"holds no manifest\.json"):
        latency.measure(str(tmp_path), calls=40)


def test_measured_texts_have_the_length_that_their_row_names_and_differ():
    made = probe.texts(600, 5)
    assert {len(text.split()) for text in made} == {600}
    assert len(set(made)) == 5
    assert min(map(len, probe.texts(50_000, 2))) > 200_000


@given(st.text(max_size=300))
def test_typos_touch_letters_only(text: str):
    changed = robustness.typos(text, DRAW())
    assert [c for c in changed if c.isdigit()] == [c for c in text if c.isdigit()]


def test_typos_hit_about_the_share_that_they_are_named_for():
    text = "abcdefghij" * 1000
    changed = robustness.typos(text, DRAW())
    assert 300 < abs(len(changed) - len(text)) + 1000 * robustness.TYPO_RATE * 10 < 800
    assert changed != text


def test_gibberish_stands_before_the_text():
    changed = robustness.gibberish("text", DRAW())
    assert changed.endswith("\ntext")
    assert len(changed) == robustness.GIBBERISH_CHARS + 5


def test_a_flip_is_a_decision_at_the_median_that_turns():
    clean = np.array([0.1, 0.2, 0.3, 0.4])
    assert robustness.flipped(clean, clean) == 0.0
    assert robustness.flipped(clean, np.array([0.9, 0.2, 0.3, 0.4])) == 0.25
    assert robustness.flipped(clean, clean[::-1]) == 1.0


def test_percentiles_count_what_lies_below():
    assert robustness.percentiles(np.array([0.0, 2.5, 9.0]), np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [0, 50, 100]


def test_trivial_prompts_are_a_hundred_and_none_is_taught():
    trivial = robustness.TRIVIAL.read_text(encoding="utf-8").splitlines()
    assert len(set(trivial)) == 100
    taught = next(Path(transfer.__file__).parents[1].rglob("trivial_train.txt"))
    lines = {normalise(line) for line in taught.read_text(encoding="utf-8").splitlines()}
    assert len(lines) > 100
    assert not lines & {normalise(prompt) for prompt in trivial}


def test_a_harness_around_the_same_turn_changes_no_estimate(tmp_path: Path):
    result = robustness.measure(load_default(), list(matrix(tmp_path, n=60).prompts))
    flips = {row["name"]: row["flips"] for row in result["results"]}
    assert flips["harness"] == 0.0
    assert result["trivial"]["median_percentile"] <= result["trivial"]["worst_percentile"]
    assert "harness" in robustness.robustness_text(result)


def test_platt_finds_the_stretch_and_the_shift_that_were_applied():
    draw = np.random.default_rng(0)
    z = draw.normal(0, 2, 20_000)
    label = (draw.random(20_000) < 1 / (1 + np.exp(-(0.5 * z - 1)))).astype(float)
    assert calibration.platt(z, label) == pytest.approx((0.5, -1.0), abs=0.06)


def test_platt_stays_finite_where_everything_succeeds():
    a, b = calibration.platt(np.linspace(-3, 3, 10), np.ones(10))
    assert np.isfinite([a, b]).all()
    assert b > 0


def test_labels_mend_probabilities_that_are_off(tmp_path: Path):
    results = matrix(tmp_path, n=600)
    hopeful = np.full_like(results.score, 0.97)
    found = calibration.measure(hopeful, results, labels=200, repeats=3)
    assert found["ece_after"] < 0.06 < found["ece_before"]
    with pytest.raises(DataError, match="leave less than half"):
        calibration.measure(hopeful, results, labels=400, repeats=1)


def test_verbosity_is_how_much_longer_a_models_answers_are():
    lengths = np.array([[10.0, 40.0], [100.0, 400.0], [7.0, np.nan]])
    talk = tokens.verbosity(lengths)
    assert talk[1] / talk[0] > 2.0
    assert tokens.verbosity(lengths[:2]) == pytest.approx([0.5, 2.0])


def test_a_constant_quantile_covers_what_it_promises(tmp_path: Path):
    results = matrix(tmp_path, n=400)
    fold = results.questions % 5
    covered = (results.tokens <= tokens.constant(results.tokens, fold)).mean()
    assert covered == pytest.approx(0.9, abs=0.03)


def test_every_file_is_left_out_once_and_judged_by_what_the_others_taught(tmp_path: Path):
    paths = []
    for seed in (1, 2):
        paths.append(tmp_path / f"{seed}.parquet")
        made_up(seed=seed).to_parquet(paths[-1])
    result = transfer.leave_one_out(
        paths, [], lambda some: to_matrix(read_results(some)), lambda: [Category(), length_router()], resamples=20
    )
    rows = {(row["file"], row["router"]): row["auroc"] for row in result["results"]}
    assert set(rows) == {(file, router) for file in ("1", "2") for router in ("category", "length")}
    assert rows["1", "category"] > 0.75
    assert result["mean_auroc"]["category"] == pytest.approx((rows["1", "category"] + rows["2", "category"]) / 2)
    assert "mean AUROC: category" in transfer.transfer_text(result)
    within = {row["router"]: row["auroc_within"] for row in result["results"]}
    assert within["category"] == pytest.approx(0.5)  # it says one number a category
    with pytest.raises(DataError, match="needs two"):
        transfer.leave_one_out(paths[:1], [], lambda some: to_matrix(read_results(some)), lambda: [Category()])


def test_every_kind_of_task_is_left_out_once_and_nothing_of_it_is_learnt(tmp_path: Path):
    taught: list[set[str]] = []

    class Witness(Category):
        def fit(self, train: Matrix) -> None:
            taught.append(set(train.categories.astype(str)))
            super().fit(train)

        def judge(self, asked: Asked) -> Judgement:
            assert not set(asked.models) & set(self._train.models)
            return super().judge(asked)

    for seed in (1, 2):
        table = made_up(600, seed=seed)
        kinds = np.where(table["category"] == "easy", "math:easy", "code:hard")
        table.assign(category=kinds).to_parquet(tmp_path / f"{seed}.parquet")
    made_up(60, seed=3).assign(category="of no known kind").to_parquet(tmp_path / "3.parquet")
    files = to_matrix(read_results(sorted(tmp_path.iterdir())))
    result = kinds_out.leave_kinds_out(files, lambda: [Witness(), length_router()], resamples=5)
    assert taught == [{"code:hard", "of no known kind"}, {"math:easy", "of no known kind"}]
    found = {(row["kind"], row["router"]): row for row in result["results"]}
    assert found["code", "category"]["auroc_within"] == pytest.approx(0.5)
    assert found["code", "category"]["categories"] == 2  # one a file
    assert found["code", "length"]["auroc_within_ci"] is not None
    assert "mean over kinds: category 0.500" in kinds_out.kinds_text(result)


def test_one_kind_of_task_cannot_be_left_out(tmp_path: Path):
    with pytest.raises(DataError, match="needs two"):
        kinds_out.leave_kinds_out(matrix(tmp_path), lambda: [Category()])


def test_a_file_in_which_every_model_always_succeeds_has_no_auroc(tmp_path: Path):
    one, two = matrix(tmp_path, seed=1), tmp_path / "two.parquet"
    made_up(seed=2).assign(score=1.0).to_parquet(two)
    setting = arrange(to_matrix(read_results([two])), "transfer", train=one)
    with pytest.raises(DataError, match="both succeeds and fails"):
        transfer.aurocs(Category(), setting, resamples=0, seed=0)


def test_a_mean_over_nothing_known_is_none_and_no_nan():
    rows = [{"router": "ours", "auroc": None}, {"router": "length", "auroc": 0.5}, {"router": "length", "auroc": 0.7}]
    assert transfer.mean_of(rows, "ours", "auroc") is None
    assert transfer.mean_of(rows, "length", "auroc") == pytest.approx(0.6)
