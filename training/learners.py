"""The learners that heads are blended from: each predicts all columns of the targets, each fails in its own way.

    words        ridge on TF-IDF of words, pairs, openings and endings, answer options apart: what is asked about
    category     which category a question belongs to (by its words and by its vector), and how each model fares there
    trees        gradient-boosted trees on vector and features: interactions
    kernel       ridge on a Gaussian of vector and features: what similar questions say

Ridge on the dense vector, a small network, means of the nearest questions (by the vector, and by categories' odds),
means of clusters, and a kernel with latent semantic dimensions were tried too; the blend is no better with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, Protocol, Self, cast

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from classifier.head import softmax
from classifier.text import HEAD_CHARS
from training.estimators import PartScaler

Floats = NDArray[np.floating[Any]]
FEW: Final = 2_000  # questions; below, words that occur once may carry the category
SHRINK: Final = 10.0  # questions' worth of the overall mean in a category's mean
SHRINKAGE: Final = 0.3  # of the covariance within categories towards a sphere
# What the two views of a category's odds count; discriminant analysis is far too sure of itself where it stands alone
BY_VECTOR, BY_WORDS = 0.35, 5.0
TREES: Final[dict[str, Any]] = {
    "objective": "regression", "learning_rate": 0.05, "num_leaves": 15, "max_bin": 31, "min_child_samples": 40,
    "feature_fraction": 0.3, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0,
    "verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
ROUNDS: Final = 120
# Boosters of one column whose mean is taken, and the questions that all of them together may learn from: of a thousand
# questions each booster has noise of its own, of ten thousand it is steadier, and a further one costs ten times more.
COPIES, TAUGHT = 5, 20_000
COMPONENTS: Final = 8  # boosters at most; a file of fifty models would take minutes
LANDMARKS: Final = 2_000  # questions that the kernel compares with; its fit costs their number squared
RIDGE: Final = 4.0  # of the kernel, in questions
FEATURES: Final = 0.05  # what a deviation of a hand feature counts beside a vector of length 1
_PART = re.compile(r"\w+|[^\w\s]")
_OPTION = re.compile(r"\n\s{0,3}\(?[a-z][.):]\s")


class Texts:
    """Questions in the forms that the learners read; those asked about are brought to the forms of those learnt from.

    Args:
        prompts: (n,) texts. x: (n, D) the classifier's inputs, of which the first `embedded` are the vector.
    """

    def __init__(self, prompts: Sequence[str], x: Floats, embedded: int) -> None:
        self._scaler = PartScaler(embedded).fit(x)
        self._words = TfidfVectorizer(
            min_df=2 if len(prompts) > FEW else 1, sublinear_tf=True, analyzer=cast("Any", marks)
        )
        self.learnt = self._view(x, self._words.fit_transform(prompts))

    def view(self, prompts: Sequence[str], x: Floats) -> View:
        """These questions, in the same forms."""
        return self._view(x, self._words.transform(prompts))

    def _view(self, x: Floats, words: Any) -> View:  # noqa: ANN401 - scipy's sparse matrices have no stubs
        return View(x, np.asarray(self._scaler.transform(x), np.float32), words)


class View:
    """n questions: inputs x (n, D), the same standardised z (n, D), and word weights (n, V), sparse."""

    def __init__(self, x: Floats, z: Floats, words: Any) -> None:  # noqa: ANN401 - scipy's sparse matrices have no stubs
        self.x, self.z, self.words = x, z, words


class Learner(Protocol):
    """Targets (n, r) from views."""

    def fit(self, view: View, y: Floats) -> Self:
        """Learn."""
        ...

    def predict(self, view: View) -> Floats:
        """(n, r)."""
        ...


class Words:
    """Ridge on words."""

    def fit(self, view: View, y: Floats) -> Self:
        """See `Learner`."""
        self._model = Ridge(alpha=5.0, solver="lsqr", tol=1e-3).fit(view.words, y)
        return self

    def predict(self, view: View) -> Floats:
        """See `Learner`."""
        return np.asarray(self._model.predict(view.words)).reshape(view.words.shape[0], -1)


class Category:
    """Odds of the categories, and the mean per category.

    The odds: linear discriminant analysis with a shrunken common covariance on the vector, tempered, times the
    exponential of a ridge on words.

    Args:
        categories: (n,) of the questions to learn from.
    """

    def __init__(self, categories: NDArray[Any]) -> None:
        self._categories = categories

    def fit(self, view: View, y: Floats) -> Self:
        """See `Learner`."""
        _, member = np.unique(self._categories, return_inverse=True)
        count = np.bincount(member)[:, None].astype(float)
        total = np.stack([np.bincount(member, weights=column) for column in y.T], axis=1)
        self._means = (total + SHRINK * y.mean(0)) / (count + SHRINK)
        one_hot = (member[:, None] == np.arange(len(count))).astype(np.float32)
        centres = (one_hot.T @ view.z) / (count + 1.0)
        within = view.z - centres[member]
        spread = within.T @ within / len(member)
        shrunk = (1 - SHRINKAGE) * spread + SHRINKAGE * np.trace(spread) / len(spread) * np.eye(len(spread))
        self._directions = np.linalg.solve(shrunk, centres.T)
        self._offsets = np.log(count[:, 0] / len(member)) - 0.5 * (centres * self._directions.T).sum(1)
        self._by_words = Ridge(alpha=0.7, solver="lsqr", tol=1e-3).fit(view.words, one_hot)
        return self

    def predict(self, view: View) -> Floats:
        """See `Learner`."""
        by_words = np.asarray(self._by_words.predict(view.words)).reshape(len(view.z), -1)
        return softmax(BY_VECTOR * (view.z @ self._directions + self._offsets) + BY_WORDS * by_words) @ self._means


class Trees:
    """Boosted trees, a few boosters a column, or a principal component where there are many columns.

    The boosters of a column differ in the rows and inputs that they draw, and their mean is taken (bagging, Breiman
    1996). Only what costs so much is reduced: with all learners on components of 29 models' scores, what sets the
    models apart by category was lost (+.2 points at the best model's cost against +1.5).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def fit(self, view: View, y: Floats) -> Self:
        """See `Learner`."""
        self._basis = _directions(y)
        copies = min(max(round(TAUGHT / len(y)), 1), COPIES)
        draws = [{**TREES, "seed": self._seed * COPIES + copy} for copy in range(copies)]
        data = [lightgbm.Dataset(view.z, column) for column in (y @ self._basis.T).T]
        self._models = [[lightgbm.train(draw, one, ROUNDS) for draw in draws] for one in data]
        return self

    def predict(self, view: View) -> Floats:
        """See `Learner`."""
        columns = [np.mean([np.asarray(one.predict(view.z)) for one in models], axis=0) for models in self._models]
        return np.stack(columns, axis=1) @ self._basis


class Kernel:
    """Kernel ridge on a sample of landmarks (the subset of regressors, Williams and Seeger 2001)."""

    def __init__(self, seed: int, embedded: int) -> None:
        self._seed, self._embedded = seed, embedded

    def fit(self, view: View, y: Floats) -> Self:
        """See `Learner`."""
        points = self._points(view)
        drawn = np.random.default_rng(self._seed).permutation(len(points))[:LANDMARKS]
        self._landmarks, self._mean = points[np.sort(drawn)], y.mean(axis=0)
        across, among = _gaussian(points, self._landmarks), _gaussian(self._landmarks, self._landmarks)
        system = (across.T @ across).astype(np.float64) + RIDGE * among + 1e-3 * np.eye(len(among))
        self._weights = np.linalg.solve(system, across.T @ (y - self._mean))
        return self

    def predict(self, view: View) -> Floats:
        """See `Learner`."""
        return _gaussian(self._points(view), self._landmarks) @ self._weights + self._mean

    def _points(self, view: View) -> Floats:
        vector = view.x[:, : self._embedded]
        length = np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-9)
        return np.concatenate((vector / length, FEATURES * view.z[:, self._embedded :]), axis=1).astype(np.float32)


