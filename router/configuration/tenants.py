"""Declared tenants: their budgets, limits, and what their requests are held to."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from router.configuration.section import TENANT_ID, Probability, Section, Usd, Weight
from router.configuration.serving import SemanticMode


class BudgetSettings(Section):
    """Money for a window. Windows are in UTC."""

    limit_usd: Usd
    window: Literal["day", "month", "total"] = "month"
    # The share of the limit from which on requests get cheaper rungs and are marked.
    soft: Probability | None = None
    # The share of what a window leaves that goes on into the next one, and the most that does.
    rollover: Probability = 0.0
    rollover_cap_usd: Usd | None = None
    # The shares of the limit at which somebody is told; none: 0.5, 0.8 and 1; an empty list: never.
    alerts: list[Annotated[float, Field(gt=0, le=1)]] | None = None

    @model_validator(mode="after")
    def _has_a_next_window(self) -> Self:
        if self.rollover and self.window == "total":
            raise ValueError("a budget of window `total` has no next window to roll over into")
        return self


class SpendProfile(Section):
    """How a budget's money is meant to be spread: the weights of hours and of weekdays multiply."""

    hours: Annotated[list[Weight], Field(min_length=24, max_length=24)] | None = None
    weekdays: Annotated[list[Weight], Field(min_length=7, max_length=7)] | None = None
    utc_offset_hours: Annotated[float, Field(ge=-14, le=14)] = 0.0


class TenantPolicy(Section):
    """What a tenant's requests are held to, whatever the caller wishes."""

    quality: Probability | None = None
    max_cost_usd: Usd | None = None
    max_reasoning_tokens: Annotated[int, Field(ge=0)] | None = None
    max_latency_s: Annotated[float, Field(gt=0)] | None = None
    min_quality: Probability | None = None
    deny: list[str] = Field(default_factory=list[str])
    require_tags: list[str] = Field(default_factory=list[str])
    # What a right answer is worth, in dollars, instead of the policy's value at the dial.
    answer_value_usd: Annotated[Usd | None, Field(gt=0)] = None
    # The largest share of calls that the strongest tier may have, however hard the questions look.
    strong_share: Probability | None = None
    # Whether the log may keep the text of questions, and of labels and corrections; without it, numbers only.
    log_text: bool = False
    # Days that the log keeps; none: the gateway's `log.keep_days`.
    log_days: Annotated[int, Field(ge=0)] | None = None
    # The share of requests that try another rung, to learn from; 0 forbids it.
    explore: Probability = 0.0
    spend_profile: SpendProfile | None = None
    # What one session may cost; a caller's own, lower one is kept as well.
    session_budget_usd: Usd | None = None
    # Whether its questions in other words may share answers, instead of the gateway's `cache.semantic`.
    semantic_cache: SemanticMode | None = None


class TenantSettings(TenantPolicy):
    """A tenant that is declared in the file, beside those made by `rung tenants create`."""

    id: Annotated[str, Field(pattern=TENANT_ID)]
    name: str = ""
    budgets: list[BudgetSettings] = Field(default_factory=list[BudgetSettings])
    models: list[str] | None = None
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_budget_a_window(self) -> Self:
        windows = [budget.window for budget in self.budgets]
        for window in windows:
            if windows.count(window) > 1:
                raise ValueError(f"budgets: there are two of window `{window}`, and only one can hold: leave one out")
        return self


def require_organisations(tenants: list[str]) -> None:
    """Raise ValueError where a member `team@organisation` is declared without its organisation."""
    for tenant in tenants:
        above = tenant.partition("@")[2]
        if above and above not in tenants:
            raise ValueError(f"tenants: `{tenant}` belongs to `{above}`, which is not declared; declare it too")
