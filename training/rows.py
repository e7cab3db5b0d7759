"""Reading results files into rows of one form: types checked, samples kept apart, every row priced.

A results file (Parquet, CSV or JSON lines) has one row per query, model and sample, with the columns

    prompt, model, score (0..1)              required
    source, query_id, category               else the file's name, the prompt, "other"
    cost_usd, prompt_tokens, completion_tokens, reasoning_tokens, n_samples       where known

What is wrong with a file is said with the remedy; what is assumed is said in a note. A cost is never silently zero
(`training.prices`).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

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


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet, CSV or JSON-lines file as it is; text columns of Parquet files come as categoricals.

    Raises:
        DataError: the file is not there, not of these kinds, or not readable.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file; give the path of a .parquet, .csv or .jsonl file")
    read = _reader(path)
    try:
        return read(path)
    except DataError:
        raise
    except UnicodeDecodeError as error:
        remedy = "convert it to UTF-8, or unpack it if it is compressed"
        raise DataError(f"{path.name} is not text in UTF-8 (byte {error.start}): {remedy}") from error
    except (pa.ArrowException, ValueError, OSError) as error:
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


def count_tokens(text: str) -> float:
    """Tokens of a prompt by its size in UTF-8 (`BYTES_PER_TOKEN`); an estimate for costs only."""
    return max(1.0, np.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN))


def codes_of(rows: pd.DataFrame, name: str) -> tuple[Integers, list[str]]:
    """A text column as integers into its distinct values; both without values that no row has."""
    column: Any = rows[name]
    used = column.cat.remove_unused_categories()
    return used.cat.codes.to_numpy().astype(np.intp), list(used.cat.categories)


def values_of(rows: pd.DataFrame, name: str) -> Floats:
    """(rows,) a number column, NaN where unknown."""
    return np.asarray(rows[name], dtype=np.float64)


def known_of(rows: pd.DataFrame, name: str, default: float | Floats) -> Floats:
    """The column's values, the default where they are unknown."""
    values = values_of(rows, name)
    return np.where(np.isfinite(values), values, default)


def _reader(path: Path) -> Callable[[Path], pd.DataFrame]:
    match path.suffix.lower():
        case ".parquet":
            return _read_parquet
        case ".csv":
            return _read_csv
        case ".jsonl" | ".ndjson":
            return _read_lines
        case ".gz" | ".zst" | ".bz2" | ".xz" | ".zip" as packed:
            raise DataError(f"{path.name} is compressed ({packed}): unpack it first; Parquet is small as it is")
        case other:
            raise DataError(f"{path.name}: {other or 'no ending'} is not known; use .parquet, .csv or .jsonl")


def _read_parquet(path: Path) -> pd.DataFrame:
    texts = [f.name for f in pq.read_schema(path) if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    return pq.read_table(path, read_dictionary=texts).to_pandas()


def _read_csv(path: Path) -> pd.DataFrame:
    """Text columns stay as written: a prompt may well be `NA`, `null` or `12`."""
    missing = {name: ["", *NO_NUMBER] for name in NUMBER_COLUMNS} | {name: [""] for name in TEXT_COLUMNS}
    texts: Any = dict.fromkeys(TEXT_COLUMNS, str)
    return pd.read_csv(path, low_memory=False, keep_default_na=False, na_values=missing, dtype=texts)


def _read_lines(path: Path) -> pd.DataFrame:
    text = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode("utf-8")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return pd.DataFrame([_object(path, number, line) for number, line in lines])


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path.name}, line {number}: no JSON ({error.msg})") from error
    if not isinstance(row, dict):
        raise DataError(f"{path.name}, line {number}: every line must be a JSON object, one row of results")
    return cast("dict[str, Any]", row)


def _read_one(path: Path, prices: Path | None) -> Results:
    table = read_table(path)
    if not len(table.columns):
        raise DataError(f"{path.name} is empty; it needs {', '.join(REQUIRED)} in every row")
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
    texts = {name: _texts(table, name, path, defaults.get(name, "")) for name in TEXT_COLUMNS}
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


def _texts(table: pd.DataFrame, name: str, path: Path, default: str | pd.Series) -> pd.Series:
    """The column as a categorical of strings; missing values take the default (a text, or a column)."""
    column: Any = table[name] if name in table.columns else pd.Series(None, index=table.index, dtype=object)
    if column.isna().any():
        column = column.astype(object)
        column = column.where(column.notna(), default if isinstance(default, str) else default.astype(object))
    try:
        column = column.astype("category")
    except TypeError as error:
        remedy = "must hold plain text, not lists or objects; flatten it first"
        raise DataError(f"{path.name}: the column {name} {remedy}") from error
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
    codes, names = codes_of(rows, "model")
    found = [price_of(model, known) for model in names]
    into, out = np.array([p.input for p in found])[codes], np.array([p.output for p in found])[codes]
    usd = (_asked_tokens(rows) * into + known_of(rows, "completion_tokens", DEFAULT_ANSWER_TOKENS) * out) / 1e6
    stated = np.array([p.basis in GUESSED for p in found])[codes] & (known_of(rows, "cost_usd", 0.0) > 0.0)
    notes = _price_notes(dict(zip(names, found, strict=True)), {names[i] for i in np.unique(codes[stated])})
    return np.where(stated, values_of(rows, "cost_usd"), usd), notes


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
    codes, prompts = codes_of(rows, "prompt")
    counted = np.array([count_tokens(text) for text in prompts])[codes]
    return np.maximum(known_of(rows, "prompt_tokens", counted), 1.0)
