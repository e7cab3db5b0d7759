"""LiteLLM's own complexity heuristic as a baseline for `rung bench`: prompts in, scores out.

LiteLLM's `auto_router/complexity_router` sorts requests into SIMPLE, MEDIUM, COMPLEX and REASONING by keyword
and length. Its tier decides, and its weighted score orders within a tier. No model is called.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

TIER_SPAN = 10.0  # LiteLLM's weighted scores lie within -1..1, so that a tier always outranks the score


def complexity_scores(prompts: Sequence[str]) -> list[float]:
    """One score per prompt, higher for more complex, by LiteLLM's default keywords and weights."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or importing litellm goes to the network
    os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
    from litellm.router import Router
    from litellm.router_strategy.complexity_router import ComplexityRouter
    from litellm.router_strategy.complexity_router.config import TIER_SEVERITY_ORDER

    heuristic: Any = ComplexityRouter(model_name="baseline", litellm_router_instance=Router(model_list=[]))
    ranks = {tier: rank for rank, tier in enumerate(TIER_SEVERITY_ORDER)}
    return [TIER_SPAN * ranks[tier] + score for tier, score, _ in map(heuristic.classify, prompts)]
