"""The models, allowances and requests whose outbound bodies are held in tests/golden/upstream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from policies.types import Control, Reasoning
from router.upstream import pricing
from router.upstream.types import UpstreamCall, UpstreamModel

ALLOWANCES = (0, 1_024, 4_096, 16_384, 65_536, 131_072)
ANSWER = 2_000
# The client's own dial: "medium", a ceiling of 4,096 tokens.
DIALS: Mapping[str, Mapping[str, Any]] = {"": {}, "medium": {"reasoning_effort": "medium"}}

# Values that occur nowhere else, so that finding them in a body means that the parameter arrived.
SENTINELS: Mapping[str, Any] = {
    "temperature": 0.3791,
    "top_p": 0.9137,
    "stop": ["STOPMARK"],
    "seed": 712_345,
    "user": "user-4711",
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather_4711",
                "description": "The weather of a place.",
                "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
            },
        }
    ],
    "presence_penalty": 0.1739,
    "parallel_tool_calls": False,
}
MARKS: Mapping[str, str] = {
    "temperature": "0.3791",
    "top_p": "0.9137",
    "stop": "STOPMARK",
    "seed": "712345",
    "user": "user-4711",
    "tools": "weather_4711",
    "presence_penalty": "0.1739",
}
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 17 times 23?"}]

_QWEN_ON_VLLM = Reasoning(family="vllm-budget", control=Control.TOKENS, min_tokens=1, max_tokens=32_768, hard_cap=True)
_TEMPLATE = Reasoning(family="template-toggle", control=Control.TOGGLE)
_GROK_MINI = Reasoning(
    family="xai-effort", control=Control.LEVELS, levels=(("low", 1_024), ("high", 16_384)), can_disable=False
)
_AWS = (
    ("aws_access_key_id", "AKIATESTTESTTEST"),
    ("aws_region_name", "us-east-1"),
    ("aws_secret_access_key", "test-secret"),
)

# LiteLLM's name -> a dial of the operator's, where the map knows none. The row of docs/guides/reasoning.md beside it.
MODELS: Mapping[str, Reasoning | None] = {
    "openai/gpt-4.1": None,  # does not think
    "openai/o4-mini": None,  # o-series
    "openai/gpt-5-mini": None,  # gpt-5
    "openai/gpt-6-sol": None,  # gpt-5.1 and later
    "openai/gpt-6-astra": None,  # the same, always thinking
    "azure/gpt-5-mini": None,
    "anthropic/claude-haiku-4-5": None,  # up to 4.5: a budget
    "anthropic/claude-sonnet-4-6": None,  # the last generation with a budget
    "anthropic/claude-opus-4-7": None,  # adaptive
    "anthropic/claude-haiku-5-5": None,  # adaptive
    "anthropic/claude-sonnet-5-5": None,  # adaptive, always thinking
    "gemini/gemini-2.5-pro": None,
    "gemini/gemini-2.5-flash": None,
    "gemini/gemini-2.5-flash-lite": None,
    "gemini/gemini-3.8-flash": None,
    "gemini/gemini-3.1-pro-preview": None,
    "deepseek/deepseek-v4-pro": None,
    "deepseek/deepseek-reasoner": None,
    "dashscope/qwen3.8-max": None,
    "hosted_vllm/qwen3-32b": _QWEN_ON_VLLM,
    "hosted_vllm/granite-4": _TEMPLATE,
    "mistral/mistral-medium-3-5": None,
    "mistral/magistral-medium-latest": None,
    "xai/grok-4.7": None,
    "xai/grok-3-mini": _GROK_MINI,
    "groq/openai/gpt-oss-120b": None,
    "bedrock/us.amazon.nova-2-lite-v1:0": None,
    "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0": None,
    "ollama_chat/qwen3": Reasoning(
        family="ollama-toggle", control=Control.TOGGLE, levels=(("none", 0), ("high", 16_384))
    ),
    "ollama_chat/gpt-oss:20b": Reasoning(
        family="ollama-effort",
        control=Control.LEVELS,
        levels=(("low", 1_024), ("medium", 4_096), ("high", 16_384)),
        can_disable=False,
    ),
    "openrouter/anthropic/claude-sonnet-5.5": None,
    "openrouter/openai/gpt-6-luna": None,
}


# Function tools rule thinking out for these (see `openai-effort-or-tools`), and would hide the dial.
WITHOUT_TOOLS = frozenset({"openai/gpt-6-sol", "openai/gpt-6-astra"})
_TOOLS = frozenset({"tools", "parallel_tool_calls"})


def sentinels(name: str) -> dict[str, Any]:
    """The client's parameters for this model."""
    left_out = _TOOLS if name in WITHOUT_TOOLS else frozenset[str]()
    return {key: value for key, value in SENTINELS.items() if key not in left_out}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell of the matrix."""

    allowance: int
    dial: str

    @property
    def name(self) -> str:
        return f"allowance={self.allowance}" + (f" reasoning_effort={self.dial}" if self.dial else "")


def cases() -> Iterator[Case]:
    for dial in DIALS:
        for allowance in ALLOWANCES:
            yield Case(allowance=allowance, dial=dial)


def model(name: str, url: str) -> UpstreamModel:
    """The model as an operator would configure it, with the recorder in the provider's place."""
    known = pricing.facts(name)
    provider = name.partition("/")[0]
    base, options = url, ()
    if provider == "bedrock":
        options = (*_AWS, ("aws_bedrock_runtime_endpoint", url))
    elif provider == "azure":
        options = (("api_version", "2025-04-01-preview"),)
    elif provider == "openai":
        base = f"{url}/v1"
    return UpstreamModel(
        name=name,
        api_base=None if provider == "bedrock" else base,
        api_key=None if provider == "bedrock" else SecretStr("test-key"),
        reasoning=MODELS[name] or known.reasoning,
        max_output=known.max_output,
        options=tuple(sorted(options)),
    )


def call(upstream: UpstreamModel, case: Case, params: Mapping[str, Any]) -> UpstreamCall:
    return UpstreamCall(
        model=upstream,
        body={"messages": MESSAGES, **params, **DIALS[case.dial]},
        max_tokens=case.allowance + ANSWER,
        allowance=case.allowance,
        timeout_s=30.0,
    )
