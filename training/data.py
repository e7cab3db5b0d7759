"""Results laid out as query x model matrices, and the only splits that may be made of them.

Everything that learns or measures gets its data here, so that two rules hold everywhere: samples are averaged before
anything else, and splits are by the text of the question, never by row. How files are read stands in
`training.rows`; what one file shares with another is found by `training.overlap`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.overlap import normalise
from training.rows import (
    DataError,
    Floats,
    Integers,
    Results,
    codes_of,
    count_tokens,
    known_of,
    read_results,
    read_table,
    values_of,
)

__all__ = [
    "DataError",
    "Floats",
    "Integers",
    "Matrix",
    "Results",
    "count_tokens",
    "folds",
    "question_ids",
    "read_results",
    "read_table",
    "sample_prompts",
    "sample_questions",
    "to_matrix",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """n queries x m models, samples averaged.

    Attributes:
        prompts, sources, categories: (n,) text per query.
        questions: (n,) integer per query; equal for equal normalised text. Split by it.
        models: (m,) names, in alphabetical order.
        score: (n, m) mean score 0..1, NaN where the model did not answer.
        usd: (n, m) mean cost in dollars, NaN likewise.
        tokens: (n, m) mean completion tokens, NaN where unknown.
    """

    prompts: NDArray[np.object_]
    sources: NDArray[np.object_]
    categories: NDArray[np.object_]
    questions: Integers
    models: tuple[str, ...]
    score: Floats
    usd: Floats
    tokens: Floats

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, rows: NDArray[Any]) -> Matrix:
        """The same models on these queries (indices or a mask)."""
        return Matrix(
            prompts=self.prompts[rows],
            sources=self.sources[rows],
            categories=self.categories[rows],
            questions=self.questions[rows],
            models=self.models,
            score=self.score[rows],
            usd=self.usd[rows],
            tokens=self.tokens[rows],
        )

    def pick(self, models: Sequence[str]) -> Matrix:
        """The same queries with these models, in this order.

        Raises:
            DataError: a model is not there.
        """
        absent = [name for name in models if name not in self.models]
        if absent:
            raise DataError(f"no rows of the model {', '.join(absent)}; the data has {', '.join(self.models)}")
        columns = [self.models.index(name) for name in models]
        return Matrix(
            prompts=self.prompts,
            sources=self.sources,
            categories=self.categories,
            questions=self.questions,
            models=tuple(models),
            score=self.score[:, columns],
            usd=self.usd[:, columns],
            tokens=self.tokens[:, columns],
        )

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(n,) whether every model answered the query."""
        return np.asarray(np.isfinite(self.score).all(axis=1))

    @property
    def means(self) -> Floats:
        """(m,) mean score per model over the queries that it answered."""
        answered = np.isfinite(self.score)
        return np.where(answered, self.score, 0.0).sum(axis=0) / np.maximum(answered.sum(axis=0), 1)


def to_matrix(results: Results) -> Matrix:
    """Lay the rows out as query x model, the mean over samples in each cell (weighted by `n_samples`)."""
    rows = results.rows
    query, first = _queries(rows)
    model, models = codes_of(rows, "model")
    shape = (len(first), len(models))
    cell = query * shape[1] + model
    weight = np.maximum(known_of(rows, "n_samples", 1.0), 1.0)
    prompts, sources, categories = (_texts_at(rows, name, first) for name in ("prompt", "source", "category"))
    return Matrix(
        prompts=prompts,
        sources=sources,
        categories=categories,
        questions=question_ids(prompts),
        models=tuple(models),
        score=_cell_means(values_of(rows, "score"), cell, weight, shape),
        usd=_cell_means(values_of(rows, "usd"), cell, weight, shape),
        tokens=_cell_means(values_of(rows, "completion_tokens"), cell, weight, shape),
    )


def question_ids(prompts: Iterable[str]) -> Integers:
    """(n,) an integer per prompt, equal where the normalised text is equal."""
    codes, _ = pd.factorize(np.array([normalise(prompt) for prompt in prompts], dtype=object))
    return codes.astype(np.intp)


def folds(questions: Integers, k: int = 5, *, seed: int = 0) -> Integers:
    """(n,) a fold 0..k-1 per query; a question keeps to one fold, and folds hold equally many questions."""
    distinct, member = np.unique(questions, return_inverse=True)
    if len(distinct) < k:
        raise DataError(f"{len(distinct)} distinct questions cannot make {k} folds; give more data or fewer folds")
    return (np.random.default_rng(seed).permutation(len(distinct)) % k)[member].astype(np.intp)


def sample_questions(questions: Integers, count: int, *, seed: int = 0) -> NDArray[np.bool_]:
    """(n,) True for the queries of `count` questions drawn at random (all of them where there are fewer)."""
    distinct, member = np.unique(questions, return_inverse=True)
    drawn = np.random.default_rng(seed).permutation(len(distinct)) < count
    return drawn[member]


def sample_prompts(matrix: Matrix, count: int, *, seed: int = 0) -> list[str]:
    """At most `count` prompts of different questions, drawn at random."""
    _, first = np.unique(matrix.questions, return_index=True)
    drawn = np.random.default_rng(seed).permutation(first)[:count]
    return [str(prompt) for prompt in matrix.prompts[drawn]]


def _texts_at(rows: pd.DataFrame, name: str, at: Integers) -> NDArray[np.object_]:
    codes, values = codes_of(rows, name)
    return np.array(values, dtype=object)[codes[at]]


def _queries(rows: pd.DataFrame) -> tuple[Integers, Integers]:
    """(rows,) the query of each row, and (n,) the first row of each query.

    A query is a source, an id and a text. Where ids number the rows rather than the questions (no id is
    shared by two models, but texts are), the text alone counts.
    """
    by_text, by_id = _groups(rows, ["source", "prompt"]), _groups(rows, ["source", "query_id", "prompt"])
    ids_number_rows = by_id.max() + 1 == len(rows) and by_text.max() < by_id.max()
    query = by_text if ids_number_rows else by_id
    _, first = np.unique(query, return_index=True)
    return query, first


def _groups(rows: pd.DataFrame, columns: list[str]) -> Integers:
    """(rows,) numbers from 0 in order of first appearance, equal where all columns are."""
    return np.asarray(rows.groupby(columns, observed=True, sort=False).ngroup(), dtype=np.intp)


def _cell_means(values: Floats, cell: Integers, weight: Floats, shape: tuple[int, int]) -> Floats:
    """(n, m) weighted means of the known values per cell, NaN where there is none."""
    known = np.isfinite(values)
    size = shape[0] * shape[1]
    total = np.bincount(cell[known], weights=(values * weight)[known], minlength=size)
    count = np.bincount(cell[known], weights=weight[known], minlength=size)
    with np.errstate(invalid="ignore"):
        return (total / count).reshape(shape)
