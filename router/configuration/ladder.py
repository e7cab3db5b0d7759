"""From settings to the ladder: the policy's catalogue and, beside it, how each of its models is called.

Without models in the settings, the ladder is made in memory of whatever the environment opens (see `starter`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import get_args

from pydantic import SecretStr

from policies.catalog import Catalog
from policies.errors import CatalogError
from policies.types import Capability, Control, Model, PriceRule, Prices, Reasoning
from router.configuration import starter
from router.configuration.models import (
    ModelSettings,
    PriceSettings,
    ReasoningSettings,
    Weekday,
)
from router.configuration.provider_keys import is_ours
from router.configuration.settings import ConfigError, Settings
from router.errors import NotPriced
from router.upstream import local_model, pricing
from router.upstream.types import UpstreamModel

# Dollars per million tokens -> nano-dollars per million tokens.
_NANO = 1_000_000_000
# An unknown model is taken for a middling one until its ability is set: neither trusted nor avoided.
UNKNOWN_ABILITY = 0.5
LOCAL_PREFIX = "local/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The models that may be decided over, and how each is called.

    Attributes:
        catalog: for the policy. targets: by model id, for the dispatcher. models: the catalogue's, by id.
    """

    catalog: Catalog
    targets: Mapping[str, UpstreamModel]
    models: Mapping[str, Model]


def model_settings(settings: Settings, environ: Mapping[str, str]) -> list[ModelSettings]:
    """The configured models, or those that the environment suggests."""
    return settings.models or starter.models(environ)


def needs_local_model(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether a rung of the ladder is the bundled model."""
    return any(model.upstream.startswith(LOCAL_PREFIX) for model in model_settings(settings, environ))


def build_ladder(
    settings: Settings, environ: Mapping[str, str] = os.environ, *, local: local_model.Address | None = None
) -> Ladder:
    """The ladder of these settings.

    Args:
        settings: the configuration. environ: where the providers' keys are.
        local: where the bundled model answers, or None where it is not started (a dry run: it counts as available).

    Raises:
        ConfigError: an entry is wrong, or a model has no price; the message says how to mend it.
    """
    order = {tier: rank for rank, tier in enumerate(settings.tiers)}
    found = model_settings(settings, environ)
    if strange := sorted({entry.tier for entry in found} - set(order)):
        raise ConfigError(
            f"tiers: without `models:` Rung makes the ladder itself, and needs a tier `{strange[0]}` for it: name your "
            "models too (`rung init` writes down what there is), or leave `tiers` out"
        )
    entries = sorted(found, key=lambda entry: order[entry.tier])
    try:
        models = [_model(entry, environ) for entry in entries]
        catalog = Catalog(models)
    except (CatalogError, NotPriced) as error:
        raise ConfigError(f"models: {error}") from None
    targets = {model.id: _target(entry, model, environ, local) for entry, model in zip(entries, models, strict=True)}
    return Ladder(
        catalog=catalog,
        targets=MappingProxyType(targets),
        models=MappingProxyType({model.id: model for model in models}),
    )


def _model(entry: ModelSettings, environ: Mapping[str, str]) -> Model:
    """One model of the catalogue: what the file says, over what LiteLLM's map knows."""
    seeded = _seed(entry)
    missing = _missing_key(entry, environ)
    return replace(
        seeded,
        price_rules=_price_rules(entry, seeded),
        ability=seeded.ability if entry.ability is None else entry.ability,
        context_window=entry.context_window or seeded.context_window,
        max_output=entry.max_output or seeded.max_output,
        capabilities=_capabilities(entry, seeded),
        reasoning=_reasoning(entry.reasoning, seeded.reasoning),
        latency_s=entry.latency_s or seeded.latency_s,
        tokens_per_s=entry.tokens_per_s or seeded.tokens_per_s,
        tags=frozenset(entry.tags),
        available=missing is None,
        unavailable_because=missing or "",
    )


def _seed(entry: ModelSettings) -> Model:
    """What is known of the model beside its entry; the entry's prices win."""
    prices = _prices(entry.prices) if entry.prices is not None else None
    if entry.upstream.startswith(LOCAL_PREFIX):
        bundled = local_model.catalogue_entry(entry.tier)
        return replace(bundled, id=entry.id, prices=prices or bundled.prices)
    return pricing.seed(entry.upstream, tier=entry.tier, ability=UNKNOWN_ABILITY, id=entry.id, prices=prices)


def _prices(given: PriceSettings) -> Prices:
    def nano(usd: object) -> int | None:
        return None if usd is None else int(usd * _NANO)  # type: ignore[operator]

    return Prices(
        input=int(given.input * _NANO),
        output=int(given.output * _NANO),
        reasoning=nano(given.reasoning),
        cache_read=nano(given.cache_read),
        cache_write=nano(given.cache_write),
    )


def _price_rules(entry: ModelSettings, seeded: Model) -> tuple[PriceRule, ...]:
    """The entry's rules, or the map's where the prices are the map's too."""
    if entry.price_rules is None:
        return seeded.price_rules
    days = get_args(Weekday)
    return tuple(
        PriceRule(
            prices=_prices(rule),
            from_input_tokens=rule.from_input_tokens or 0,
            hours_utc=rule.hours_utc,
            weekdays=None if rule.weekdays is None else frozenset(days.index(day) for day in rule.weekdays),
        )
        for rule in entry.price_rules
    )


def _capabilities(entry: ModelSettings, seeded: Model) -> frozenset[Capability]:
    if entry.capabilities is None:
        return seeded.capabilities
    try:
        return frozenset(Capability(name) for name in entry.capabilities)
    except ValueError as error:
        known = ", ".join(capability.value for capability in Capability)
        raise ConfigError(f"models: `{entry.id}`: {error}; the capabilities are {known}") from None


def _reasoning(given: ReasoningSettings | None, seeded: Reasoning) -> Reasoning:
    if given is None:
        return seeded
    changes = {name: value for name, value in given.model_dump(exclude_none=True).items() if name != "levels"}
    if "control" in changes:
        changes["control"] = Control(changes["control"])
    if given.levels is not None:
        changes["levels"] = tuple(sorted(given.levels.items(), key=lambda level: level[1]))
    return replace(seeded, **changes)


def _missing_key(entry: ModelSettings, environ: Mapping[str, str]) -> str | None:
    """What has to be set before the model can be called, or None."""
    if entry.api_key_env is None:
        return None
    given = environ.get(entry.api_key_env, "").strip()
    if given and entry.api_base is None and is_ours(given):
        return f"no key for it ({entry.api_key_env} holds a key of Rung's; set the provider's)"
    return None if given else f"no key for it (set {entry.api_key_env})"


def _target(
    entry: ModelSettings, model: Model, environ: Mapping[str, str], local: local_model.Address | None
) -> UpstreamModel:
    extra, options = frozenset(entry.extra_fields), tuple(sorted(entry.options.items()))
    if entry.upstream.startswith(LOCAL_PREFIX):
        nowhere = local_model.Address(url="http://127.0.0.1:1", api_key=SecretStr("not-started"))
        return replace((local or nowhere).as_upstream(), alias=entry.id)
    given = environ.get(entry.api_key_env or "", "").strip() if model.available else ""
    key = entry.api_key or SecretStr(given)
    return UpstreamModel(
        name=entry.upstream,
        api_base=entry.api_base,
        api_key=key if key.get_secret_value() else None,
        reasoning=model.reasoning,
        max_output=model.max_output,
        extra_params=extra,
        options=options,
        timeout_s=entry.timeout_s,
        alias=entry.id,
    )
