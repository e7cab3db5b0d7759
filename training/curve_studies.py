"""What the results files say of thinking: each pair of one model without (or with less) and with (more) thinking.

`curve_pairs.csv` says which two names in a file are one model, and the tokens of each. A pair becomes a `Study`: the
difference of the two log-odds of success, and its standard error.

- `aider`: pass rates of whole runs over 225 exercises; binomial errors.
- `misguided_attention`: the questions that both answered; errors by the jackknife over questions.
- `reasoning_gym`: holds no model both ways. What the bare model would have scored is read off the line of mean score
  over listed ability (logits) through the models that answer without thinking; how far off that line is (each of
  them left out once) counts as error, as does the jackknife over families of puzzles.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from training.abilities import abilities, listed
from training.data import DataError, Floats, Matrix, read_results, to_matrix
from training.rows import read_table
from training.tasks import KINDS, kind_of

PAIRS: Final = Path(__file__).with_name("curve_pairs.csv")
EXERCISES: Final = 225  # of the polyglot benchmark, says the data directory
MIN_COVERAGE: Final = 0.8  # of the questions: models that answered fewer are left out of the placement
THINKERS: Final = frozenset({"deepseek-r1", "grok-3-mini-beta", "o3-mini", "qwq-32b"})  # of reasoning_gym
# The policy's name for each of the classifier's kinds that a file is about.
POLICY_KIND: Final = {"puzzle": "logic", "mathematics": "mathematics", "code": "coding"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One model with less and with more thinking on one kind of task.

    Attributes:
        source: the results file. model: what the two have in common. kind: as the policy calls it.
        bare_tokens, tokens: the allowances. bare, thinking: rates of success, 0..1.
        error: standard error of the difference of their log-odds. weight: questions.
    """

    source: str
    model: str
    kind: str
    bare_tokens: int
    tokens: int
    bare: float
    thinking: float
    error: float
    weight: float

    @property
    def effect(self) -> float:
        """Log-odds that the thinking adds."""
        return float(logit(np.array(self.thinking)) - logit(np.array(self.bare)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One line of `curve_pairs.csv`."""

    model: str
    bare: str
    thinking: str
    bare_tokens: int
    tokens: int


def studies(data: Path) -> tuple[Study, ...]:
    """Every study that the data directory holds.

    Raises:
        DataError: a file is missing, or lacks a model of a pair.
    """
    return (*_aider(data), *_trick(data), *_puzzles(data))


def pairs(source: str) -> tuple[Pair, ...]:
    """The pairs of one results file."""
    with PAIRS.open(encoding="utf-8", newline="") as file:
        return tuple(
            Pair(
                model=row["model"],
                bare=row["bare"],
                thinking=row["thinking"],
                bare_tokens=int(row["bare_tokens"]),
                tokens=int(row["thinking_tokens"]),
            )
            for row in csv.DictReader(file)
            if row["source"] == source
        )


def logit(rate: Floats) -> Floats:
    """Log-odds, kept off the ends."""
    inside = np.clip(rate, 1e-3, 1 - 1e-3)
    return np.log(inside / (1 - inside))


def _aider(data: Path) -> Iterator[Study]:
    table: Any = read_table(data / "aider_polyglot.csv")
    passed = {str(m): float(r) / 100 for m, r in zip(table["model"], table["pass_rate_2"], strict=True)}
    for pair in pairs("aider"):
        low, high = (_of(passed, name, "aider_polyglot") for name in (pair.bare, pair.thinking))
        error = np.sqrt(sum(1 / (EXERCISES * rate * (1 - rate)) for rate in (low, high)))
        yield _study("aider", pair, kind="coding", rates=(low, high), error=float(error), weight=EXERCISES)


def _of(rates: dict[str, float], name: str, file: str) -> float:
    if name not in rates:
        raise DataError(f"{file} has no results of {name}, which curve_pairs.csv names; mend either")
    return rates[name]


def _trick(data: Path) -> Iterator[Study]:
    matrix = to_matrix(read_results([data / "misguided_attention.parquet"]))
    for pair in pairs("misguided_attention"):
        scores = matrix.pick([pair.bare, pair.thinking]).score
        both = scores[np.isfinite(scores).all(axis=1)]
        parts = np.array([_effect(np.delete(both, i, axis=0)) for i in range(len(both))])
        low, high = both.mean(axis=0).tolist()
        error = _jackknife(parts)
        yield _study("misguided_attention", pair, kind="trick", rates=(low, high), error=error, weight=len(both))


def _puzzles(data: Path) -> Iterator[Study]:
    matrix = to_matrix(read_results([data / "reasoning_gym.parquet"]))
    matrix = _answered(matrix, [pair.thinking for pair in pairs("reasoning_gym")])
    plain = [i for i, name in enumerate(matrix.models) if name not in THINKERS]
    ability = logit(abilities([matrix.models[i] for i in plain], matrix.means[plain].tolist()))
    of_kind = np.array([kind_of(str(c)) for c in matrix.categories], dtype=object)
    for name, kind in POLICY_KIND.items():
        rows = matrix.take(np.flatnonzero(of_kind == KINDS.index(name)))
        means = logit(rows.score[:, plain].mean(axis=0))
        for pair in pairs("reasoning_gym"):
            asked = float(logit(np.array(listed()[pair.bare])))
            placed, off = _placed(ability, means, asked)
            column = rows.score[:, rows.models.index(pair.thinking)]
            families = [column[rows.categories != c] for c in np.unique(rows.categories.astype(str))]
            spread = _jackknife(np.array([float(logit(part.mean())) for part in families if len(part)]))
            rates = (float(1 / (1 + np.exp(-placed))), float(column.mean()))
            error = float(np.hypot(off, spread))
            yield _study("reasoning_gym", pair, kind=kind, rates=rates, error=error, weight=len(rows))


def _answered(matrix: Matrix, needed: list[str]) -> Matrix:
    """The models that answered most of it, and the questions that they all answered."""
    share = np.isfinite(matrix.score).mean(axis=0)
    kept = [
        n for n, s in zip(matrix.models, share, strict=True) if n in needed or (n not in THINKERS and s >= MIN_COVERAGE)
    ]
    picked = matrix.pick(kept)
    return picked.take(picked.complete)


def _placed(ability: Floats, means: Floats, asked: float) -> tuple[float, float]:
    """The mean's logit that the line gives at an ability, and how far off it is for a model that it has not seen."""
    slope, offset = np.polyfit(ability, means, 1)
    misses: list[float] = []
    for i in range(len(ability)):
        others = np.delete(np.arange(len(ability)), i)
        a, b = np.polyfit(ability[others], means[others], 1)
        misses.append(float(means[i] - (a * ability[i] + b)))
    return float(slope * asked + offset), float(np.sqrt(np.mean(np.square(misses))))


def _effect(scores: Floats) -> float:
    low, high = logit(scores.mean(axis=0))
    return float(high - low)


def _jackknife(parts: Floats) -> float:
    """Standard error from the figure with each unit left out once (Tukey 1958)."""
    n = len(parts)
    return float(np.sqrt((n - 1) / n * np.square(parts - parts.mean()).sum())) if n > 1 else 1.0


def _study(source: str, pair: Pair, *, kind: str, rates: tuple[float, float], error: float, weight: int) -> Study:
    return Study(
        source=source,
        model=pair.model,
        kind=kind,
        bare_tokens=pair.bare_tokens,
        tokens=pair.tokens,
        bare=rates[0],
        thinking=rates[1],
        error=error,
        weight=float(weight),
    )
