from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.artefact import DEFAULT, read_manifest
from tests.training.results import HARD, made_up
from training.benchmarks import factorisation
from training.benchmarks.embedding import StaticEmbedder
from training.benchmarks.factorisation import MatrixFactorisation
from training.benchmarks.knn import Knn
from training.benchmarks.routers import (
    Asked,
    Category,
    Router,
    labels_for,
    length_router,
    oracle,
    plugged_routers,
    random_router,
)
from training.benchmarks.subject import Rung, taught
from training.data import Matrix, read_results, to_matrix

Floats = NDArray[np.float64]


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Two dimensions: difficult or simple words."""
    hard = np.array([any(word in text for word in HARD.split()) for text in texts])
    return np.stack([hard, ~hard], axis=1).astype(np.float32)


def matrix(folder: Path, **options: object) -> Matrix:
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    made_up(**options).to_parquet(path)  # type: ignore[arg-type]  # made_up's own options
    found = to_matrix(read_results([path]))
    return found.pick([found.models[int(i)] for i in np.argsort(found.means)])


def asked(results: Matrix) -> Asked:
    return Asked(prompts=results.prompts, categories=results.categories, models=results.models, abilities=results.means)


@pytest.mark.parametrize("router", [Category(), Knn(embed), MatrixFactorisation(embed)], ids=lambda r: r.name)
def test_whoever_learns_prefers_the_strong_model_where_it_helps(router: Router, tmp_path: Path):
    train, test = matrix(tmp_path, seed=1), matrix(tmp_path, seed=2)
    router.fit(train)
    gain = router.judge(asked(test)).gain
    hard = test.categories == "hard"
    assert gain[hard].min() > gain[~hard].max()


@pytest.mark.parametrize("router", [Category(), Knn(embed)], ids=lambda r: r.name)
def test_success_is_the_share_of_successes_alike(router: Router, tmp_path: Path):
    train = matrix(tmp_path, n=400, seed=1)
    router.fit(train)
    success = router.judge(asked(matrix(tmp_path, seed=2))).success
    assert success is not None
    assert success[1] == pytest.approx(train.score[train.categories == "hard"].mean(axis=0), abs=0.15)


def test_a_category_never_seen_gets_the_overall_mean(tmp_path: Path):
    train = matrix(tmp_path)
    router = Category()
    router.fit(train)
    one = asked(train)
    unseen = Asked(prompts=one.prompts, categories=np.full(len(train), "x"), models=one.models, abilities=one.abilities)
    success = router.judge(unseen).success
    assert success is not None
    assert success == pytest.approx(np.tile(train.means, (len(train), 1)))


def test_random_is_indifferent_and_length_counts_characters(tmp_path: Path):
    results = matrix(tmp_path, n=10)
    assert set(random_router().judge(asked(results)).gain) == {0.0}
    assert length_router().judge(asked(results)).gain.tolist() == [len(p) for p in results.prompts]


def test_the_oracle_gains_what_is_gained(tmp_path: Path):
    results = matrix(tmp_path)
    assert (oracle(results.score).gain == results.score[:, 1] - results.score[:, 0]).all()


def test_litellms_heuristic_is_found_and_ranks_reasoning_above_a_greeting():
    router = next(router for router in plugged_routers() if router.name == "litellm")
    texts = ["hi", "Think step by step and analyze this distributed database architecture: design the protocol."]
    one = Asked(
        prompts=np.array(texts, object), categories=np.array(["", ""], object), models=("a", "b"), abilities=np.zeros(2)
    )
    simple, complex_ = router.judge(one).gain
    assert complex_ > simple + 5  # another tier, not only another score


def test_models_without_results_are_stood_in_for_by_those_of_equal_mean(tmp_path: Path):
    train = matrix(tmp_path, models=("a-7b", "b-13b", "c-70b"), n=400)
    others = Asked(
        prompts=train.prompts, categories=train.categories, models=("new", "newer"), abilities=train.means[[0, 2]]
    )
    labels = labels_for(train, others)
    assert (labels == train.score[:, [0, 2]]).all()


def test_stand_ins_are_chosen_file_by_file(tmp_path: Path):
    paths = []
    for seed, models in ((1, ("a-7b", "b-70b")), (2, ("c-7b", "d-70b"))):
        paths.append(tmp_path / f"{seed}.parquet")
        made_up(seed=seed, models=models).to_parquet(paths[-1])
    train = to_matrix(read_results(paths))
    one = Asked(prompts=train.prompts, categories=train.categories, models=("w", "s"), abilities=np.array([0.0, 1.0]))
    labels = labels_for(train, one)
    assert np.isfinite(labels).all()
    assert (labels[:200] == train.pick(["a-7b", "b-70b"]).score[:200]).all()
    assert (labels[200:] == train.pick(["c-7b", "d-70b"]).score[200:]).all()


def test_the_factorisations_slopes_are_those_of_its_loss():
    draw = np.random.default_rng(0)
    queries, wins = draw.normal(size=(7, 3)), draw.random(7)
    factors = [draw.normal(size=s) for s in ((4,), (4, 3), (4,), (4,))]

    def loss() -> float:
        p = 1 / (1 + np.exp(-factorisation._logits(factors, queries)))
        return float(-(wins * np.log(p) + (1 - wins) * np.log(1 - p)).mean())

    for factor, slope in zip(factors, factorisation._slopes(factors, queries, wins), strict=True):
        for at in np.ndindex(*factor.shape):
            before = factor[at]
            factor[at] = before + 1e-6
            above = loss()
            factor[at] = before - 1e-6
            below = loss()
            factor[at] = before
            assert slope[at] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_the_shipped_encoder_gives_unit_vectors_that_know_likeness():
    vectors = StaticEmbedder()(["the cat sat on the mat", "a cat on a mat", "integral of a rational function"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-3)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_sources_that_an_artefact_was_trained_on_are_named(tmp_path: Path):
    manifest = read_manifest(DEFAULT) | {
        "data": [
            {"source": "mmlu_pro", "questions": 3},
            {"source": "ulab_router", "questions": 2},
            {"source": "unused", "questions": 0},
        ]
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert taught(["ulab", "fresh", "mmlu_pro", "ulab", "unused"], tmp_path) == ["mmlu_pro", "ulab"]
    assert taught(["pro", "fresh"], tmp_path) == []


def test_the_model_under_test_is_told_means_and_asked_for_gain_and_success(tmp_path: Path):
    results = matrix(tmp_path, n=20)

    class Model:
        def success(self, prompts: Sequence[str], models: Sequence[str], means: Mapping[str, float]) -> Floats:
            return np.tile([means[model] for model in models], (len(prompts), 1))

        def gain(self, prompts: Sequence[str], strong: str, weak: str, means: Mapping[str, float]) -> Floats:
            return np.full(len(prompts), means[strong] - means[weak])

    judgement = Rung(model=Model()).judge(asked(results))
    assert judgement.success is not None
    assert judgement.success[0] == pytest.approx(results.means)
    assert judgement.gain[0] == pytest.approx(results.means[1] - results.means[0])
    with pytest.raises(RuntimeError, match="fit comes before judge"):
        Rung(fit=lambda _: Model()).judge(asked(results))
