"""RouteLLM's matrix-factorisation router, written from its published formula for a static encoder.

Ong et al. 2024 (arXiv 2406.18665, section 4.2) score model M on query q with

    delta(M, q) = w2 . (v_M * (W1 q + b)),    P(M beats M' | q) = sigmoid(delta(M, q) - delta(M', q)),

v_M an embedding of the model, q one of the query, * elementwise, and minimise the cross-entropy of observed
preferences with Adam. A preference here is a difference of scores, with equal scores counted as half a win.
What they do with `text-embedding-3-small` and arena votes is done here with our static encoder and graded
answers, so that the comparison is of methods, not of embeddings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.benchmarks.knn import Embed
from training.benchmarks.routers import Asked, Judgement, labels_for
from training.data import Matrix

Floats = NDArray[np.float64]

DIMENSIONS = 128  # the paper's
EPOCHS = 10  # the best of 10, 30 and 100 on routellm_mmlu_dev and ulab_llmrouter, five-fold
BATCH = 64  # the paper's
RATE = 3e-4  # the paper's
DECAY = 1e-5  # the paper's weight decay
BETAS = (0.9, 0.999)  # Adam's defaults (Kingma and Ba 2015)
EPSILON = 1e-8


class MatrixFactorisation:
    """P(the strong model's answer is preferred | query).

    Args:
        embed: texts -> (n, d) unit vectors.
        seed: of the start and of the batches.
    """

    name = "mf"
    learns = True
    names_success = False

    def __init__(self, embed: Embed, *, seed: int = 0) -> None:
        self._embed = embed
        self._seed = seed

    def fit(self, train: Matrix) -> None:
        """Keep the results; the factors are fitted for the two models that are asked about."""
        self._train = train
        self._vectors = self._embed(list(train.prompts)).astype(np.float64)

    def judge(self, asked: Asked) -> Judgement:
        """Fit the factors for this pair, and score the prompts."""
        labels = labels_for(self._train, asked)
        wins = (1.0 + labels[:, -1] - labels[:, 0]) / 2.0
        known = np.isfinite(wins)
        factors = _fit(self._vectors[known], wins[known], np.random.default_rng(self._seed))
        return Judgement(gain=_logits(factors, self._embed(list(asked.prompts)).astype(np.float64)))


def _fit(queries: Floats, wins: Floats, rng: np.random.Generator) -> list[Floats]:
    """Adam on the cross-entropy: [v_strong - v_weak, W1, b, w2]: only this difference enters."""
    factors = [
        rng.normal(0.0, 1.0, DIMENSIONS),
        rng.normal(0.0, queries.shape[1] ** -0.5, (DIMENSIONS, queries.shape[1])),
        np.zeros(DIMENSIONS),
        rng.normal(0.0, DIMENSIONS**-0.5, DIMENSIONS),
    ]
    first, second = [np.zeros_like(f) for f in factors], [np.zeros_like(f) for f in factors]
    step = 0
    for _ in range(EPOCHS):
        shuffled = rng.permutation(len(wins))
        for start in range(0, len(wins), BATCH):
            step += 1
            batch = shuffled[start : start + BATCH]
            for i, slope in enumerate(_slopes(factors, queries[batch], wins[batch])):
                _adam(factors[i], slope + DECAY * factors[i], first[i], second[i], step)
    return factors


def _logits(factors: list[Floats], queries: Floats) -> Floats:
    """(n,) delta(strong, q) - delta(weak, q)."""
    versus, project, bias, out = factors
    return (queries @ project.T + bias) @ (versus * out)


def _slopes(factors: list[Floats], queries: Floats, wins: Floats) -> list[Floats]:
    """Gradients of the mean cross-entropy by every factor."""
    versus, project, bias, out = factors
    error = (1.0 / (1.0 + np.exp(-_logits(factors, queries))) - wins) / len(wins)
    pooled, total = error @ queries, error.sum()
    hidden = project @ pooled + bias * total
    return [out * hidden, np.outer(versus * out, pooled), versus * out * total, versus * hidden]


def _adam(factor: Floats, slope: Floats, first: Floats, second: Floats, step: int) -> None:
    """One step of Adam, in place."""
    first += (1.0 - BETAS[0]) * (slope - first)
    second += (1.0 - BETAS[1]) * (slope * slope - second)
    unbiased = second / (1.0 - BETAS[1] ** step)
    factor -= RATE * (first / (1.0 - BETAS[0] ** step)) / (np.sqrt(unbiased) + EPSILON)
