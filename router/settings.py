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
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from policies.log_schema import is_source

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$"
TENANT_ID = r"^[a-z0-9][a-z0-9_-]{0,62}(@[a-z0-9][a-z0-9_-]{0,62})?$"
CHECKER = r"^[a-z0-9][a-z0-9_-]{0,62}$"

Usd = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9)]
Probability = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]


class ConfigError(Exception):
    """The configuration is wrong; the message names every place and what belongs there."""


def _refuse_duplicates(what: str, ids: list[str]) -> None:
    repeated = sorted({i for i in ids if ids.count(i) > 1})
    if repeated:
        raise ValueError(f"{what}: `{repeated[0]}` stands there twice; ids are unique")


def _require_organisations(tenants: list[str]) -> None:
    for tenant in tenants:
        above = tenant.partition("@")[2]
        if above and above not in tenants:
            raise ValueError(f"tenants: `{tenant}` belongs to `{above}`, which is not declared; declare it too")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Section):
    """Where and how the gateway listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1, le=128)] = 1
    max_body_bytes: Annotated[int, Field(ge=1024)] = 20 * 1024 * 1024
    body_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    request_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    drain_timeout_s: Annotated[float, Field(ge=0)] = 30.0
    # Of eight streams at once and more; 0 relays every chunk by itself.
    stream_gather_ms: Annotated[float, Field(ge=0, le=100)] = 8.0
    # Opens /v1/admin; no tenant's key does.
    admin_key: Annotated[SecretStr | None, Field(min_length=16)] = None


def _store_url(url: str | None) -> str | None:
    if url is not None and not re.match(r"^(redis|rediss|unix)://", url):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return url


class StoreSettings(_Section):
    """Redis or Valkey. Without a URL, a private server is started in `data_dir`."""

    url: Annotated[str | None, AfterValidator(_store_url)] = None
    data_dir: Path = Path(".rung")
    timeout_ms: Annotated[int, Field(ge=10, le=10_000)] = 200
    pepper: SecretStr | None = None


class ClassifierSettings(_Section):
    """Which difficulty model judges, and how long it may take."""

    artefact: str = "default"
    encoder: str = "static"
    timeout_ms: Annotated[float, Field(gt=0)] = 100.0
    recent_scores: Annotated[int, Field(ge=0)] = 4096


class RollbackSettings(_Section):
    """When a promoted classifier is rolled back by itself."""

    enabled: bool = True
    outcomes: Annotated[int, Field(ge=20)] = 200
    calibration: Probability = 0.15
    drop: Probability = 0.1
    sigmas: Annotated[float, Field(ge=0, le=10)] = 3.0


class RegistrySettings(_Section):
    """Where promoted classifiers come from, and whose signature is trusted."""

    folder: Path | None = None
    public_keys: list[str] = []
    poll_s: Annotated[float, Field(ge=0.05, le=60)] = 1.0
    shadow_sample: Probability = 1.0
    # Only a gateway that shall promote by its admin API needs it.
    signing_key: Path | None = None
    rollback: RollbackSettings = RollbackSettings()

    @model_validator(mode="after")
    def _trusts_somebody(self) -> Self:
        if self.folder is not None and not self.public_keys:
            raise ValueError("registry: name the `public_keys` that may promote; `rung-train registry init` prints one")
        return self


# `ask`: for requests that say `rung.cache: semantic`.
SemanticMode = Literal["off", "ask", "on"]


class CacheSettings(_Section):
    """The cache of answers."""

    enabled: bool = True
    ttl_s: Annotated[int, Field(ge=1)] = 3600
    max_answer_bytes: Annotated[int, Field(ge=0)] = 256 * 1024
    # Identical requests at the same moment wait for one call instead of making each its own.
    single_flight: bool = True
    # OpenAI's default temperature is 1: above it, the caller asks for variety.
    max_temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    # Whether a question in other words may have an earlier one's answer; see docs/cache.md for what it was measured at.
    semantic: SemanticMode = "off"


class CheckerSettings(_Section):
    """A check of answers by the operator's own program; see docs/guides/learning.md."""

    name: Annotated[str, Field(pattern=CHECKER)]
    # An entry point of the group `rung.checkers`; or, instead, a command that reads JSON and writes a score.
    entry_point: str | None = None
    command: list[str] | None = None
    reliability: Probability = 0.9
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    # The share of answers that it looks at, and whose; none: all tenants'.
    sample: Probability = 1.0
    tenants: list[str] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.entry_point is None) == (not self.command):
            raise ValueError(f"checker `{self.name}`: give `entry_point` or `command`, one of them")
        return self


