"""Heads of their own for models that have results: a blend of learners that fail in different ways.

Per question the learners predict the scores of all models at once, reduced to a few components where there are many
models (their scores rise and fall together). The blend is the plain mean: learnt weights gained nothing in nested
five-fold tests and cost four more fits.

    ridge        linear in vector and features, the classic floor
    neighbours   mean of the most similar questions
    words        ridge on TF-IDF of words and word pairs: what is asked about, verbatim
    category     which category a question belongs to, and how each model fares there
    trees        gradient-boosted trees on vector and features: interactions
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from classifier.head import softmax
from classifier.inputs import Inputs
from training.data import Matrix
from training.estimators import NeighbourMeans, PartScaler

Floats = NDArray[np.floating[Any]]
COMPONENTS = 6  # of the score matrix; beyond, singular vectors are noise
FEW = 2_000  # questions; below, words that occur once may carry the category
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

    Args:
        seed: of the trees.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed

    def fit(self, train: Matrix, inputs: Inputs) -> Self:
        """Fit all learners to (n, m) scores; missing ones are filled by question and model means."""
        self._mean, self._basis, y = _components(train.score)
        x = inputs.compute_many(list(train.prompts))
        embedded = inputs.sizes[0]
        self._scaler = PartScaler(embedded).fit(x)
        z = self._scaler.transform(x)
        self._neighbours = NeighbourMeans(embedded=embedded).fit(x, y)
        self._learners = [
            _Ridge().fit(z, y),
            _Trees(self._seed).fit(z, y),
            _Category().fit(z, y, train.categories.astype(str)),
        ]
        self._words = _Words().fit(list(train.prompts), y)
        return self

    def success(self, prompts: Sequence[str], inputs: Inputs) -> Floats:
        """(n, m) probabilities."""
        x = inputs.compute_many(list(prompts))
        z = self._scaler.transform(x)
        parts = [learner.predict(z) for learner in self._learners]
        y = np.mean([*parts, self._neighbours.predict(x), self._words.predict(prompts)], axis=0)
        return np.clip(y @ self._basis + self._mean, 0.01, 0.99)


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


class _Ridge:
    def fit(self, z: Floats, y: Floats) -> Self:
        self._model = Ridge(alpha=3000.0).fit(z, y)
        return self

    def predict(self, z: Floats) -> Floats:
        return np.asarray(self._model.predict(z)).reshape(len(z), -1)


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
        rare = 3 if len(prompts) > FEW else 1
        pattern = r"(?u)\w+"
        self._vectorizer = TfidfVectorizer(min_df=rare, sublinear_tf=True, ngram_range=(1, 2), token_pattern=pattern)
        self._model = Ridge(alpha=10.0, solver="lsqr", tol=1e-3).fit(self._vectorizer.fit_transform(prompts), y)
        return self

    def predict(self, prompts: Sequence[str]) -> Floats:
        return np.asarray(self._model.predict(self._vectorizer.transform(prompts))).reshape(len(prompts), -1)
