"""What LiteLLM's model map knows of a model: prices, windows, capabilities, its thinking dial.

The map is read as the file that it is in the installed package: 50 ms, against seconds for importing LiteLLM.
Prices are carried over exactly: the file's decimal digits, times 10^15, are nano-dollars per million tokens.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import orjson

from policies.types import Capability, Model, PriceRule, Prices, Reasoning
from router.errors import NotPriced
from router.upstream import dials, reasoning

_MAP_FILE = "model_prices_and_context_window_backup.json"
# Dollars per token in the map; nano-dollars per million tokens here.
_NANO_PER_MILLION = Decimal(10) ** 15
# From so many thousand prompt tokens on, some models cost more: the map says so in the name of the price.
_DEARER_ABOVE = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
_CAPABILITIES = {
    "supports_function_calling": Capability.TOOLS,
    "supports_vision": Capability.VISION,
    "supports_response_schema": Capability.JSON_SCHEMA,
}
# Providers whose `n` makes several choices in one call; the others reject it or drop it silently.
_MANY_CHOICES = frozenset({"openai", "azure", "hosted_vllm"})
_LOGPROBS = frozenset({"openai", "azure", "hosted_vllm", "xai", "deepseek"})
# Whoever runs the model on a machine of their own pays no provider.
SELF_HOSTED = frozenset({"ollama", "ollama_chat", "hosted_vllm", "lm_studio", "llamafile"})
_DEFAULT_WINDOW = 8_192
_DEFAULT_OUTPUT = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the map says of one model; a gap is None, and the operator's configuration fills it.

    Attributes:
        prices: None where the map has none. context_window, max_output: tokens.
        context_window: where a longer prompt is dearer and the map does not say by how much, the window ends at that
            threshold, so that the price holds.
        price_rules: the prices of longer prompts, the longest first.
        reasoning: the thinking dial.
        notes: what an operator should know, in words.
    """

    known: bool
    prices: Prices | None = None
    price_rules: tuple[PriceRule, ...] = ()
    context_window: int | None = None
    max_output: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    reasoning: Reasoning = field(default_factory=Reasoning)
    notes: tuple[str, ...] = ()


@functools.cache
def model_map() -> Mapping[str, Mapping[str, Any]]:
    """LiteLLM's map, by model name. Raises FileNotFoundError where LiteLLM is not installed."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        msg = "LiteLLM is not installed: install Rung with its dependencies (make setup)"
        raise FileNotFoundError(msg)
    return orjson.loads((Path(spec.origin).parent / _MAP_FILE).read_bytes())


@functools.lru_cache(maxsize=1024)
def facts(upstream: str) -> Facts:
    """What the map knows of a model by LiteLLM's name, for example `openai/gpt-5-mini`."""
    found = _entry(upstream)
    provider = upstream.partition("/")[0]
    if found is None:
        prices = Prices(input=0, output=0) if provider in SELF_HOSTED else None
        return Facts(known=False, prices=prices, reasoning=dials.of(upstream, {}))
    entry, notes = found
    window = _positive(entry.get("max_input_tokens")) or _positive(entry.get("max_tokens"))
    prices = _prices(entry, provider)
    rules = () if prices is None else _price_rules(entry, prices)
    limit = None if rules else _same_price_window(entry)
    if limit is not None and window is not None and limit < window:
        notes += (f"the context window is cut from {window} to {limit} tokens: longer prompts cost more",)
        window = limit
    dial = dials.of(upstream, entry)
    return Facts(
        known=True,
        prices=prices,
        price_rules=rules,
        context_window=window,
        max_output=_positive(entry.get("max_output_tokens")) or _positive(entry.get("max_tokens")),
        capabilities=_capabilities(entry, provider) - _out_of_reach(dial),
        reasoning=dial,
        notes=notes,
    )


def takes_sampling(upstream: str) -> bool:
    """Whether the model takes a temperature at all; the latest ones of Anthropic and Gemini refuse any."""
    found = _entry(upstream)
    return found is None or found[0].get("supports_sampling_params") is not False


def seed(
    upstream: str,
    *,
    tier: str,
    ability: float,
    id: str | None = None,  # noqa: A002 - the field's name in Model
    prices: Prices | None = None,
) -> Model:
    """A model of the catalogue, from the map. `prices` of the operator's win.

    Raises NotPriced: nobody knows a price, and a model without one is never called.
    """
    known = facts(upstream)
    rules = () if prices is not None else known.price_rules
    prices = prices or known.prices
    if prices is None:
        raise NotPriced(
            f"there is no price for {upstream}: LiteLLM's map has none, so set its prices.input and "
            "prices.output (dollars per million tokens) in rung.yaml"
        )
    return Model(
        id=id or upstream.rpartition("/")[2],
        upstream=upstream,
        tier=tier,
        prices=prices,
        price_rules=rules,
        context_window=known.context_window or _DEFAULT_WINDOW,
        max_output=known.max_output or _DEFAULT_OUTPUT,
        ability=ability,
        capabilities=known.capabilities,
        reasoning=known.reasoning,
    )


def nano_per_million(dollars_per_token: float | str) -> int:
    """A price of the map as whole nano-dollars per million tokens, rounded up where there is a rest."""
    exact = Decimal(str(dollars_per_token)) * _NANO_PER_MILLION
    return int(exact.to_integral_value(rounding=ROUND_CEILING))