class LogSettings(_Section):
    """The decision log: where it lies, how often it is written, how far each kind of outcome is believed."""

    # A folder, an fsspec URL such as s3://bucket/rung, or `off`. None: beside the private store, off for any other.
    url: str | None = None
    ship_every_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    keep_days: Annotated[int, Field(ge=0)] = 400
    # source -> reliability, over the defaults of `router.outcomes.reliability`.
    reliability: dict[str, Probability] = {}
    checkers: list[CheckerSettings] = []

    @model_validator(mode="after")
    def _known(self) -> Self:
        for source in self.reliability:
            if not is_source(source):
                raise ValueError(f"reliability: `{source}` is no source (docs/guides/learning.md has all)")
        _refuse_duplicates("checkers", [one.name for one in self.checkers])
        return self


class HedgingSettings(_Section):
    """A second model of the same tier is asked where the first is slower than it mostly is."""

    enabled: bool = False
    quantile: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    least_delay_s: Annotated[float, Field(ge=0.01)] = 0.2
    share: Annotated[float, Field(gt=0, le=1)] = 0.1


class SessionSettings(_Section):
    """Conversations that belong together."""

    ttl_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 3600
    # Whether a conversation without a name is known again by its beginning; every request then keeps a few bytes.
    detect: bool = False


