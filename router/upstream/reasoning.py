"""Tokens of thinking to and from the wire: an allowance to parameters, a client's dial to a ceiling.

Pure. The phases of `grant`: bound the allowance by `max_tokens` less an answer reserve; round it to what the
model's dial can express, never upwards where it can be helped; write it in the family's own words; say what
was rounded, what is only advisory, and which of the client's parameters the dial forbids. Sources:
docs/guides/reasoning.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from policies.types import Control, Reasoning
from router.errors import InvalidRequest, NotAvailable, UpstreamRejected
from router.upstream.types import Granted

# Tokens that are always left for the answer: enough for a short one, so that thinking cannot eat all of
# `max_tokens`.
ANSWER_RESERVE_TOKENS = 256

# What the named efforts stand for. The spacing follows the published medians (a basic question takes some 330
# tokens of thinking, a hard one 4,000 to 6,000) and Gemini's and OpenRouter's own equivalents for the outer
# ones.
EFFORT_TOKENS: Mapping[str, int] = {
    "none": 0,
    "minimal": 256,
    "low": 1_024,
    "medium": 4_096,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 65_536,
}

# The client's own dials: they set a ceiling, and never reach a provider as they are.
DIALS = frozenset(
    {
        "reasoning_effort",
        "reasoning",
        "thinking",
        "enable_thinking",
        "thinking_budget",
        "thinking_token_budget",
    }
)
_UNLIMITED = (
    EFFORT_TOKENS["max"] * 2
)  # "adaptive" and "enabled" without a number: the 128K that the largest models allow


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Dose:
    """A rounded allowance: the named level, where the model has levels, and the tokens that it stands for."""

    tokens: int
    level: str | None = None

    @property
    def thinks(self) -> bool:
        """Whether any thinking is asked for."""
        return self.tokens > 0


Writer = Callable[[Dose], tuple[dict[str, Any], dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one family of models takes its allowance.

    Attributes:
        write: a dose in the family's words: parameters for LiteLLM, and fields of the body.
        forbids: sampling parameters that must stay at their default while the model thinks.
        free_tools: whether a forced `tool_choice` is refused while the model thinks.
        no_tools: whether any function tool is.
    """

    write: Writer
    forbids: frozenset[str] = frozenset()
    free_tools: bool = False
    no_tools: bool = False

    def forbids_thinking(self, body: Mapping[str, Any]) -> str | None:
        """The parameter of this request that the family refuses while it thinks, or None."""
        if self.free_tools and _forces_a_tool(body):
            return "tool_choice"
        return "tools" if self.no_tools and body.get("tools") else None


