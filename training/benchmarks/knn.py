"""The nearest-neighbour baseline, made strong: it is hard to beat, says Li 2025 (arXiv 2505.12601).

Cosine similarity on the same static encoder that the classifier uses; a model's success is its mean score
over the nearest training questions that it answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.benchmarks.routers import Asked, Judgement, from_success, known_means, labels_for
from training.data import Matrix

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]

NEIGHBOURS = 200  # the best of 25, 50, 100 and 200 on routellm_mmlu_dev and ulab_llmrouter, five-fold
PRIOR = 1.0  # neighbours' worth of the overall mean, for models that hardly any neighbour was answered by
MAX_SHARE = 0.1  # of few training questions no more count as near
BLOCK = 1024  # test queries at once: their similarities to 60,000 exemplars are 250 MB


class Knn:
    """Mean results of the `NEIGHBOURS` most similar training questions.

    Args:
        embed: texts -> (n, d) unit vectors.
    """

    name = "knn"
    learns = True
    names_success = True

    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    def fit(self, train: Matrix) -> None:
        """Keep the exemplars."""
        self._train = train
        self._vectors = self._embed(list(train.prompts))

    def judge(self, asked: Asked) -> Judgement:
        """Look the neighbours up."""
        labels = labels_for(self._train, asked)
        overall = known_means(labels, fallback=np.full(labels.shape[1], 0.5))
        vectors = self._embed(list(asked.prompts))
        blocks = [vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK)]
        return from_success(np.concatenate([self._means(block, labels, overall) for block in blocks]))

    def _means(
        self, vectors: Vectors, labels: NDArray[np.float64], overall: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(n, m) neighbours' means with a prior of the overall mean."""
        k = max(1, min(NEIGHBOURS, int(len(labels) * MAX_SHARE)))
        nearest = np.argpartition(-(vectors @ self._vectors.T), k - 1, axis=1)[:, :k]
        known = np.isfinite(labels)
        total = np.where(known, labels, 0.0)[nearest].sum(axis=1)
        count = known[nearest].sum(axis=1)
        return (total + PRIOR * overall) / (count + PRIOR)
