"""What all tests share: no network but loopback, and no settings of the machine that they run on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest

# LiteLLM goes to the network on import without these.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"] = "True"

# A machine that is shared is slow now and then; an example that takes long proves nothing.
hypothesis.settings.register_profile("rung", deadline=None)
hypothesis.settings.load_profile("rung")

PROVIDER_VARIABLES = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
    "OPENROUTER_API_KEY",
    "OLLAMA_API_BASE",
    "OLLAMA_HOST",
    "HOSTED_VLLM_API_BASE",
    "VLLM_API_BASE",
    "REDIS_URL",
)


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A developer's own keys and settings neither help nor harm a test, nor do those that a test has left behind."""
    before = set(os.environ)
    for name in list(os.environ):
        if name in PROVIDER_VARIABLES or name.startswith("RUNG_"):
            monkeypatch.delenv(name)
    yield
    for name in set(os.environ) - before:  # `rung serve` tells its workers by the environment
        del os.environ[name]
