"""The models of the ladder: how each is called, what it costs, which thinking dial it takes."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from router.configuration.section import IDENTIFIER, VARIABLE, Probability, Section, Usd


class PriceSettings(Section):
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


class ReasoningSettings(Section):
    """Overrides of what a model takes as a thinking dial; what is absent is seeded from LiteLLM's model map."""

    family: str | None = None
    control: Literal["none", "always", "toggle", "levels", "tokens"] | None = None
    levels: dict[str, int] | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    can_disable: bool | None = None
    hard_cap: bool | None = None


def _url(base: str | None) -> str | None:
    if base is not None and not re.match(r"^https?://[^/\s]", base):
        raise ValueError("must begin with https:// or http://, for example http://127.0.0.1:8000/v1")
    return base


class ModelSettings(Section):
    """One model of the ladder. Prices, windows and capabilities are seeded from LiteLLM's map where they are absent."""

    id: Annotated[str, Field(pattern=IDENTIFIER)]
    upstream: Annotated[str, Field(min_length=3)]
    tier: str
    api_key: SecretStr | None = None
    api_key_env: Annotated[str | None, Field(pattern=VARIABLE)] = None
    api_base: Annotated[str | None, AfterValidator(_url)] = None
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
    extra_fields: list[str] = Field(default_factory=list[str])
    # LiteLLM's own options for the provider, such as `aws_region_name`, `vertex_project` or `api_version`.
    options: dict[str, str] = Field(default_factory=dict[str, str])
    tags: list[str] = Field(default_factory=list[str])

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.api_key_env is not None:
            raise ValueError("give `api_key` or `api_key_env`, not both")
        return self