def _nothing(_dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {}


def _effort(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return ({"reasoning_effort": dose.level} if dose.level else {}), {}


def _anthropic_budget(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return ({"thinking": {"type": "enabled", "budget_tokens": dose.tokens}} if dose.thinks else {}), {}


def _anthropic_adaptive(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return ({"reasoning_effort": dose.level} if dose.thinks else {"thinking": {"type": "disabled"}}), {}


def _gemini_budget(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"thinking": {"type": "enabled" if dose.thinks else "disabled", "budget_tokens": dose.tokens}}, {}


def _thinking_toggle(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"thinking": {"type": "enabled" if dose.thinks else "disabled"}}, {}


def _qwen_budget(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    if not dose.thinks:
        return {}, {"enable_thinking": False}
    return {}, {"enable_thinking": True, "thinking_budget": dose.tokens}


def _template_toggle(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {"chat_template_kwargs": {"enable_thinking": dose.thinks}}


def _vllm_budget(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    extra = _template_toggle(dose)[1]
    return {}, extra | ({"thinking_token_budget": dose.tokens} if dose.thinks else {})


def _openrouter_tokens(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {"reasoning": {"max_tokens": dose.tokens} if dose.thinks else {"effort": "none"}}


def _openrouter_effort(dose: Dose) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, ({"reasoning": {"effort": dose.level}} if dose.level else {})


_SAMPLING = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
_CLAUDE = frozenset({"temperature", "top_p", "top_k"})

FAMILIES: Mapping[str, Family] = {
    "none": Family(write=_nothing),
    "always": Family(write=_nothing),
    "effort": Family(write=_effort),
    "openai-effort": Family(write=_effort, forbids=_SAMPLING),
    # From gpt-5.4 on, chat completions refuse function tools while the model reasons.
    "openai-effort-or-tools": Family(write=_effort, forbids=_SAMPLING, no_tools=True),
    "anthropic-budget": Family(write=_anthropic_budget, forbids=_CLAUDE, free_tools=True),
    "anthropic-adaptive": Family(write=_anthropic_adaptive, forbids=_CLAUDE, free_tools=True),
    "gemini-budget": Family(write=_gemini_budget),
    "gemini-level": Family(write=_effort),
    "deepseek-toggle": Family(write=_thinking_toggle),
    "qwen-budget": Family(write=_qwen_budget),
    "vllm-budget": Family(write=_vllm_budget),
    "template-toggle": Family(write=_template_toggle),
    "openrouter-tokens": Family(write=_openrouter_tokens),
    "openrouter-effort": Family(write=_openrouter_effort),
    "mistral-effort": Family(write=_effort),
    "xai-effort": Family(write=_effort),
    "groq-effort": Family(write=_effort),
    "bedrock-nova-effort": Family(write=_effort),
    "bedrock-anthropic-budget": Family(write=_anthropic_budget, forbids=_CLAUDE, free_tools=True),
    "ollama-toggle": Family(write=_effort),
    "ollama-effort": Family(write=_effort),
}


def grant(
    reasoning: Reasoning,
    *,
    allowance: int,
    max_tokens: int,
    max_output: int | None = None,
    body: Mapping[str, Any] | None = None,
) -> Granted:
    """What an allowance becomes for a model with this dial.

    `allowance`, `max_tokens` and `max_output` are tokens; `max_tokens` caps everything produced, thinking
    included. `body` is the client's request: its own dials lower the allowance, and a forced tool can rule
    thinking out. Raises UpstreamRejected where a model that always thinks is asked for something that it
    refuses while thinking, and InvalidRequest where the client's own dial is not one.
    """
    body = body or {}
    family = family_named(reasoning.family)
    notes: list[str] = []
    cap = min(max_tokens, max_output or max_tokens)
    if cap < max_tokens:
        notes.append(f"max_tokens lowered from {max_tokens} to the model's limit of {cap}")
    wanted = _bounded(allowance, ceiling(body), cap, notes)
    hindrance = family.forbids_thinking(body)
    if wanted and hindrance:
        wanted = 0
        notes.append(f"no thinking: the model refuses this {hindrance} while it thinks")
    dose = _round(reasoning, wanted, cap, notes)
    if dose.thinks and hindrance:
        raise UpstreamRejected(
            f"this model always thinks, and refuses this {hindrance} then: let another model serve",
            param=hindrance,
        )
    params, extra = family.write(dose)
    thinks = dose.thinks or not reasoning.can_disable
    hard = reasoning.hard_cap or not thinks
    if thinks and not hard:
        notes.append("advisory: only max_tokens is enforced")
    return Granted(
        params=params,
        extra=extra,
        tokens=dose.tokens,
        hard=hard,
        max_tokens=cap,
        notes=tuple(notes),
        omit=family.forbids if thinks and reasoning.control is not Control.NONE else frozenset(),
    )


def family_named(name: str) -> Family:
    """The family of that name. Raises NotAvailable with the names that there are."""
    family = FAMILIES.get(name)
    if family is None:
        raise NotAvailable(f"there is no reasoning family {name!r}: take one of {', '.join(sorted(FAMILIES))}")
    return family


def ceiling(body: Mapping[str, Any]) -> int | None:
    """The most reasoning tokens that the client's dials allow; None without any. Raises InvalidRequest."""
    found = [
        tokens for dial in DIALS if (value := body.get(dial)) is not None and (tokens := _dial(dial, value)) is not None
    ]
    return min(found, default=None)


def _dial(name: str, value: object) -> int | None:
    """One dial as a ceiling in tokens, or None where it says nothing about how much."""
    if name == "reasoning_effort":
        return _effort_tokens(value.get("effort") if isinstance(value, Mapping) else value, name)
    if name == "enable_thinking":
        return _toggle(value, name)
    if name in {"thinking_budget", "thinking_token_budget"}:
        return _tokens(value, name)
    if not isinstance(value, Mapping):
        raise _bad_dial(name, "an object")
    return _thinking(value) if name == "thinking" else _reasoning(value)


def _thinking(value: Mapping[str, Any]) -> int | None:
    """Anthropic's dial: `{"type": "enabled", "budget_tokens": n}`, `adaptive` or `disabled`."""
    match value.get("type"):
        case "disabled":
            return 0
        case "enabled" | "adaptive":
            budget = value.get("budget_tokens")
            return _UNLIMITED if budget is None else _tokens(budget, "thinking.budget_tokens")
        case _:
            raise _bad_dial("thinking.type", "enabled, adaptive or disabled")


def _reasoning(value: Mapping[str, Any]) -> int | None:
    """The dial of OpenAI's responses and of OpenRouter: `effort`, `max_tokens`, `enabled`."""
    found: list[int | None] = []
    if (effort := value.get("effort")) is not None:
        found.append(_effort_tokens(effort, "reasoning.effort"))
    if (budget := value.get("max_tokens")) is not None:
        found.append(_tokens(budget, "reasoning.max_tokens"))
    if (enabled := value.get("enabled")) is not None:
        found.append(_toggle(enabled, "reasoning.enabled"))
    return min((tokens for tokens in found if tokens is not None), default=None)


def _effort_tokens(value: object, param: str) -> int:
    tokens = EFFORT_TOKENS.get(value) if isinstance(value, str) else None
    if tokens is None:
        raise _bad_dial(param, f"one of {', '.join(EFFORT_TOKENS)}")
    return tokens


def _tokens(value: object, param: str) -> int:
    if type(value) is not int or value < 0:
        raise _bad_dial(param, "a number of tokens, 0 or more")
    return value


def _toggle(value: object, param: str) -> int | None:
    if not isinstance(value, bool):
        raise _bad_dial(param, "true or false")
    return None if value else 0


def _forces_a_tool(body: Mapping[str, Any]) -> bool:
    """Whether the model must call a tool; `auto` and `none` leave it free."""
    choice = body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, Mapping) else choice
    return kind not in {None, "auto", "none"}


def _bad_dial(param: str, expected: str) -> InvalidRequest:
    return InvalidRequest(f"{param} must be {expected}", param=param)


def _bounded(allowance: int, ceiling_tokens: int | None, cap: int, notes: list[str]) -> int:
    wanted = max(0, allowance)
    if ceiling_tokens is not None and ceiling_tokens < wanted:
        notes.append(f"allowance lowered from {wanted} to the client's ceiling of {ceiling_tokens}")
        wanted = ceiling_tokens
    room = max(0, cap - ANSWER_RESERVE_TOKENS)
    if room < wanted:
        notes.append(f"allowance lowered from {wanted} to {room}: the rest of {cap} is kept for the answer")
        wanted = room
    return wanted


def _round(reasoning: Reasoning, wanted: int, cap: int, notes: list[str]) -> Dose:
    match reasoning.control:
        case Control.NONE:
            return Dose(tokens=0)
        case Control.ALWAYS | Control.TOGGLE:
            return _switch(reasoning, wanted)
        case Control.LEVELS:
            return _level(reasoning, wanted, notes)
        case Control.TOKENS:
            return _budget(reasoning, wanted, cap, notes)


def _switch(reasoning: Reasoning, wanted: int) -> Dose:
    """On or off; the level, where the family writes one, is the first or last of `levels`."""
    on = wanted > 0 or not reasoning.can_disable
    names = [name for name, _ in reasoning.levels]
    return Dose(tokens=wanted, level=(names[-1] if on else names[0]) if names else None)


def _level(reasoning: Reasoning, wanted: int, notes: list[str]) -> Dose:
    """The highest level that the allowance covers, else the lowest that there is."""
    within = [(name, tokens) for name, tokens in reasoning.levels if tokens <= wanted]
    name, tokens = within[-1] if within else reasoning.levels[0]
    if not within and not reasoning.can_disable:
        notes.append(f"{wanted} tokens raised to {name} (about {tokens}): the model does not think less")
    elif not within:
        return Dose(tokens=0)
    elif tokens != wanted:
        notes.append(f"{wanted} tokens rounded down to {name} (about {tokens})")
    return Dose(tokens=tokens, level=name)


def _budget(reasoning: Reasoning, wanted: int, cap: int, notes: list[str]) -> Dose:
    """The allowance inside the model's range; under its minimum, off where that can be."""
    if wanted > reasoning.max_tokens:
        notes.append(f"{wanted} tokens lowered to the model's maximum of {reasoning.max_tokens}")
        return Dose(tokens=reasoning.max_tokens)
    if wanted >= max(1, reasoning.min_tokens):
        return Dose(tokens=wanted)
    if reasoning.can_disable:
        if wanted:
            notes.append(f"{wanted} tokens rounded down to none: the model thinks with {reasoning.min_tokens} or more")
        return Dose(tokens=0)
    if cap <= reasoning.min_tokens:
        raise UpstreamRejected(
            f"this model always thinks, with {reasoning.min_tokens} tokens or more: raise max_tokens above",
            param="max_tokens",
        )
    notes.append(f"{wanted} tokens raised to {reasoning.min_tokens}: the model does not think less")
    return Dose(tokens=reasoning.min_tokens)
