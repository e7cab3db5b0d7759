"""Which thinking dial a model has, from its name and LiteLLM's map; the operator's settings may override it.

Pure. The table behind it, with its sources, is in docs/guides/reasoning.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from policies.types import Control, Reasoning
from router.upstream.reasoning import EFFORT_TOKENS

Entry = Mapping[str, Any]

_O_SERIES = re.compile(r"o\d")
_FIRST_GPT5 = re.compile(r"gpt-5(-mini|-nano)?")
_GPT_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?")
_TOOLS_OR_THOUGHT = (5, 4)
_GEMINI_VERSION = re.compile(r"gemini-(\d+)")
# Anthropic's least budget, and Gemini's ranges, as documented by them.
_CLAUDE_LEAST = 1_024
_GEMINI_BUDGETS = {"flash-lite": (512, 24_576, True), "flash": (1, 24_576, True), "pro": (128, 32_768, False)}
_QWEN_MOST = 38_912
_OPENROUTER_MOST = 128_000
_ALWAYS = Reasoning(family="always", control=Control.ALWAYS, can_disable=False)


def of(upstream: str, entry: Entry) -> Reasoning:
    """The dial of a model by LiteLLM's name. `entry` is its entry in the map, or {} where it has none."""
    provider, _, name = upstream.partition("/")
    if not entry.get("supports_reasoning"):
        return Reasoning()
    return _PROVIDERS.get(provider, _unknown)(name, entry)


def _levels(*names: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, EFFORT_TOKENS[name]) for name in names)


def _efforts(family: str, *names: str, can_disable: bool | None = None) -> Reasoning:
    off = "none" in names if can_disable is None else can_disable
    return Reasoning(family=family, control=Control.LEVELS, levels=_levels(*names), can_disable=off)


def _openai(name: str, entry: Entry, family: str | None = None) -> Reasoning:
    """o-series: low to high. gpt-5: from minimal. Later ones: from none; `xhigh` where the map says so.

    `max` is left out: OpenAI takes it on its responses interface only.
    """
    family = family or ("openai-effort-or-tools" if _version(name) >= _TOOLS_OR_THOUGHT else "openai-effort")
    if _O_SERIES.match(name.rpartition("/")[2]):
        return _efforts(family, "low", "medium", "high")
    first = _FIRST_GPT5.fullmatch(name) is not None  # Azure's entries do not say that it takes `minimal`
    lower = [
        low for low in ("none", "minimal") if entry.get(f"supports_{low}_reasoning_effort", first and low == "minimal")
    ]
    upper = ["xhigh"] if entry.get("supports_xhigh_reasoning_effort") else []
    return _efforts(family, *lower, "low", "medium", "high", *upper)


def _version(name: str) -> tuple[int, int]:
    found = _GPT_VERSION.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _anthropic(_name: str, entry: Entry, family: str = "anthropic-budget") -> Reasoning:
    """A budget up to Claude 4.6, adaptive efforts from 4.7 on."""
    if entry.get("supports_adaptive_thinking") and not entry.get("supports_legacy_thinking"):
        upper = [top for top in ("xhigh", "max") if entry.get(f"supports_{top}_reasoning_effort")]
        off = not entry.get("thinking_always_on")
        return _efforts("anthropic-adaptive", "low", "medium", "high", *upper, can_disable=off)
    most = int(entry.get("max_output_tokens") or 64_000) - 1
    return Reasoning(family=family, control=Control.TOKENS, min_tokens=_CLAUDE_LEAST, max_tokens=most, hard_cap=True)


def _gemini(name: str, entry: Entry) -> Reasoning:
    """Gemini 2.5 takes a budget; from 3 on, levels, of which none is off."""
    version = _GEMINI_VERSION.search(name)
    if version is not None and int(version[1]) <= 2:  # noqa: PLR2004 - the generation that takes budgets
        kind = next((kind for kind in _GEMINI_BUDGETS if kind in name), "flash")
        least, most, off = _GEMINI_BUDGETS[kind]
        return Reasoning(
            family="gemini-budget",
            control=Control.TOKENS,
            min_tokens=least,
            max_tokens=most,
            can_disable=off,
            hard_cap=True,
        )
    minimal = entry.get("supports_minimal_reasoning_effort", True) and "pro" not in name
    return _efforts("gemini-level", *(["minimal"] if minimal else []), "low", "medium", "high")


def _deepseek(name: str, _entry: Entry) -> Reasoning:
    if name in {"deepseek-reasoner", "deepseek-r1"}:
        return _ALWAYS
    return Reasoning(family="deepseek-toggle", control=Control.TOGGLE)


def _qwen(name: str, _entry: Entry) -> Reasoning:
    if not name.startswith(("qwen", "qwq")):
        return _ALWAYS
    off = not ("thinking" in name or name.startswith("qwq"))
    return Reasoning(
        family="qwen-budget",
        control=Control.TOKENS,
        min_tokens=1,
        max_tokens=_QWEN_MOST,
        can_disable=off,
        hard_cap=True,
    )


def _openrouter(name: str, entry: Entry) -> Reasoning:
    """OpenRouter takes tokens for those whose makers do, and efforts for the others."""
    maker, _, model = name.partition("/")
    if maker == "anthropic" or "gemini-2" in model or maker == "qwen":
        least = _CLAUDE_LEAST if maker == "anthropic" else 1
        off = not entry.get("thinking_always_on")
        return Reasoning(
            family="openrouter-tokens",
            control=Control.TOKENS,
            min_tokens=least,
            max_tokens=_OPENROUTER_MOST,
            can_disable=off,
        )
    if maker == "openai":
        return _openai(model, entry, "openrouter-effort")
    return _efforts("openrouter-effort", "low", "medium", "high")


def _mistral(_name: str, entry: Entry) -> Reasoning:
    """By the efforts that the map lists; Magistral always thinks."""
    listed = [level for level in entry.get("reasoning_effort_levels", ()) if level in EFFORT_TOKENS]
    return _efforts("mistral-effort", *listed) if listed else _ALWAYS


def _xai(name: str, _entry: Entry) -> Reasoning:
    return _efforts("xai-effort", "low", "high") if "mini" in name else _ALWAYS


def _groq(name: str, _entry: Entry) -> Reasoning:
    return _efforts("groq-effort", "low", "medium", "high") if "gpt-oss" in name else _ALWAYS


def _bedrock(name: str, entry: Entry) -> Reasoning:
    if "anthropic" in name:
        return _anthropic(name, entry, "bedrock-anthropic-budget")
    if "nova-2" in name:
        return _efforts("bedrock-nova-effort", "low", "medium", "high", can_disable=True)
    return _ALWAYS


def _ollama(name: str, _entry: Entry) -> Reasoning:
    if "gpt-oss" in name:
        return _efforts("ollama-effort", "low", "medium", "high")
    return Reasoning(family="ollama-toggle", control=Control.TOGGLE, levels=(("none", 0), ("high", 16_384)))


def _unknown(_name: str, _entry: Entry) -> Reasoning:
    """It thinks, and nobody has written down how it is steered: `max_tokens` alone bounds it."""
    return _ALWAYS


_PROVIDERS: Mapping[str, Callable[[str, Entry], Reasoning]] = {
    "openai": _openai,
    "azure": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "vertex_ai": _gemini,
    "deepseek": _deepseek,
    "dashscope": _qwen,
    "openrouter": _openrouter,
    "mistral": _mistral,
    "xai": _xai,
    "groq": _groq,
    "bedrock": _bedrock,
    "ollama": _ollama,
    "ollama_chat": _ollama,
}
