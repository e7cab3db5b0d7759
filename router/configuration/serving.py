"""The sections about the gateway itself: server, store, classifier, registry, cache, sessions, hedging, alerts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from router.configuration.section import Probability, Section


class ServerSettings(Section):
    """Where and how the gateway listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1, le=128)] = 1
    max_body_bytes: Annotated[int, Field(ge=1024)] = 20 * 1024 * 1024
    # Of bodies that are not whole yet, in one process: a thousand slow ones of 20 MB would fill a machine.
    max_coming_bytes: Annotated[int, Field(ge=1024)] = 512 * 1024 * 1024
    body_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    request_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    drain_timeout_s: Annotated[float, Field(ge=0)] = 30.0
    # Of eight streams at once and more; 0 relays every chunk by itself. A frame of a screen at 60 Hz lasts as long.
    stream_gather_ms: Annotated[float, Field(ge=0, le=100)] = 16.0
    # Opens /v1/admin; no tenant's key does.
    admin_key: Annotated[SecretStr | None, Field(min_length=16)] = None


def _store_url(url: str | None) -> str | None:
    if url is not None and not re.match(r"^(redis|rediss|unix)://", url):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return url


class StoreSettings(Section):
    """Redis or Valkey. Without a URL, a private server is started in `data_dir`."""

    url: Annotated[str | None, AfterValidator(_store_url)] = None
    data_dir: Path = Path(".rung")
    timeout_ms: Annotated[int, Field(ge=10, le=10_000)] = 200
    pepper: SecretStr | None = None


class SecondLookSettings(Section):
    """A transformer that looks again where a decision is close; see docs/guides/second-look.md."""

    # What `rung-train second-look` wrote.
    artefact: Path
    # Standard errors; decisions at this distance or beyond are clear. A second look moves an estimate by a quarter of
    # its stated error in the mean.
    margin: Annotated[float, Field(gt=0, le=100)] = 0.1
    within_ms: Annotated[float, Field(gt=0, le=10_000)] = 40.0
    threads: Annotated[int, Field(ge=1, le=64)] = 1


class ClassifierSettings(Section):
    """Which difficulty model judges, and how long it may take."""

    artefact: str = "default"
    encoder: str = "static"
    timeout_ms: Annotated[float, Field(gt=0)] = 100.0
    recent_scores: Annotated[int, Field(ge=0)] = 4096
    second_look: SecondLookSettings | None = None


class RollbackSettings(Section):
    """When a promoted classifier is rolled back by itself."""

    enabled: bool = True
    outcomes: Annotated[int, Field(ge=20)] = 200
    calibration: Probability = 0.15
    drop: Probability = 0.1
    sigmas: Annotated[float, Field(ge=0, le=10)] = 3.0


class RegistrySettings(Section):
    """Where promoted classifiers come from, and whose signature is trusted."""

    folder: Path | None = None
    public_keys: list[Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]] = Field(default_factory=list[str])
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


class CacheSettings(Section):
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


class HedgingSettings(Section):
    """A second model of the same tier is asked where the first is slower than it mostly is."""

    enabled: bool = False
    quantile: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    least_delay_s: Annotated[float, Field(ge=0.01)] = 0.2
    share: Annotated[float, Field(gt=0, le=1)] = 0.1


class SessionSettings(Section):
    """Conversations that belong together."""

    ttl_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 3600
    # Whether a conversation without a name is known again by its beginning; every request then keeps a few bytes.
    detect: bool = False


def _webhook_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not re.match(r"^https?://[^/]", url.get_secret_value()):
        raise ValueError("must begin with https:// or http://")
    return url


class AlertSettings(Section):
    """Who is told when a budget reaches a threshold, beside the log and the metrics."""

    # The URL is a secret: that of a chat's webhook lets anybody write there.
    webhook_url: Annotated[SecretStr | None, AfterValidator(_webhook_url)] = None
    # Signs the body: `x-rung-signature: sha256=<HMAC>`.
    webhook_secret: Annotated[SecretStr | None, Field(min_length=16)] = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    every_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
