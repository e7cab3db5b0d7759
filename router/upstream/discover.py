"""Which providers the environment has keys for, and a sensible ladder of current models for exactly those.

Pure: the environment is passed in. Prices and windows come from LiteLLM's map (see `pricing`). The abilities
below are our own rough priors on MMLU-Pro's scale, without thinking; they have not been held against published figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies.types import Model
from router.upstream import pricing

TIERS = ("economy", "standard", "premium")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One model of an example ladder: LiteLLM's name and a prior for its ability, 0..1."""

    upstream: str
    ability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider that Rung knows without being told.

    Attributes:
        name: LiteLLM's name for it.
        key_env: the variable that holds its key; base_envs: those that hold its URL, for servers of one's
            own.
        ladder: its models for economy, standard and premium; empty where only its operator knows what it
            serves.
    """

    name: str
    key_env: str | None = None
    base_envs: tuple[str, ...] = ()
    ladder: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A provider that can be called now.

    Attributes:
        key_env: the variable that holds its key, or None where it takes none.
        api_base: its URL, where it is not the provider's own.
    """

    provider: Provider
    key_env: str | None = None
    api_base: str | None = None


PROVIDERS = (
    Provider(
        name="openai",
        key_env="OPENAI_API_KEY",
        ladder=(
            Choice(upstream="openai/gpt-6-luna", ability=0.80),
            Choice(upstream="openai/gpt-6-sol", ability=0.87),
            Choice(upstream="openai/gpt-6-astra", ability=0.91),
        ),
    ),
    Provider(
        name="anthropic",
        key_env="ANTHROPIC_API_KEY",
        ladder=(
            Choice(upstream="anthropic/claude-haiku-5-5", ability=0.81),
            Choice(upstream="anthropic/claude-sonnet-5-5", ability=0.88),
            Choice(upstream="anthropic/claude-opus-5-5", ability=0.91),
        ),
    ),
    Provider(
        name="gemini",
        key_env="GEMINI_API_KEY",
        ladder=(
            Choice(upstream="gemini/gemini-3.1-flash-lite", ability=0.79),
            Choice(upstream="gemini/gemini-3.8-flash", ability=0.86),
            Choice(upstream="gemini/gemini-4-argon", ability=0.91),
        ),
    ),
    Provider(
        name="openrouter",
        key_env="OPENROUTER_API_KEY",
        ladder=(
            Choice(upstream="openrouter/openai/gpt-6-luna", ability=0.80),
            Choice(upstream="openrouter/anthropic/claude-sonnet-5.5", ability=0.88),
            Choice(upstream="openrouter/anthropic/claude-opus-5.5", ability=0.91),
        ),
    ),
    Provider(name="ollama_chat", base_envs=("OLLAMA_API_BASE", "OLLAMA_HOST")),
    Provider(name="hosted_vllm", key_env="HOSTED_VLLM_API_KEY", base_envs=("HOSTED_VLLM_API_BASE", "VLLM_API_BASE")),
)


def discover(environ: Mapping[str, str]) -> tuple[Found, ...]:
    """The providers that these variables open, in the order of `PROVIDERS`."""
    return tuple(found for provider in PROVIDERS if (found := _found(provider, environ)) is not None)


def ladder(provider: Provider) -> tuple[Model, ...]:
    """The provider's example ladder, cheapest tier first, priced from LiteLLM's map. Raises NotPriced."""
    return tuple(
        pricing.seed(choice.upstream, tier=tier, ability=choice.ability)
        for tier, choice in zip(TIERS, provider.ladder, strict=False)
    )


def self_hosted(found: Found, served: str, *, tier: str = "economy", ability: float = 0.5) -> Model:
    """A model of one's own server by the name that the server gives it; it costs nothing per token."""
    return pricing.seed(f"{found.provider.name}/{served}", tier=tier, ability=ability)


def _found(provider: Provider, environ: Mapping[str, str]) -> Found | None:
    key_env = provider.key_env if provider.key_env and environ.get(provider.key_env, "").strip() else None
    if not provider.base_envs:
        return Found(provider=provider, key_env=key_env) if key_env else None
    base = next((value for name in provider.base_envs if (value := environ.get(name, "").strip())), None)
    return Found(provider=provider, key_env=key_env, api_base=_url(base)) if base else None


def _url(base: str) -> str:
    """A URL out of what people write: Ollama's variable often holds `host:port`, or the server's 0.0.0.0."""
    url = base if "://" in base else f"http://{base}"
    return url.replace("//0.0.0.0", "//127.0.0.1").rstrip("/")
