"""What an answer costs: the price of a model name, and where that price was found.

A price is never silently zero. It is looked for in this order, and what is found after the first step is
noted:

1. the price list (`prices.csv` beside the data, or the file named), by exact name;
2. the same list by the name without vendor, date and `-instruct` (`openai/gpt-4o-2024-08-06` is `gpt-4o`);
3. the row's own `cost_usd` (decided in `training.rows`, which sees the rows);
4. the size class that stands in the name (`...-8b`), at the usual hosting price of open weights of that size;
5. the size class of 70B, for want of any hint.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

Basis = Literal["list", "similar name", "size in the name", "no hint"]

GUESSED: frozenset[Basis] = frozenset({"size in the name", "no hint"})

PRICE_COLUMNS = ("model", "input_usd_per_million", "output_usd_per_million")

# Dollars per million tokens of hosted open weights by billions of parameters, as providers charged in 2024
# and 2025: the classes of the data directory's price list, so that a guessed price is comparable with a
# listed one.
SIZE_CLASSES: tuple[tuple[float, float], ...] = (
    (4.0, 0.05),
    (16.0, 0.2),
    (45.0, 0.3),
    (60.0, 0.5),
    (150.0, 0.9),
    (math.inf, 2.5),
)
UNKNOWN_SIZE_BILLIONS = 70.0  # the middle of what is offered: neither flatters nor rules out a model of unknown size

_SIZE = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z])")
_DATED = re.compile(
    r"(?:[-@_](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|\d{2}-\d{2}-\d{2}|\d{3}|preview|latest|instruct|inst|chat|it|hf|exp))+$"
)
_ACTIVE_SHARE = 0.35  # a mixture of experts is priced by about this share of its nominal size (8x7B costs like 20B)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per million tokens, and how it was found."""

    input: float
    output: float
    basis: Basis


def read_prices(path: Path) -> dict[str, Price]:
    """Read a price list: columns `model`, `input_usd_per_million`, `output_usd_per_million`.

    Raises:
        ValueError: a column is missing, or a price is not a positive number.
    """
    table = pd.read_csv(path)
    missing = [name for name in PRICE_COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path.name} lacks the columns {', '.join(missing)}; a price list has {', '.join(PRICE_COLUMNS)}"
        )
    prices: dict[str, Price] = {}
    for model, into, out in table[list(PRICE_COLUMNS)].itertuples(index=False):
        prices[str(model)] = Price(input=_dollars(path, model, into), output=_dollars(path, model, out), basis="list")
    return prices


def price_of(model: str, prices: Mapping[str, Price]) -> Price:
    """The price of a model, from the list if it can be found there, else by its size (see the module)."""
    if model in prices:
        return prices[model]
    similar = {plain_name(name): price for name, price in prices.items()}.get(plain_name(model))
    if similar is not None:
        return Price(input=similar.input, output=similar.output, basis="similar name")
    size = billions(model)
    usd = class_price(UNKNOWN_SIZE_BILLIONS if size is None else size)
    return Price(input=usd, output=usd, basis="no hint" if size is None else "size in the name")


def plain_name(model: str) -> str:
    """The name without vendor, date, version suffixes and punctuation, in lower case.

    >>> plain_name("anthropic/claude-3-5-haiku-20241022")
    'claude35haiku'
    """
    name = model.lower().rsplit("/", 1)[-1].split("@")[0].split(":")[0]
    return re.sub(r"[^a-z0-9]", "", _DATED.sub("", name))


def billions(model: str) -> float | None:
    """Billions of parameters by the name, or None; a mixture of experts counts as a third of its whole."""
    found = _SIZE.search(model.lower())
    if found is None:
        return None
    experts, size = found.groups()
    return float(size) if experts is None else int(experts) * float(size) * _ACTIVE_SHARE


def class_price(size: float) -> float:
    """Dollars per million tokens for so many billions of parameters."""
    return next(usd for limit, usd in SIZE_CLASSES if size <= limit)


def _dollars(path: Path, model: object, value: object) -> float:
    try:
        dollars = float(str(value))
    except ValueError:
        dollars = math.nan
    if not (math.isfinite(dollars) and dollars > 0):
        raise ValueError(f"{path.name}: {model} costs {value}; give positive dollars, or delete the row")
    return dollars
