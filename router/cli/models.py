"""`rung models`: the ladder as it would be served here."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import Annotated, get_args

import typer
import yaml

from policies.types import Model, PriceRule, Prices
from router.configuration import settings as configuration
from router.configuration.ladder import LOCAL_PREFIX, build_ladder
from router.configuration.models import Weekday
from router.upstream import engine
from router.upstream.types import UpstreamModel

app = typer.Typer(help="The models of the ladder, with prices and whether they can be called.", no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """List the models of the ladder, from the lowest tier upwards."""
    ladder = build_ladder(configuration.load(), os.environ)
    for model in ladder.catalog.models:
        print(_line(model))


@app.command()
def show(model: Annotated[str, typer.Argument(help="A model's id, as `rung models list` prints it.")]) -> None:
    """Show all that is known of a model, with where its thinking can be steered."""
    ladder = build_ladder(configuration.load(), os.environ)
    found = ladder.catalog.get(model)
    print(yaml.safe_dump(_known(found), sort_keys=False, allow_unicode=True).rstrip())


@app.command()
def check() -> None:
    """Check that every model of the ladder has a price and a provider, and tell what it waits for.

    Ends with status 2 where one has none.
    """
    ladder = build_ladder(configuration.load(), os.environ)
    wrong = False
    for model in ladder.catalog.models:
        state = "ready" if model.available else f"waits: {model.unavailable_because}"
        if fault := _fault(ladder.targets[model.id]):
            wrong, state = True, fault
        print(f"{model.id:<28} priced; {state}")
    if wrong:
        sys.exit(2)


def _fault(target: UpstreamModel) -> str:
    """What would end every call of it, or ""."""
    if target.name.startswith(LOCAL_PREFIX):
        return ""
    try:
        engine.provider_of(target.name, target.api_base)
    except ValueError as error:
        return str(error)
    return ""


def _known(model: Model) -> dict[str, object]:
    rules = [rule_words(rule) for rule in model.price_rules]
    thinking = model.reasoning
    return {
        "id": model.id,
        "upstream": model.upstream,
        "tier": model.tier,
        "available": model.available or model.unavailable_because,
        "usd_per_million_tokens": usd_words(model.prices),
        **({"price_rules": rules} if rules else {}),
        "context_window": model.context_window,
        "max_output": model.max_output,
        "ability": model.ability,
        "capabilities": sorted(capability.value for capability in model.capabilities),
        "thinking": {
            "family": thinking.family,
            "control": thinking.control.value,
            "levels": dict(thinking.levels) or None,
            "tokens": [thinking.min_tokens, thinking.max_tokens] if thinking.max_tokens else None,
            "can_be_switched_off": thinking.can_disable,
            "hard_cap": thinking.hard_cap,
        },
        "tags": sorted(model.tags),
    }


def usd_words(prices: Prices) -> dict[str, float]:
    """Dollars per million tokens, by the names of the settings."""
    return {name: value / 1e9 for name, value in asdict(prices).items() if value is not None}


def rule_words(rule: PriceRule) -> dict[str, object]:
    """A price rule as rung.yaml would have it."""
    days = None if rule.weekdays is None else [get_args(Weekday)[day] for day in sorted(rule.weekdays)]
    hours = None if rule.hours_utc is None else list(rule.hours_utc)
    when = {"from_input_tokens": rule.from_input_tokens or None, "hours_utc": hours, "weekdays": days}
    return {**{name: value for name, value in when.items() if value is not None}, **usd_words(rule.prices)}


def _line(model: Model) -> str:
    prices = f"${model.prices.input / 1e9:g} in, ${model.prices.output / 1e9:g} out per million tokens"
    state = "ready" if model.available else f"waits: {model.unavailable_because}"
    return f"{model.tier:<10} {model.id:<28} {prices:<48} {state}"