def _directions(y: Floats) -> Floats:
    """(r, m) columns themselves, or the directions in which (n, m) columns vary most."""
    if y.shape[1] <= COMPONENTS:
        return np.eye(y.shape[1])
    return np.linalg.svd(y, full_matrices=False)[2][:COMPONENTS]


def _gaussian(a: Floats, b: Floats) -> Floats:
    """(n, m) exp(-|a - b|^2)."""
    distance = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * (a @ b.T)
    return np.exp(-np.maximum(distance, 0.0))


def marks(text: str) -> list[str]:
    """What a question is told by: its words, symbols and pairs of them, how it opens and ends; words of its options.

    The options are told apart: `force` among answers says less of the subject than `force` in what is asked.
    """
    shown = text.lower()[:HEAD_CHARS]
    options = _OPTION.search(shown)
    asked = _PART.findall(shown[: options.start()] if options else shown)
    offered = _PART.findall(_OPTION.sub(" ", shown[options.start() :])) if options else []
    runs = [f"{a} {b}" for a, b in pairwise(asked)]
    opening = ["< " + " ".join(asked[:n]) for n in (1, 2, 3, 4)]
    ending = ["> " + " ".join(asked[-n:]) for n in (1, 2, 3)]
    return [*asked, *runs, *opening, *ending, *(f"| {part}" for part in offered)]
