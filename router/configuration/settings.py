"""Settings: the environment and `rung.yaml`, validated as a whole.

Precedence: environment variables (`RUNG_` with `__` for nesting, for example `RUNG_SERVER__PORT`), then the YAML file
named by `RUNG_CONFIG` (`./rung.yaml` where it exists), then the defaults. `REDIS_URL` is the store's URL where neither
names one. Nothing else in the gateway reads the environment, but for the providers' own keys, which
`models[].api_key_env` names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self, cast

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from router.configuration.log import LogSettings
from router.configuration.models import ModelSettings
from router.configuration.section import PATTERNS, Probability, refuse_duplicates
from router.configuration.serving import (
    AlertSettings,
    CacheSettings,
    ClassifierSettings,
    HedgingSettings,
    RegistrySettings,
    ServerSettings,
    SessionSettings,
    StoreSettings,
)
from router.configuration.strict_yaml import read
from router.configuration.tenants import TenantSettings, require_organisations


class ConfigError(Exception):
    """The configuration is wrong; the message names every place and what belongs there."""


class Settings(BaseSettings):
    """The whole configuration of one gateway."""

    model_config = SettingsConfigDict(
        env_prefix="RUNG_", env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    cache: CacheSettings = CacheSettings()
    sessions: SessionSettings = SessionSettings()
    hedging: HedgingSettings = HedgingSettings()
    log: LogSettings = LogSettings()
    alerts: AlertSettings = AlertSettings()
    registry: RegistrySettings = RegistrySettings()
    quality: Probability = 0.5
    tiers: Annotated[list[str], Field(min_length=1)] = ["economy", "standard", "premium"]
    models: list[ModelSettings] = []
    tenants: list[TenantSettings] = []
    # The operator's knobs of the decision, checked by `policies.declared` (docs/policy.md).
    policies: dict[str, Any] = {}
    # Failures in a row after which a model is put aside for a while; 0 never puts one aside.
    breaker_failures: Annotated[int, Field(ge=0, le=1000)] = 5
    metrics_tenant_label: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_duplicates("tiers", self.tiers)
        refuse_duplicates("models", [m.id for m in self.models])
        refuse_duplicates("tenants", [t.id for t in self.tenants])
        require_organisations([t.id for t in self.tenants])
        for model in self.models:
            if model.tier not in self.tiers:
                raise ValueError(
                    f"model `{model.id}`: tier `{model.tier}` is not one of tiers: {', '.join(self.tiers)}"
                )
            if model.id == "auto" or model.id.startswith("auto:"):
                raise ValueError(f"model `{model.id}`: `auto` is the name by which Rung chooses; take another id")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides the file, which arrives as arguments from `load`."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(path: Path | None = None, *, only: str | None = None) -> Settings:
    """Read the file and the environment.

    Args:
        path: the file; else `RUNG_CONFIG`, else `./rung.yaml` where it exists.
        only: the one section of the file that is read, or None for all.

    Raises:
        ConfigError: the file is missing, is not YAML or does not fit; the message names each place and remedy.
    """
    file = path or configured_path(os.environ)
    content = _read_yaml(file) if file is not None else {}
    if only is not None:
        content = {only: content[only]} if only in content else {}
    redis_url, store = os.environ.get("REDIS_URL"), content.get("store") or {}
    if redis_url and isinstance(store, dict):
        content = {**content, "store": {"url": redis_url, **cast("dict[str, Any]", store)}}
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(error, file)) from None


def configured_path(environ: Mapping[str, str]) -> Path | None:
    """The file that is read without being named: `RUNG_CONFIG`, else `./rung.yaml` where it exists, else None."""
    named = environ.get("RUNG_CONFIG")
    if named:
        return Path(named)
    default = Path("rung.yaml")
    return default if default.is_file() else None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. `rung init` writes one; RUNG_CONFIG names another.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must be a mapping with keys such as `models:` and `tenants:`")
    return cast("dict[str, Any]", content)


# What pydantic-settings says of a variable of a list or a section.
_NOT_JSON = re.compile(r'error parsing value for field "(\w+)" from source "EnvSettingsSource"')


# Of a name's letters: a slip or a missing plural is above it, another word is below.
_ALIKE = 0.75


def _names() -> set[str]:
    """The names of all settings, of whatever section."""
    schema = Settings.model_json_schema()
    sections = [schema, *schema.get("$defs", {}).values()]
    return {name for section in sections for name in section.get("properties", {})}


def _explain(error: ValidationError, file: Path | None) -> str:
    where = str(file) if file is not None else "settings"
    found = error.errors(include_url=False, include_input=False)
    counted = " (in a list, 0 is the first)" if any(isinstance(part, int) for e in found for part in e["loc"]) else ""
    lines = [f"{where}: {len(found)} thing(s) to mend{counted}:"]
    for item in found:
        place = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        message = item["msg"].removeprefix("Value error, ")
        if variable := _NOT_JSON.search(message):
            place = f"RUNG_{variable[1].upper()}"
            message = 'must hold JSON, for example RUNG_TIERS=\'["economy", "premium"]\''
        if item["type"] == "extra_forbidden":
            meant = get_close_matches(str(item["loc"][-1]), _names(), n=1, cutoff=_ALIKE)
            perhaps = f"perhaps {meant[0]}? Remove it or mend" if meant else "remove it or mend"
            message = f"is not a setting of Rung; {perhaps} its spelling (docs/reference/settings.md lists all)"
        if item["type"] == "string_pattern_mismatch":
            message = PATTERNS.get(item.get("ctx", {}).get("pattern", ""), message)
        lines.append(f"  {place}: {message}")
    return "\n".join(lines)
