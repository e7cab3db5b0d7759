"""Which rungs there are: the allowances a model can honour, and whether a request may use the model at all.

A reason is a clause in words that ends a sentence "gpt-5-mini: ..." and says the remedy.
"""

from __future__ import annotations

from policies.types import Control, Demand, Model, Reasoning, Wishes

# Where a model takes any number of tokens: each step is four times the last, wide enough that neighbours
# differ in what they buy, with 128K as the largest that any provider takes.
GRID = (1024, 4096, 16_384, 65_536, 131_072)
# A model that thinks without a dial may use this much: the 90 % quantile of a hard question is about twice
# the median of 6,045 that AIME takes; less would starve answers, more would only raise holds.
UNDIALLED = 12_288
# An answer shorter than this is none; a prompt must leave at least so much room in the context window.
LEAST_ANSWER = 16


def allowances(reasoning: Reasoning) -> tuple[int, ...]:
    """The allowances that a model can honour, rising, in tokens. 0 means that it does not think."""
    match reasoning.control:
        case Control.NONE:
            return (0,)
        case Control.ALWAYS:
            return (reasoning.max_tokens or UNDIALLED,)
        case Control.TOGGLE:
            steps = {reasoning.max_tokens or UNDIALLED}
        case Control.LEVELS:
            steps = {tokens for _, tokens in reasoning.levels}
        case Control.TOKENS:  # pragma: no branch - the last of the controls
            steps = {step for step in GRID if reasoning.min_tokens <= step <= reasoning.max_tokens}
            steps = steps or {reasoning.max_tokens}
            if not reasoning.can_disable:
                steps.add(reasoning.min_tokens)
    if reasoning.can_disable:
        steps.add(0)
    return tuple(sorted(steps))


def room(model: Model, demand: Demand) -> int:
    """Tokens that may be produced, thinking included: within the model's, context's and client's cap."""
    free = min(model.max_output, model.context_window - demand.input_tokens)
    return free if demand.max_output_tokens is None else min(free, demand.max_output_tokens)


def permitted(model_id: str, wishes: Wishes) -> bool:
    """Whether the tenant's lists let the model be used."""
    return model_id not in wishes.deny and (wishes.allow is None or model_id in wishes.allow)


def too_long(model: Model, demand: Demand) -> bool:
    """Whether the prompt leaves no room for an answer in the context window."""
    return demand.input_tokens + LEAST_ANSWER > model.context_window


def rejection(model: Model, demand: Demand, wishes: Wishes) -> str:
    """Why the model cannot serve the request whatever the allowance, or "" where it can."""
    missing = demand.needs - model.capabilities
    if missing:
        return f"cannot do {', '.join(sorted(missing))}; drop it from the request or choose a model that can"
    if too_long(model, demand):
        return (
            f"its context window holds {model.context_window:,} tokens and the prompt has up to "
            f"{demand.input_tokens:,}; shorten the prompt"
        )
    missing_tags = wishes.require_tags - model.tags
    if missing_tags:
        tags = ", ".join(sorted(missing_tags))
        return f"does not carry the tag {tags}, which the policy requires; tag it or lift the rule"
    if model.tier in wishes.barred_tiers:
        return f"its share of the {model.tier} tier is used up for now; raise the cap on the share or wait"
    if not permitted(model.id, wishes):
        return "the allow and deny lists exclude it; ask for it to be allowed"
    return ""
