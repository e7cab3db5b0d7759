"""Reading results ("who answered what, how well") and laying them out as query x model matrices.

A results file (Parquet, CSV or JSON lines) has one row per query, model and sample, with the columns

    prompt, model, score (0..1)              required
    source, query_id, category               else the file's name, the prompt, "other"
    cost_usd, prompt_tokens, completion_tokens, reasoning_tokens, n_samples       where known

Everything that learns or measures gets its data here, so that three rules hold everywhere: samples are
averaged before anything else; splits are by the text of the question, never by row; a cost is never silently
zero (`training.prices`). What one file shares with another is found by `training.overlap`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training.overlap import normalise
from training.prices import GUESSED, Basis, Price, price_of, read_prices

REQUIRED = ("prompt", "model", "score")
TEXT_COLUMNS = ("prompt", "model", "source", "query_id", "category")
NUMBER_COLUMNS = ("score", "cost_usd", "prompt_tokens", "completion_tokens", "reasoning_tokens", "n_samples")
NO_NUMBER = ("nan", "NaN", "NA", "null", "None")  # how programs write a missing number
BYTES_PER_TOKEN = 4.0  # of English and code in the common vocabularies; Chinese comes to .75 token a character
DEFAULT_ANSWER_TOKENS = 200.0  # what the data directory's README takes where a row gives none

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


class DataError(ValueError):
    """A results file cannot be used as it is; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The rows of one or more results files in one form.

    Attributes:
        rows: one row per query, model and sample; text columns are categorical, numbers float64 with NaN for
            unknown. `usd` is the row's cost.
        notes: what was dropped, assumed or guessed, in sentences for the user.
    """

    rows: pd.DataFrame
    notes: tuple[str, ...]


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


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet, CSV or JSON-lines file as it is; text columns of Parquet files come as categoricals.

    Raises:
        DataError: the file is not there, not of these kinds, or not readable.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file; give the path of a .parquet, .csv or .jsonl file")
    try:
        match path.suffix.lower():
            case ".parquet":
                return _read_parquet(path)
            case ".csv":
                return _read_csv(path)
            case ".jsonl" | ".ndjson":
                return _read_lines(path)
            case other:
                raise DataError(f"{path.name}: {other or 'no ending'} is not known; use .parquet, .csv or .jsonl")
    except (pa.ArrowException, ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path.name} cannot be read as {path.suffix}: {error}") from error


def read_results(paths: Iterable[Path], *, prices: Path | None = None) -> Results:
    """Read results files; costs follow from `prices`, or from a `prices.csv` beside each file.

    Raises:
        DataError: a file cannot be read, a column is missing, a score is outside 0..1, or no row remains.
    """
    parts = [_read_one(path, prices) for path in paths]
    if not parts:
        raise DataError("no data file was given")
    rows = pd.concat([part.rows.astype(dict.fromkeys(TEXT_COLUMNS, object)) for part in parts], ignore_index=True)
    return Results(
        rows=rows.astype(dict.fromkeys(TEXT_COLUMNS, "category")),
        notes=tuple(note for part in parts for note in part.notes),
    )


def to_matrix(results: Results) -> Matrix:
    """Lay the rows out as query x model, the mean over samples in each cell (weighted by `n_samples`)."""
    rows = results.rows
    query, first = _queries(rows)
    model, models = _codes(rows, "model")
    shape = (len(first), len(models))
    cell = query * shape[1] + model
    weight = np.maximum(_known(rows, "n_samples", 1.0), 1.0)
    prompts, sources, categories = (_texts_at(rows, name, first) for name in ("prompt", "source", "category"))
    return Matrix(
        prompts=prompts,
        sources=sources,
        categories=categories,
        questions=question_ids(prompts),
        models=tuple(models),
        score=_cell_means(_values(rows, "score"), cell, weight, shape),
        usd=_cell_means(_values(rows, "usd"), cell, weight, shape),
        tokens=_cell_means(_values(rows, "completion_tokens"), cell, weight, shape),
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


def count_tokens(text: str) -> float:
    """Tokens of a prompt by its size in UTF-8 (`BYTES_PER_TOKEN`); an estimate for costs only."""
    return max(1.0, np.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN))


def _read_parquet(path: Path) -> pd.DataFrame:
    texts = [f.name for f in pq.read_schema(path) if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    return pq.read_table(path, read_dictionary=texts).to_pandas()


def _read_csv(path: Path) -> pd.DataFrame:
    """Text columns stay as written: a prompt may well be `NA`, `null` or `12`."""
    missing = {name: ["", *NO_NUMBER] for name in NUMBER_COLUMNS} | {name: [""] for name in TEXT_COLUMNS}
    texts: Any = dict.fromkeys(TEXT_COLUMNS, str)
    return pd.read_csv(path, low_memory=False, keep_default_na=False, na_values=missing, dtype=texts)


def _read_lines(path: Path) -> pd.DataFrame:
    rows: list[Any] = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path.name}: every line must be a JSON object")
    return pd.DataFrame(rows)


def _read_one(path: Path, prices: Path | None) -> Results:
    table = read_table(path)
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        have = ", ".join(map(str, table.columns))
        raise DataError(f"{path.name} lacks {', '.join(missing)} (it has {have}); rename its columns, or add them")
    rows, dropped = _clean(table, path)
    known = _price_list(path, prices)
    rows["usd"], guesses = _costs(rows, known)
    notes = [f"{path.name}: {dropped} rows without prompt, model or score were left out"] if dropped else []
    return Results(rows=rows, notes=(*notes, *(f"{path.name}: {guess}" for guess in guesses)))


def _clean(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, int]:
    """The known columns in their types, without the rows that say nothing, and how many those were."""
    numbers = {name: _numbers(table, name, path) for name in NUMBER_COLUMNS}
    kept = np.isfinite(numbers["score"]) & ~np.asarray(table[["prompt", "model"]].isna().any(axis=1))
    if not kept.any():
        raise DataError(f"{path.name} has no row with a prompt, a model and a score")
    low, high = numbers["score"][kept].min(), numbers["score"][kept].max()
    if low < 0.0 or high > 1.0:
        raise DataError(f"{path.name}: scores run from {low:g} to {high:g}; bring them into 0..1")
    defaults: dict[str, Any] = {"source": path.stem, "query_id": table["prompt"], "category": "other"}
    texts = {name: _texts(table, name, defaults.get(name, "")) for name in TEXT_COLUMNS}
    rows = pd.DataFrame({**texts, **numbers}, index=table.index).loc[kept].reset_index(drop=True)
    return rows, int((~kept).sum())


def _numbers(table: pd.DataFrame, name: str, path: Path) -> Floats:
    """The column as floats, NaN where it or the value is missing."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    try:
        column: Any = pd.to_numeric(table[name])
        values = column.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path.name}: the column {name} holds something that is no number ({error})") from error
    return values if name == "score" else np.where(values >= 0.0, values, np.nan)  # nothing else can be negative


