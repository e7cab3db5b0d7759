"""`rung init`: writes a `rung.yaml` for exactly what the environment opens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from policies.types import Model
from router.cli.models import rule_words, usd_words
from router.configuration import starter
from router.configuration.ladder import build_ladder
from router.configuration.models import ModelSettings
from router.configuration.settings import ConfigError, Settings

_HEAD = """\
# Rung's configuration, written by `rung init` for the providers that this environment opens.
# Every setting: docs/reference/settings.md. Check a change with `rung models list`.
# Keys stay in the environment: `api_key_env` names the variable. Prices are dollars per million tokens.
"""


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("rung.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a rung.yaml with tiers of current models for the keys and URLs in the environment.

    It looks for OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, OPENROUTER_API_KEY, OLLAMA_API_BASE and
    HOSTED_VLLM_API_BASE; without any of them it writes the example ladder with the bundled local model.
    """
    if path.exists() and not force:
        raise ConfigError(f"{path}: is there already; `rung init --force` overwrites it")
    entries = starter.models(os.environ)
    path.write_text(_HEAD + render(entries), encoding="utf-8")
    print(f"{path} written with {len(entries)} models: {', '.join(entry.id for entry in entries)}")
    print("next: rung keys create default, then rung serve")


def render(entries: list[ModelSettings]) -> str:
    """The models as YAML, with their prices spelled out."""
    ladder = build_ladder(Settings(models=entries), os.environ)
    content: dict[str, Any] = {
        "quality": 0.5,
        "tiers": Settings().tiers,
        "models": [_entry(entry, ladder.models[entry.id]) for entry in entries],
        "tenants": [{"id": "default", "budgets": [{"limit_usd": 100, "window": "month"}]}],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _entry(entry: ModelSettings, model: Model) -> dict[str, Any]:
    """With the map's rules too: prices in a file stand alone, and long prompts would be billed as short ones."""
    plain = entry.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    rules = [rule_words(rule) for rule in model.price_rules]
    return {**plain, "prices": usd_words(model.prices), **({"price_rules": rules} if rules else {})}