def _entry(upstream: str) -> tuple[Mapping[str, Any], tuple[str, ...]] | None:
    """The map's entry and notes: by the full name, by the bare one, or by the maker's for OpenRouter."""
    known = model_map()
    provider, _, name = upstream.partition("/")
    if (entry := known.get(upstream)) is not None:
        return entry, ()
    entry = known.get(name)
    if entry is not None and str(entry.get("litellm_provider", "")).startswith(provider):
        return entry, ()
    if provider == "openrouter" and (entry := _makers(name)) is not None:
        return entry, ("priced like at its maker's: OpenRouter passes list prices on",)
    return None


def _makers(name: str) -> Mapping[str, Any] | None:
    """The maker's own entry for OpenRouter's `maker/model`; makers may write a version with a dash."""
    maker, _, model = name.partition("/")
    provider = {"google": "gemini", "x-ai": "xai", "mistralai": "mistral"}.get(maker, maker)
    known = model_map()
    spellings = (model, model.replace(".", "-"))
    names = [prefix + spelling for spelling in spellings for prefix in (f"{provider}/", "")]
    entries = (known[name] for name in names if name in known)
    return next((entry for entry in entries if entry.get("litellm_provider") == provider), None)


def _prices(entry: Mapping[str, Any], provider: str) -> Prices | None:
    tiers = entry.get("tiered_pricing")
    source: Mapping[str, Any] = tiers[0] if tiers and entry.get("input_cost_per_token") is None else entry
    given, made = source.get("input_cost_per_token"), source.get("output_cost_per_token")
    if given is None or made is None:
        return Prices(input=0, output=0) if provider in SELF_HOSTED else None
    return Prices(
        input=nano_per_million(given),
        output=nano_per_million(made),
        reasoning=_optional(source.get("output_cost_per_reasoning_token")),
        cache_read=_optional(source.get("cache_read_input_token_cost")),
        cache_write=_optional(source.get("cache_creation_input_token_cost")),
    )


def _optional(price: float | None) -> int | None:
    return None if price is None else nano_per_million(price)


def _price_rules(entry: Mapping[str, Any], prices: Prices) -> tuple[PriceRule, ...]:
    """What longer prompts cost, the longest first; none where the map does not say all of it."""
    tiers: list[Mapping[str, Any]] = entry.get("tiered_pricing") or []
    found = [(int(tier["range"][0]), tier, "") for tier in tiers[1:]]
    found += [(int(k) * 1000, entry, f"_above_{k}k_tokens") for k in _thresholds(entry)]
    rules = [_price_rule(at, source, suffix, prices) for at, source, suffix in sorted(found, key=lambda f: -f[0])]
    return tuple(rule for rule in rules if rule is not None) if None not in rules else ()


def _price_rule(above: int, source: Mapping[str, Any], suffix: str, prices: Prices) -> PriceRule | None:
    given, made = (source.get(f"{kind}_cost_per_token{suffix}") for kind in ("input", "output"))
    if given is None or made is None:
        return None
    first = nano_per_million(given)

    def cached(name: str, before: int | None) -> int | None:
        found = _optional(source.get(name + suffix))
        # What the map leaves out is dearer by as much as the prompt is.
        return found if found is not None or before is None else -(-before * first // max(1, prices.input))

    longer = Prices(
        input=first,
        output=nano_per_million(made),
        reasoning=_optional(source.get("output_cost_per_reasoning_token" + suffix)),
        cache_read=cached("cache_read_input_token_cost", prices.cache_read),
        cache_write=cached("cache_creation_input_token_cost", prices.cache_write),
    )
    return PriceRule(prices=longer, from_input_tokens=above + 1)


def _thresholds(entry: Mapping[str, Any]) -> list[str]:
    return [match[1] for name in entry if (match := _DEARER_ABOVE.fullmatch(name))]


def _same_price_window(entry: Mapping[str, Any]) -> int | None:
    """The longest prompt, in tokens, that still costs the first price; None where the price is one."""
    found = [int(k) * 1000 for k in _thresholds(entry)]
    tiers = entry.get("tiered_pricing")
    if tiers:
        found.append(int(tiers[0]["range"][1]))
    return min(found, default=None)


def _capabilities(entry: Mapping[str, Any], provider: str) -> frozenset[Capability]:
    found = {capability for name, capability in _CAPABILITIES.items() if entry.get(name)}
    # Every chat interface that LiteLLM knows takes or is given a JSON mode.
    found.add(Capability.JSON_OBJECT)
    # Tokens of sound are mostly dearer than tokens of text, and only these are priced.
    if entry.get("supports_audio_input") and entry.get("input_cost_per_audio_token") is None:
        found.add(Capability.AUDIO)
    if provider in _MANY_CHOICES:
        found.add(Capability.MULTIPLE_CHOICES)
    if provider in _LOGPROBS and not entry.get("supports_reasoning"):
        found.add(Capability.LOGPROBS)
    return frozenset(found)


def _out_of_reach(dial: Reasoning) -> frozenset[Capability]:
    """What a model that cannot stop thinking would refuse: tools, where its family takes them only without."""
    lost = reasoning.FAMILIES[dial.family].no_tools and not dial.can_disable
    return frozenset({Capability.TOOLS}) if lost else frozenset()


def _positive(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None
