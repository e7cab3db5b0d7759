"""A decision as plain data: the receipt that explains it, and the menu that quotes before a token is spent.

Money appears twice: as an integer of nano-dollars, for machines, and as an exact decimal string of dollars,
    for people.
"""

from __future__ import annotations

from typing import Any

from policies.cost import usd
from policies.explain import thinking_words
from policies.second_look import SecondLook
from policies.types import Candidate, Decision

# Of the receipt, as `policies.records` reads it: raised when a field that it needs changes its place or meaning.
SCHEMA = 1


def receipt(decision: Decision) -> dict[str, Any]:
    """The whole explanation of a decision, JSON-able."""
    return {
        "schema": SCHEMA,
        "why": decision.why,
        "why_not_cheaper": decision.why_not_cheaper,
        "why_not_better": decision.why_not_better,
        "served": served_sentence(decision),
        "notes": list(decision.notes),
        "difficulty": _difficulty(decision),
        "wishes": _wishes(decision),
        "budget": _budget(decision),
        "chosen": _candidate(decision.chosen),
        "preferred": _candidate(decision.preferred),
        "plan": [
            {
                "model": a.model,
                "tier": a.tier,
                "allowance": a.allowance,
                "max_tokens": a.max_tokens,
                **_money("expected_cost", a.expected_cost_nano),
                **_money("worst_cost", a.worst_cost_nano),
            }
            for a in decision.plan
        ],
        **_money("hold", decision.hold_nano),
        "candidates": [_candidate(c) for c in decision.candidates],
        "propensity": decision.propensity,
        "policy_version": decision.policy_version,
        "catalog_version": decision.catalog_version,
    }


def menu(decision: Decision) -> dict[str, Any]:
    """The ladder as a priced menu for a dry run: the choice over all of it, and who could serve that now."""
    return {
        "choice": _rung(decision.preferred),
        "served_by": _rung(decision.chosen),
        "served": served_sentence(decision),
        "why": decision.why,
        "why_not_cheaper": decision.why_not_cheaper,
        "why_not_better": decision.why_not_better,
        "difficulty": _difficulty(decision),
        **_money("hold", decision.hold_nano),
        "menu": [_candidate(c) for c in decision.candidates],
        "policy_version": decision.policy_version,
        "catalog_version": decision.catalog_version,
    }


def served_sentence(decision: Decision) -> str:
    """Who serves the request, and who would if it could be called."""
    served = f"served by {_named(decision.chosen)}"
    if not decision.unavailable_because:
        return f"{served} {thinking_words(decision.chosen.allowance)}"
    wanted = f"{_named(decision.preferred)} {thinking_words(decision.preferred.allowance)}"
    return f"would choose {wanted}; {decision.unavailable_because}; {served}"


def _named(candidate: Candidate) -> str:
    return f"{candidate.tier} ({candidate.model})"


def _rung(candidate: Candidate) -> dict[str, Any]:
    return {
        "model": candidate.model,
        "tier": candidate.tier,
        "allowance": candidate.allowance,
        "strategy": candidate.strategy,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    # One literal: a receipt has dozens of these, and every request is logged with one.
    return {
        "model": candidate.model,
        "tier": candidate.tier,
        "allowance": candidate.allowance,
        "strategy": candidate.strategy,
        "quality": round(candidate.quality, 4),
        "expected_cost_nano": candidate.expected_cost_nano,
        "expected_cost_usd": usd(candidate.expected_cost_nano),
        "worst_cost_nano": candidate.worst_cost_nano,
        "worst_cost_usd": usd(candidate.worst_cost_nano),
        "expected_latency_s": round(candidate.expected_latency_s, 2),
        "max_tokens": candidate.max_tokens,
        "available": candidate.available,
        "rejected": candidate.rejected or None,
    }


def _difficulty(decision: Decision) -> dict[str, Any] | None:
    forecast = decision.forecast
    if forecast is None:
        return None
    return {
        "value": round(forecast.difficulty, 4),
        "uncertainty": round(forecast.uncertainty, 4),
        "kind": forecast.kind,
        "reasons": list(forecast.reasons),
        "answer_tokens": forecast.answer_tokens,
        "answer_tokens_high": forecast.answer_tokens_high,
        "is_default": forecast.is_default,
        "classifier_version": forecast.version,
        "second_look": None if forecast.second_look is None else _second_look(forecast.second_look),
    }


def _second_look(look: SecondLook) -> dict[str, Any]:
    return {
        "result": look.result.value,
        "distance": round(look.doubt.distance, 3),
        "rival": {"model": look.doubt.rival, "allowance": look.doubt.allowance},
        "first_choice": {"model": look.model, "allowance": look.allowance},
        "first_difficulty": round(look.difficulty, 4),
        "version": look.version,
        "took_ms": round(look.took_ms, 2),
    }


def _wishes(decision: Decision) -> dict[str, Any] | None:
    wishes = decision.wishes
    if wishes is None:
        return None
    ceiling = wishes.max_cost_nano
    return {
        "quality": wishes.quality,
        "max_cost_usd": None if ceiling is None else usd(ceiling),
        "max_reasoning_tokens": wishes.max_reasoning_tokens,
        "max_latency_s": wishes.max_latency_s,
        "min_quality": wishes.min_quality,
    }


def _budget(decision: Decision) -> dict[str, Any] | None:
    purse = decision.purse
    if purse is None:
        return None
    state: dict[str, Any] = {"pacing_price": purse.pacing_price, "past_soft_limits": list(purse.past_soft)}
    for name in ("limit", "spent", "held", "remaining"):
        nano: int | None = getattr(purse, f"{name}_nano")
        state |= {f"{name}_nano": None, f"{name}_usd": None} if nano is None else _money(name, nano)
    if purse.remaining_nano is not None:
        state |= _money("remaining_after_hold", purse.remaining_nano - decision.hold_nano)
    return state


def _money(name: str, nano: int) -> dict[str, Any]:
    return {f"{name}_nano": nano, f"{name}_usd": usd(nano)}