def _texts(table: pd.DataFrame, name: str, default: str | pd.Series) -> pd.Series:
    """The column as a categorical of strings; missing values take the default (a text, or a column)."""
    column: Any = table[name] if name in table.columns else pd.Series(None, index=table.index, dtype=object)
    if column.isna().any():
        column = column.astype(object)
        column = column.where(column.notna(), default if isinstance(default, str) else default.astype(object))
    try:
        column = column.astype("category")
    except TypeError as error:
        raise DataError(f"the column {name} must hold plain text, not lists or objects; flatten it first") from error
    names = [str(value) for value in column.cat.categories]
    if len(set(names)) < len(names):  # 1 and "1" in a column of mixed types
        return column.astype(str).astype("category")
    return column.cat.rename_categories(names)


def _price_list(path: Path, prices: Path | None) -> dict[str, Price]:
    beside = path.parent / "prices.csv"
    chosen = prices or (beside if beside.is_file() else None)
    try:
        return {} if chosen is None else read_prices(chosen)
    except (ValueError, OSError) as error:
        raise DataError(f"the price list cannot be used: {error}") from error


def _costs(rows: pd.DataFrame, known: Mapping[str, Price]) -> tuple[Floats, list[str]]:
    """Dollars per row, and a note for every way in which a price was not simply listed."""
    codes, names = _codes(rows, "model")
    found = [price_of(model, known) for model in names]
    into, out = np.array([p.input for p in found])[codes], np.array([p.output for p in found])[codes]
    usd = (_asked_tokens(rows) * into + _known(rows, "completion_tokens", DEFAULT_ANSWER_TOKENS) * out) / 1e6
    stated = np.array([p.basis in GUESSED for p in found])[codes] & (_known(rows, "cost_usd", 0.0) > 0.0)
    notes = _price_notes(dict(zip(names, found, strict=True)), {names[i] for i in np.unique(codes[stated])})
    return np.where(stated, _values(rows, "cost_usd"), usd), notes


def _price_notes(found: Mapping[str, Price], stated: set[str]) -> list[str]:
    """One sentence per basis other than the list."""

    def by(basis: Basis) -> list[str]:
        return [model for model, price in found.items() if price.basis == basis and model not in stated]

    groups = {
        "priced by the same name without vendor and date": by("similar name"),
        "not in the price list: the rows' own cost_usd was taken": sorted(stated),
        "not in the price list: priced by the size in the name": by("size in the name"),
        "not in the price list, no size in the name: priced like a 70B model (mend it with --prices)": by("no hint"),
    }
    return [f"{what}: {', '.join(models)}" for what, models in groups.items() if models]


def _asked_tokens(rows: pd.DataFrame) -> Floats:
    """Prompt tokens per row, counted where the file gives none."""
    codes, prompts = _codes(rows, "prompt")
    counted = np.array([count_tokens(text) for text in prompts])[codes]
    return np.maximum(_known(rows, "prompt_tokens", counted), 1.0)


def _codes(rows: pd.DataFrame, name: str) -> tuple[Integers, list[str]]:
    """A text column as integers into its distinct values; both without values that no row has."""
    column: Any = rows[name]
    used = column.cat.remove_unused_categories()
    return used.cat.codes.to_numpy().astype(np.intp), list(used.cat.categories)


def _texts_at(rows: pd.DataFrame, name: str, at: Integers) -> NDArray[np.object_]:
    codes, values = _codes(rows, name)
    return np.array(values, dtype=object)[codes[at]]


def _values(rows: pd.DataFrame, name: str) -> Floats:
    return np.asarray(rows[name], dtype=np.float64)


def _known(rows: pd.DataFrame, name: str, default: float | Floats) -> Floats:
    """The column's values, the default where they are unknown."""
    values = _values(rows, name)
    return np.where(np.isfinite(values), values, default)


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
