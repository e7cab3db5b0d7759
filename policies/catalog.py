"""The models that may be decided over, checked and prepared.

Everything that does not depend on a query is computed here, once per catalogue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import cast

from policies.candidates import allowances
from policies.cost import dearest_input, dearest_output, prices_at
from policies.errors import CatalogError, NoPrice, UnknownModel
from policies.types import Control, Model, Prices


@dataclass(frozen=True, slots=True, eq=False)  # hashed by identity, which is quick
class Entry:
    """One model with what every decision needs of it, worked out once.

    Attributes:
        prices: in force; `price_worst_*` are the dearest that such a token may be billed at.
        steps: its allowances, rising.
        provider: who runs it, the part of LiteLLM's name before the slash.
        takes_tokens: whether any number of thinking tokens may be granted.
        variants: the same model at other prices, by the identity of the rule's prices.
    """

    model: Model
    prices: Prices
    steps: tuple[int, ...]
    provider: str
    takes_tokens: bool
    price_input: int
    price_output: int
    price_reasoning: int
    price_cached: int
    price_worst_input: int
    price_worst_output: int
    variants: Mapping[int, Entry]

    def at(self, input_tokens: int, now_s: float | None) -> Entry:
        """The entry with the prices in force for a prompt of this length at this time."""
        if not self.variants:
            return self
        prices = prices_at(self.model, input_tokens=input_tokens, now_s=now_s)
        return self if prices is self.prices else self.variants[id(prices)]


class Catalog:
    """The models in ladder order. Immutable; two catalogues of equal content have equal versions.

    Args:
        models: from the cheapest tier upwards; tiers keep the order of their first model.

    Raises:
        CatalogError: no model, a name twice, or a model that contradicts itself. NoPrice: a model without a
            price.
    """

    def __init__(self, models: Iterable[Model]) -> None:
        self.models = tuple(models)
        if not self.models:
            raise CatalogError("The catalogue is empty: configure at least one model.")
        for model in self.models:
            _check(model)
        self._by_id: Mapping[str, int] = MappingProxyType({m.id: i for i, m in enumerate(self.models)})
        if len(self._by_id) < len(self.models):
            names = [m.id for m in self.models]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise CatalogError(f"Model names must differ; given more than once: {', '.join(twice)}.")
        self.tiers = tuple(dict.fromkeys(m.tier for m in self.models))
        self.entries = tuple(_entry(m) for m in self.models)
        self.version = _version(self.models)
        self.all_available = all(m.available for m in self.models)

    def __len__(self) -> int:
        return len(self.models)

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._by_id

    def __repr__(self) -> str:
        return f"Catalog({', '.join(self._by_id)}; version {self.version})"

    def get(self, model_id: str) -> Model:
        """The model of that name.

        Raises:
            UnknownModel: there is none.
        """
        return self.entry(model_id).model

    def entry(self, model_id: str) -> Entry:
        """The prepared model of that name.

        Raises:
            UnknownModel: there is none.
        """
        index = self._by_id.get(model_id)
        if index is None:
            raise UnknownModel(model_id)
        return self.entries[index]

    def tier(self, name: str) -> tuple[Model, ...]:
        """The models of a tier, in ladder order; empty where there is no such tier."""
        return tuple(m for m in self.models if m.tier == name)


def _entry(model: Model) -> Entry:
    variants = {id(rule.prices): _priced(model, rule.prices, {}) for rule in model.price_rules}
    return _priced(model, model.prices, variants)


def _priced(model: Model, prices: Prices, variants: Mapping[int, Entry]) -> Entry:
    return Entry(
        model=model,
        prices=prices,
        steps=allowances(model.reasoning),
        provider=model.upstream.partition("/")[0],
        takes_tokens=model.reasoning.control is Control.TOKENS,
        price_input=prices.input,
        price_output=prices.output,
        price_reasoning=prices.output if prices.reasoning is None else prices.reasoning,
        price_cached=prices.input if prices.cache_read is None else prices.cache_read,
        price_worst_input=dearest_input(prices),
        price_worst_output=dearest_output(prices),
        variants=variants,
    )


def _check(model: Model) -> None:
    for prices in (model.prices, *(rule.prices for rule in model.price_rules)):
        _check_prices(model, prices)
    if not 0.0 <= model.ability <= 1.0:
        raise CatalogError(f"Model {model.id!r}: ability must lie in 0..1, not {model.ability}.")
    if model.context_window < 1 or model.max_output < 1:
        raise CatalogError(f"Model {model.id!r}: context_window and max_output must be at least 1 token.")
    if model.tokens_per_s <= 0 or model.latency_s < 0:
        raise CatalogError(f"Model {model.id!r}: tokens_per_s must be above 0 and latency_s not below 0.")
    _check_reasoning(model)


def _check_prices(model: Model, prices: Prices) -> None:
    given = cast("Prices | None", prices)  # a configuration file may well leave it out
    if given is None:
        raise NoPrice(model.id)
    for name, price in asdict(given).items():
        required = name in {"input", "output"}
        if price is None and required:
            raise NoPrice(model.id)
        if price is not None and (not isinstance(price, int) or price < 0):
            raise CatalogError(
                f"Model {model.id!r}: the {name} price must be a whole number of nano-dollars per million "
                f"tokens, not {price!r}."
            )


def _check_reasoning(model: Model) -> None:
    dial = model.reasoning
    if dial.control is Control.LEVELS:
        tokens = [t for _, t in dial.levels]
        if not tokens or tokens != sorted(tokens) or tokens[0] < 0:
            raise CatalogError(f"Model {model.id!r}: reasoning levels must be given with rising tokens, least first.")
    if dial.control is Control.TOKENS and not 0 <= dial.min_tokens <= dial.max_tokens:
        raise CatalogError(f"Model {model.id!r}: reasoning needs 0 <= min_tokens <= max_tokens.")


def _version(models: tuple[Model, ...]) -> str:
    """Hash of what the models are; not of whether they can be called at the moment."""
    content = [asdict(m) | {"available": True, "unavailable_because": ""} for m in models]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=sorted).encode()).hexdigest()[:12]
