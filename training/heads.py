"""Heads of their own for models that have results: a blend of learners that fail in different ways.

Per question the learners predict the scores of all models at once, reduced to a few components where there are many
models (their scores rise and fall together). A pair's gain is the difference of its two heads; heads fitted to the gain
itself ranked worse (trees .622 against .635 of APGR on routellm_mmlu_dev).

    words        ridge on TF-IDF of words, symbols and runs of up to three: what is asked about, verbatim; counts twice
    category     which category a question belongs to, and how each model fares there
    trees        gradient-boosted trees on vector and features: interactions
    neighbours   mean of the most similar questions

Ridge on the dense vector and a small network were tried too; the blend is no better with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self, cast

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from classifier.head import softmax
from classifier.inputs import Inputs
from classifier.text import HEAD_CHARS
from training.data import Matrix, folds
from training.estimators import NeighbourMeans, PartScaler

Floats = NDArray[np.floating[Any]]
COMPONENTS = 6  # of the score matrix; beyond, singular vectors are noise
FEW = 2_000  # questions; below, words that occur once may carry the category
INNER = 3  # folds for the stretch
PULL = 100.0  # questions' worth of belief that no stretch is needed
WORDS = 2.0  # times that `words` counts
_PART = re.compile(r"\w+|[^\w\s]")
SHRINK = 10.0  # questions' worth of the overall mean in a category's mean
TREES: dict[str, Any] = {
    "objective": "regression", "learning_rate": 0.05, "num_leaves": 15, "max_bin": 31, "min_child_samples": 40,
    "feature_fraction": 0.3, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0,
    "verbose": -1, "num_threads": 2, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
ROUNDS = 120
SHRINKAGE = 0.3  # of the covariance within categories towards a sphere


class Heads:
    """Success of m models that have results.

    The phases of a fit: reduce the scores to components; blend the learners on three folds in turn, to see how much too
    timid their mean is (means of learners always are); fit them on everything, and stretch what they say by that.

    Args:
        seed: of the trees and the folds.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed

    def fit(self, train: Matrix, inputs: Inputs) -> Self:
        """Fit all learners to (n, m) scores; missing ones are filled by question and model means."""
        self._mean, self._basis, y = _components(train.score)
        x = inputs.compute_many(list(train.prompts))
        self._stretch = self._stretches(train, x, y, inputs.sizes[0])
        self._blend = _Blend(self._seed, inputs.sizes[0]).fit(train, x, y)
        return self

    def success(self, prompts: Sequence[str], inputs: Inputs) -> Floats:
        """(n, m) probabilities."""
        y = self._blend.predict(prompts, inputs.compute_many(list(prompts))) * self._stretch
        return np.clip(y @ self._basis + self._mean, 0.01, 0.99)

    def _stretches(self, train: Matrix, x: Floats, y: Floats, embedded: int) -> Floats:
        """Least-squares factor per component (r,) of held-out predictions, drawn to 1 by few questions."""
        if len(np.unique(train.questions)) < INNER:
            return np.ones(y.shape[1])
        fold, held = folds(train.questions, INNER, seed=self._seed), np.zeros_like(y)
        for k in range(INNER):
            here, rest = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
            blend = _Blend(self._seed, embedded).fit(train.take(rest), x[rest], y[rest])
            held[here] = blend.predict(train.prompts[here].tolist(), x[here])
        pull = PULL * (held**2).mean(axis=0) + 1e-9
        return np.clip(((held * y).sum(0) + pull) / ((held**2).sum(0) + pull), 0.2, 2.0)


class _Blend:
    """The learners side by side, and their weighted mean."""

    def __init__(self, seed: int, embedded: int) -> None:
        self._seed, self._embedded = seed, embedded

    def fit(self, train: Matrix, x: Floats, y: Floats) -> Self:
        self._scaler = PartScaler(self._embedded).fit(x)
        z = self._scaler.transform(x)
        self._neighbours = NeighbourMeans(embedded=self._embedded).fit(x, y)
        self._category = _Category().fit(z, y, train.categories.astype(str))
        self._trees = _Trees(self._seed).fit(z, y)
        self._words = _Words().fit(list(train.prompts), y)
        return self

    def predict(self, prompts: Sequence[str], x: Floats) -> Floats:
        z = self._scaler.transform(x)
        words, others = self._words.predict(prompts), (self._category.predict(z), self._trees.predict(z))
        return (WORDS * words + sum(others) + self._neighbours.predict(x)) / (WORDS + 3.0)


def _components(score: Floats) -> tuple[Floats, Floats, Floats]:
    """Column means (m,), basis (r, m) and coordinates (n, r) of the centred scores."""
    known = np.isfinite(score)
    mean = np.where(known, score, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    centred = np.where(known, score - mean, 0.0)
    question = centred.sum(1) / (known.sum(1) + 1.0)
    filled = np.where(known, centred, question[:, None])
    if score.shape[1] <= COMPONENTS:
        return mean, np.eye(score.shape[1]), filled
    _, _, rows = np.linalg.svd(filled, full_matrices=False)
    return mean, rows[:COMPONENTS], filled @ rows[:COMPONENTS].T


class _Trees:
    def __init__(self, seed: int) -> None:
        self._parameters = {**TREES, "seed": seed}

    def fit(self, z: Floats, y: Floats) -> Self:
        columns = range(y.shape[1])
        self._models = [lightgbm.train(self._parameters, lightgbm.Dataset(z, y[:, c]), ROUNDS) for c in columns]
        return self

    def predict(self, z: Floats) -> Floats:
        return np.stack([np.asarray(model.predict(z)) for model in self._models], axis=1)


class _Category:
    """Linear discriminant analysis with a shrunken common covariance, in closed form."""

    def fit(self, z: Floats, y: Floats, categories: NDArray[Any]) -> Self:
        _, member = np.unique(categories, return_inverse=True)
        count = np.bincount(member)[:, None].astype(float)
        total = np.stack([np.bincount(member, weights=column) for column in y.T], axis=1)
        self._means = (total + SHRINK * y.mean(0)) / (count + SHRINK)
        one_hot = (member[:, None] == np.arange(len(count))).astype(np.float32)
        centres = (one_hot.T @ z) / (count + 1.0)
        within = z - centres[member]
        spread = within.T @ within / len(z)
        shrunk = (1 - SHRINKAGE) * spread + SHRINKAGE * np.trace(spread) / len(spread) * np.eye(len(spread))
        self._directions = np.linalg.solve(shrunk, centres.T)
        self._offsets = np.log(count[:, 0] / len(z)) - 0.5 * (centres * self._directions.T).sum(1)
        return self

    def predict(self, z: Floats) -> Floats:
        return softmax(z @ self._directions + self._offsets) @ self._means


class _Words:
    def fit(self, prompts: Sequence[str], y: Floats) -> Self:
        self._vectorizer = TfidfVectorizer(
            min_df=2 if len(prompts) > FEW else 1, sublinear_tf=True, analyzer=cast("Any", _ngrams)
        )
        self._model = Ridge(alpha=5.0, solver="lsqr", tol=1e-3).fit(self._vectorizer.fit_transform(prompts), y)
        return self

    def predict(self, prompts: Sequence[str]) -> Floats:
        return np.asarray(self._model.predict(self._vectorizer.transform(prompts))).reshape(len(prompts), -1)


def _ngrams(text: str) -> list[str]:
    """Words and symbols of a text, and runs of two and three of them."""
    parts = _PART.findall(text.lower()[:HEAD_CHARS])
    return [" ".join(parts[i : i + n]) for n in (1, 2, 3) for i in range(len(parts) - n + 1)]
