"""The models that tests call at a fake provider, one for each way of calling: see `router.upstream.client`."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from policies.types import Control, Reasoning
from router.testing import FakeUpstream
from router.upstream.types import UpstreamCall, UpstreamModel

KEY = "sk-planted-secret-4711"
KINDS = ("relayed", "translated", "delegated")
_BUDGET = Reasoning(
    family="anthropic-budget", control=Control.TOKENS, min_tokens=1_024, max_tokens=63_999, hard_cap=True
)


def model(fake: FakeUpstream, kind: str = "relayed") -> UpstreamModel:
    if kind == "relayed":
        return UpstreamModel(name="openai/fake-model", api_base=fake.openai_base, api_key=SecretStr(KEY))
    if kind == "delegated":
        return UpstreamModel(
            name="azure/gpt-4.1",
            api_base=fake.url,
            api_key=SecretStr(KEY),
            options=(("api_version", "2025-04-01-preview"),),
        )
    return UpstreamModel(
        name="anthropic/claude-haiku-4-5",
        api_base=fake.anthropic_base,
        api_key=SecretStr(KEY),
        reasoning=_BUDGET,
    )


def call(upstream: UpstreamModel, *, stream: bool = False, timeout_s: float = 20.0, **body: Any) -> UpstreamCall:
    messages = [{"role": "user", "content": "What is the answer?"}]
    return UpstreamCall(
        model=upstream,
        body={"messages": messages, **body},
        max_tokens=3_000,
        allowance=2_000,
        stream=stream,
        timeout_s=timeout_s,
    )
