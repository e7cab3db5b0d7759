"""Every learner of the blend beats the mean on questions that it has not seen, and says the same twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifier import load_default
from tests.training.results import made_up
from training import learners
from training.data import Matrix, read_results, to_matrix
from training.learners import Category, Kernel, Learner, Texts, Trees, Words, marks

INPUTS = load_default().inputs
EMBEDDED = INPUTS.sizes[0]


def matrix(folder: Path, seed: int) -> Matrix:
    path = folder / f"made{seed}.parquet"
    made_up(300, seed=seed).to_parquet(path)
    return to_matrix(read_results([path]))


def new(name: str, train: Matrix) -> Learner:
    match name:
        case "words":
            return Words()
        case "category":
            return Category(train.categories.astype(str))
        case "trees":
            return Trees(0)
        case _:
            return Kernel(0, EMBEDDED)


@pytest.mark.parametrize("name", ["words", "category", "trees", "kernel"])
def test_a_learner_beats_the_mean_and_repeats_itself(name: str, tmp_path: Path) -> None:
    train, test = matrix(tmp_path, 0), matrix(tmp_path, 1)
    x, asked = (INPUTS.compute_many(part.prompts.tolist()) for part in (train, test))
    texts = Texts(train.prompts.tolist(), x, EMBEDDED)
    view = texts.view(test.prompts.tolist(), asked)
    first, second = (new(name, train).fit(texts.learnt, train.score).predict(view) for _ in range(2))
    assert first.shape == test.score.shape
    assert (first == second).all()
    assert np.square(first - test.score).mean() < 0.95 * np.square(train.means - test.score).mean()


def test_trees_say_of_many_models_what_sets_them_apart(tmp_path: Path) -> None:
    train, test = matrix(tmp_path, 0), matrix(tmp_path, 1)
    x, asked = (INPUTS.compute_many(part.prompts.tolist()) for part in (train, test))
    texts = Texts(train.prompts.tolist(), x, EMBEDDED)
    hard = (train.categories == "hard")[:, None]
    strong = np.arange(20) % 2 == 1
    y = np.where(hard == strong, 0.5, -0.5)
    said = Trees(0).fit(texts.learnt, y).predict(texts.view(test.prompts.tolist(), asked))
    assert said.shape == (len(test), 20)
    chosen = strong[said.argmax(axis=1)]
    assert (chosen == (test.categories == "hard")).mean() > 0.8


def test_what_trees_say_of_few_questions_hangs_less_on_their_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = matrix(tmp_path, 0)
    x = INPUTS.compute_many(train.prompts.tolist())
    view = Texts(train.prompts.tolist(), x, EMBEDDED).learnt

    def apart() -> float:
        one, other = (Trees(seed).fit(view, train.score).predict(view) for seed in (0, 1))
        return float(np.abs(one - other).mean())

    averaged = apart()
    monkeypatch.setattr(learners, "TAUGHT", len(train))  # as much as one booster learns from
    assert 0.0 < averaged < 0.6 * apart()


_EDGES = ["< name", "< name a", "< name a force", "< name a force", "> force", "> a force", "> name a force"]


def test_words_of_the_question_and_of_its_options_are_told_apart() -> None:
    told = marks("What is force?\nA. mass\nB. force times time")
    assert {"what", "what is", "< what is", "> force ?", "| mass", "| time"} <= set(told)
    assert {"a", "b", "mass", "| what"}.isdisjoint(told)
    assert marks("Name a force") == ["name", "a", "force", "name a", "a force", *_EDGES]