class PriceSettings(_Section):
    """Dollars per million tokens."""

    input: Usd
    output: Usd
    reasoning: Usd | None = None
    cache_read: Usd | None = None
    cache_write: Usd | None = None


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class PriceRuleSettings(PriceSettings):
    """Prices that hold instead under a condition; all that is given must hold, and the first rule that does wins."""

    from_input_tokens: Annotated[int, Field(ge=1)] | None = None
    # From the first hour (included) to the second (excluded); over midnight where the first is the larger.
    hours_utc: tuple[Annotated[int, Field(ge=0, le=23)], Annotated[int, Field(ge=0, le=24)]] | None = None
    weekdays: Annotated[list[Weekday], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _conditional(self) -> Self:
        if self.from_input_tokens is None and self.hours_utc is None and self.weekdays is None:
            raise ValueError("needs a condition: `from_input_tokens`, `hours_utc` or `weekdays`; else use `prices`")
        return self


class ReasoningSettings(_Section):
    """Overrides of what a model takes as a thinking dial; what is absent is seeded from LiteLLM's model map."""

    family: str | None = None
    control: Literal["none", "always", "toggle", "levels", "tokens"] | None = None
    levels: dict[str, int] | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    can_disable: bool | None = None
    hard_cap: bool | None = None


class ModelSettings(_Section):
    """One model of the ladder. Prices, windows and capabilities are seeded from LiteLLM's map where they are absent."""

    id: Annotated[str, Field(pattern=IDENTIFIER)]
    upstream: Annotated[str, Field(min_length=3)]
    tier: str
    api_key: SecretStr | None = None
    api_key_env: str | None = None
    api_base: str | None = None
    prices: PriceSettings | None = None
    # None: those of LiteLLM's map, where the prices are the map's too.
    price_rules: list[PriceRuleSettings] | None = None
    context_window: Annotated[int, Field(ge=256)] | None = None
    max_output: Annotated[int, Field(ge=16)] | None = None
    ability: Probability | None = None
    capabilities: list[str] | None = None
    reasoning: ReasoningSettings | None = None
    latency_s: Annotated[float, Field(gt=0)] | None = None
    tokens_per_s: Annotated[float, Field(gt=0)] | None = None
    # After so long without an answer (of a stream: without its first words), the plan's next model has its turn.
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    # Fields of a request that OpenAI's format does not have and that this upstream takes, such as `top_k` on vLLM.
    extra_fields: list[str] = []
    # LiteLLM's own options for the provider, such as `aws_region_name`, `vertex_project` or `api_version`.
    options: dict[str, str] = {}
    tags: list[str] = []

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.api_key_env is not None:
            raise ValueError("give `api_key` or `api_key_env`, not both")
        return self


def _webhook_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not re.match(r"^https?://[^/]", url.get_secret_value()):
        raise ValueError("must begin with https:// or http://")
    return url


class AlertSettings(_Section):
    """Who is told when a budget reaches a threshold, beside the log and the metrics."""

    # The URL is a secret: that of a chat's webhook lets anybody write there.
    webhook_url: Annotated[SecretStr | None, AfterValidator(_webhook_url)] = None
    # Signs the body: `x-rung-signature: sha256=<HMAC>`.
    webhook_secret: Annotated[SecretStr | None, Field(min_length=16)] = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    every_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0


class BudgetSettings(_Section):
    """Money for a window. Windows are in UTC."""

    limit_usd: Usd
    window: Literal["day", "month", "total"] = "month"
    # The share of the limit from which on requests get cheaper rungs and are marked.
    soft: Probability | None = None
    # The share of what a window leaves that goes on into the next one, and the most that does.
    rollover: Probability = 0.0
    rollover_cap_usd: Usd | None = None
    # The shares of the limit at which somebody is told; none: 0.5, 0.8 and 1; an empty list: never.
    alerts: list[Annotated[float, Field(gt=0, le=1)]] | None = None

    @model_validator(mode="after")
    def _has_a_next_window(self) -> Self:
        if self.rollover and self.window == "total":
            raise ValueError("a budget of window `total` has no next window to roll over into")
        return self


class SpendProfile(_Section):
    """How a budget's money is meant to be spread: the weights of hours and of weekdays multiply."""

    hours: Annotated[list[Weight], Field(min_length=24, max_length=24)] | None = None
    weekdays: Annotated[list[Weight], Field(min_length=7, max_length=7)] | None = None
    utc_offset_hours: Annotated[float, Field(ge=-14, le=14)] = 0.0


class TenantPolicy(_Section):
    """What a tenant's requests are held to, whatever the caller wishes."""

    quality: Probability | None = None
    max_cost_usd: Usd | None = None
    max_reasoning_tokens: Annotated[int, Field(ge=0)] | None = None
    max_latency_s: Annotated[float, Field(gt=0)] | None = None
    min_quality: Probability | None = None
    deny: list[str] = []
    require_tags: list[str] = []
    # What a right answer is worth, in dollars, instead of the policy's value at the dial.
    answer_value_usd: Annotated[Usd | None, Field(gt=0)] = None
    # The largest share of calls that the strongest tier may have, however hard the questions look.
    strong_share: Probability | None = None
    # Whether the log may keep the text of questions, and of labels and corrections; without it, numbers only.
    log_text: bool = False
    # Days that the log keeps; none: the gateway's `log.keep_days`.
    log_days: Annotated[int, Field(ge=0)] | None = None
    # The share of requests that try another rung, to learn from; 0 forbids it.
    explore: Probability = 0.0
    spend_profile: SpendProfile | None = None
    # What one session may cost; a caller's own, lower one is kept as well.
    session_budget_usd: Usd | None = None
    # Whether its questions in other words may share answers, instead of the gateway's `cache.semantic`.
    semantic_cache: SemanticMode | None = None


class TenantSettings(TenantPolicy):
    """A tenant that is declared in the file, beside those made by `rung tenants create`."""

    id: Annotated[str, Field(pattern=TENANT_ID)]
    name: str = ""
    budgets: list[BudgetSettings] = []
    models: list[str] | None = None
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None


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
    tiers: list[str] = ["economy", "standard", "premium"]
    models: list[ModelSettings] = []
    tenants: list[TenantSettings] = []
    # The operator's knobs of the decision, checked by `policies.declared` (docs/policy.md).
    policies: dict[str, Any] = {}
    # Failures in a row after which a model is put aside for a while; 0 never puts one aside.
    breaker_failures: Annotated[int, Field(ge=0, le=1000)] = 5
    metrics_tenant_label: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _refuse_duplicates("models", [m.id for m in self.models])
        _refuse_duplicates("tenants", [t.id for t in self.tenants])
        _require_organisations([t.id for t in self.tenants])
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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def _explain(error: ValidationError, file: Path | None) -> str:
    where = str(file) if file is not None else "settings"
    lines = [f"{where}: {error.error_count()} thing(s) to mend:"]
    for item in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        message = item["msg"].removeprefix("Value error, ")
        if variable := _NOT_JSON.search(message):
            place = f"RUNG_{variable[1].upper()}"
            message = 'must hold JSON, for example RUNG_TIERS=\'["economy", "premium"]\''
        if item["type"] == "extra_forbidden":
            message = "is not a setting of Rung; remove it or mend its spelling (docs/reference/settings.md lists all)"
        lines.append(f"  {place}: {message}")
    return "\n".join(lines)
