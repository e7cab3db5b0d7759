"""The words that the policy speaks: what goes into a decision and what comes out of it.

Everything here is a frozen value. Money is an integer number of nano-dollars (10^-9 USD); prices are
nano-dollars per *million* tokens, so that $0.0375 per million is the exact integer 37,500,000; tokens are
integers; times are seconds; probabilities and qualities lie in 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from policies.second_look import Doubt, SecondLook
from policies.spending import Curve

NANO_PER_USD = 1_000_000_000


class Capability(StrEnum):
    """What a request may need of a model."""

    TOOLS = "tools"
    VISION = "vision"
    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    AUDIO = "audio"
    LOGPROBS = "logprobs"
    MULTIPLE_CHOICES = "n"


class Control(StrEnum):
    """How a model's thinking can be steered."""

    NONE = "none"  # the model does not think
    ALWAYS = "always"  # it always thinks, and takes no dial
    TOGGLE = "toggle"  # on or off
    LEVELS = "levels"  # named efforts
    TOKENS = "tokens"  # a number of tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """List prices in nano-dollars per million tokens. None: as `output` (reasoning), as `input` (cache)."""

    input: int
    output: int
    reasoning: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """What a model takes as a thinking dial (see docs/guides/reasoning.md).

    Attributes:
        family: the name of the wire mapping in `router.upstream.reasoning`, for example `openai-effort`.
        control: how the thinking is steered.
        levels: for LEVELS, the efforts in rising order with the reasoning tokens that each stands for.
        min_tokens: for TOKENS, the least budget that the model accepts when it thinks at all.
        max_tokens: for TOKENS, the largest budget.
        can_disable: whether an allowance of 0 can be honoured.
        hard_cap: whether the provider enforces the allowance; otherwise it is advisory and `max_tokens`
            enforces it.
        thinking_factor: how many times the typical number of thinking tokens this model spends on a question.
    """

    family: str = "none"
    control: Control = Control.NONE
    levels: tuple[tuple[str, int], ...] = ()
    min_tokens: int = 0
    max_tokens: int = 0
    can_disable: bool = True
    hard_cap: bool = False
    thinking_factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRule:
    """Prices that replace the list prices under a condition; all that is given must hold.

    Attributes:
        prices: what holds then, for the whole call.
        from_input_tokens: prompts of at least so many tokens.
        hours_utc: from the first hour (included) to the second (excluded), 0..24; over midnight where the first is
            the larger. None: at any hour.
        weekdays: 0 is Monday; None: on any day.
    """

    prices: Prices
    from_input_tokens: int = 0
    hours_utc: tuple[int, int] | None = None
    weekdays: frozenset[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of the catalogue.

    Attributes:
        id: the name that clients and receipts use.
        upstream: LiteLLM's name, for example `openai/gpt-5-mini`.
        tier: the tier that it belongs to.
        ability: expected accuracy on a broad reference mix (MMLU-Pro's scale), 0..1. It places a model that the
            classifier has no head for.
        ability_allowance: thinking tokens that the model had when that ability was measured; 0: none. Leaderboards
            run reasoning models with thinking, so their figures must not be taken for what they do without.
        latency_s: seconds to the first token. tokens_per_s: speed afterwards.
        available: whether it can be called now; `unavailable_because` says how to mend it, for
            example `no key for it (set OPENAI_API_KEY)`; it is a clause of the receipt's sentence.
        tags: for example regions. price_rules: the first that holds replaces `prices`.
    """

    id: str
    upstream: str
    tier: str
    prices: Prices
    context_window: int
    max_output: int
    ability: float
    capabilities: frozenset[Capability] = frozenset()
    reasoning: Reasoning = field(default_factory=Reasoning)
    latency_s: float = 0.5
    tokens_per_s: float = 80.0
    available: bool = True
    unavailable_because: str = ""
    tags: frozenset[str] = frozenset()
    price_rules: tuple[PriceRule, ...] = ()
    ability_allowance: int = 0


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Demand:
    """What the request itself asks for, read off the wire.

    Attributes:
        input_tokens: an upper bound of the prompt's tokens.
        max_output_tokens: the client's own cap on the answer (`max_completion_tokens`), or None.
        needs: capabilities without which the call would fail.
        model: the model that the client named, or None for `auto`. An explicit model always wins.
        reasoning_ceiling: the client's own dial as a ceiling in tokens, or None. 0 forbids thinking.
        choices: `n`.
        cached: per model id, prompt tokens that are likely to be in that provider's cache still: they keep a session
            with its model for as long as they are worth more than a switch.
        slowness: per model id, how many times as long as the catalogue says its answers have lately taken; 1 where it
            is absent. Told where a deadline is asked for.
    """

    input_tokens: int
    max_output_tokens: int | None = None
    needs: frozenset[Capability] = frozenset()
    model: str | None = None
    reasoning_ceiling: int | None = None
    choices: int = 1
    cached: Mapping[str, int] = field(default_factory=dict[str, int])
    slowness: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Forecast:
    """The classifier's numbers, as the policy reads them.

    Attributes:
        difficulty: 0..1, calibrated: how likely a cheap model is to fail.
        uncertainty: standard error of the difficulty.
        kind: the likeliest kind of task, for example `mathematics`.
        kinds: probability per kind, by which what thinking buys is averaged; empty: `kind` is sure.
        success: probability of a right answer per model id, at the model's `ability_allowance` (0: without thinking).
        answer_tokens: expected completion tokens without thinking; answer_tokens_high: their 90 % quantile.
        reasons: the features that moved the difficulty, most important first, in words.
        is_default: True when the classifier failed or timed out and these are the marked defaults.
        version: the classifier's version.
        second_look: what became of a second look, or None where the decision was too clear for one.
    """

    difficulty: float
    success: Mapping[str, float]
    uncertainty: float = 0.25
    kind: str = "other"
    kinds: Mapping[str, float] = field(default_factory=dict[str, float])
    answer_tokens: int = 250
    answer_tokens_high: int = 800
    reasons: tuple[str, ...] = ()
    is_default: bool = False
    version: str = "none"
    second_look: SecondLook | None = None


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Wishes:
    """What the caller and the tenant's policy want.

    Attributes:
        quality: the quality-cost dial; 0 is the cheapest acceptable, 0.5 `auto`, 1 the best at any price.
        max_cost_nano: ceiling on the expected worst case of this request, nano-dollars.
        max_reasoning_tokens: ceiling on thinking.
        max_latency_s: ceiling on the expected time to the whole answer.
        min_quality: a floor on expected quality.
        allow: model ids that may be used (None: all); deny: ids that may not.
        require_tags: tags that a model must carry, for example a region where data must stay.
        barred_tiers: tiers whose share is used up (`policies.share`).
        value_nano: what a right answer is worth, nano-dollars, instead of the policy's value at the dial; or None.
        explore: share of requests that take a random rung, to learn from; 0 forbids it.
    """

    quality: float = 0.5
    max_cost_nano: int | None = None
    max_reasoning_tokens: int | None = None
    max_latency_s: float | None = None
    min_quality: float | None = None
    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    require_tags: frozenset[str] = frozenset()
    barred_tiers: frozenset[str] = frozenset()
    explore: float = 0.0
    value_nano: int | None = None


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Purse:
    """The tenant's money as it stands at the decision.

    Attributes:
        remaining_nano: limit - spent - held of the tightest budget, or None where nothing limits the tenant.
        pacing_price: the shadow price of a dollar, >= 0: how much more than its face a dollar is worth to
            this tenant now.
        limit_nano, spent_nano, held_nano: of the tightest budget, for the receipt.
        past_soft: the names of the budgets that are past their soft limit.
    """

    remaining_nano: int | None = None
    pacing_price: float = 0.0
    limit_nano: int | None = None
    spent_nano: int = 0
    held_nano: int = 0
    past_soft: tuple[str, ...] = ()


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Candidate:
    """One rung of the ladder, priced. `rejected` is empty for an admissible one, else the reason in words."""

    model: str
    tier: str
    allowance: int
    quality: float
    expected_cost_nano: int
    worst_cost_nano: int
    expected_latency_s: float
    max_tokens: int
    available: bool = True
    rejected: str = ""
    strategy: str = "single"

    @property
    def admissible(self) -> bool:
        """Whether no constraint rejects it. It may still wait for a key: see `available`."""
        return not self.rejected


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Attempt:
    """One call that the plan allows: model, granted thinking, and the cap on all that it may produce."""

    model: str
    tier: str
    allowance: int
    max_tokens: int
    expected_cost_nano: int
    worst_cost_nano: int
    prices: Prices | None = None


class Words(Protocol):
    """What can be said of a decision, worked out when it is read."""

    def curve(self) -> Curve:
        """What the request would have cost at other prices of money."""
        ...

    def doubt(self) -> Doubt | None:
        """How close the decision was, or None where nothing was in question."""
        ...

    def why(self) -> str:
        """Why this rung."""
        ...

    def why_not_cheaper(self) -> str:
        """What the best of the cheaper rungs would lose."""
        ...

    def why_not_better(self) -> str:
        """What the best of the better rungs would cost."""
        ...


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Decision:
    """What was decided, over the whole ladder and over what can be called now.

    Attributes:
        preferred: the best admissible rung whether or not a key for it is there.
        chosen: the best admissible rung that is available: the first attempt of the plan.
        plan: the attempts in order; the first is the choice, the others its fallbacks.
        candidates: every rung considered, best utility first among the admissible, the rejected ones last.
            Built when it is first looked at: rendering the ladder costs more than deciding.
        hold_nano: what must be reserved before dispatch: the worst case of the dearest attempt of the plan.
        propensity: probability with which `chosen` was taken (1.0 without exploration).
        words: writes `why`, `why_not_cheaper` and `why_not_better`, one sentence each.
        forecast, wishes, purse: what was decided from, for the receipt.
        unavailable_because: why `preferred` is not the one that is served, or "" where it is.
        notes: what the caller should know about the choice, for example a model that cannot but think.
    """

    preferred: Candidate
    chosen: Candidate
    plan: tuple[Attempt, ...]
    candidates: Sequence[Candidate]
    hold_nano: int
    words: Words = field(repr=False, compare=False)
    propensity: float = 1.0
    policy_version: str = "1"
    catalog_version: str = ""
    forecast: Forecast | None = None
    wishes: Wishes | None = None
    purse: Purse | None = None
    unavailable_because: str = ""
    notes: tuple[str, ...] = ()

    @property
    def curve(self) -> Curve:
        """What the request would have cost at other prices of money, for the pacing."""
        return self.words.curve()

    @property
    def doubt(self) -> Doubt | None:
        """How close the choice among what can be called was, or None where nothing was in question."""
        return self.words.doubt()

    @property
    def why(self) -> str:
        """Why this rung, in one sentence."""
        return self.words.why()

    @property
    def why_not_cheaper(self) -> str:
        """What the best of the cheaper rungs would lose, in one sentence."""
        return self.words.why_not_cheaper()

    @property
    def why_not_better(self) -> str:
        """What the best of the better rungs would cost, in one sentence."""
        return self.words.why_not_better()
