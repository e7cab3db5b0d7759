"""The example ladder, and Hypothesis strategies for everything that goes into a decision."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from policies.catalog import Catalog
from policies.quality import PRIORS
from policies.types import (
    NANO_PER_USD,
    Capability,
    Control,
    Demand,
    Forecast,
    Model,
    Prices,
    Purse,
    Reasoning,
    Wishes,
)

USD = NANO_PER_USD
EFFORTS = Reasoning(
    family="openai-effort",
    control=Control.LEVELS,
    levels=(("minimal", 0), ("low", 1024), ("medium", 4096), ("high", 16_384)),
)
BUDGET = Reasoning(
    family="anthropic-budget",
    control=Control.TOKENS,
    min_tokens=1024,
    max_tokens=131_072,
    hard_cap=True,
)
ALWAYS = Reasoning(family="on", control=Control.ALWAYS, max_tokens=8192, can_disable=False)

LOCAL = Model(
    id="smollm2-135m",
    upstream="local/smollm2-135m",
    tier="economy",
    prices=Prices(input=0, output=0),
    context_window=8192,
    max_output=4096,
    ability=0.10,
)
MINI = Model(
    id="gpt-5-mini",
    upstream="openai/gpt-5-mini",
    tier="standard",
    prices=Prices(input=USD // 4, output=2 * USD, cache_read=USD // 40),
    context_window=400_000,
    max_output=128_000,
    ability=0.75,
    capabilities=frozenset({Capability.TOOLS, Capability.JSON_SCHEMA}),
    reasoning=EFFORTS,
)
OPUS = Model(
    id="claude-opus",
    upstream="anthropic/claude-opus",
    tier="premium",
    prices=Prices(input=5 * USD, output=25 * USD, cache_read=USD // 2, cache_write=6 * USD),
    context_window=200_000,
    max_output=140_000,
    ability=0.86,
    capabilities=frozenset({Capability.TOOLS, Capability.VISION}),
    reasoning=BUDGET,
)
LADDER = Catalog([LOCAL, MINI, OPUS])

SUM = Forecast(
    difficulty=0.04,
    kind="mathematics",
    success={"smollm2-135m": 0.95, "gpt-5-mini": 0.99, "claude-opus": 0.992},
    answer_tokens=30,
    answer_tokens_high=90,
    reasons=("a short sum",),
    version="test",
)
PROOF = Forecast(
    difficulty=0.93,
    kind="mathematics",
    success={"smollm2-135m": 0.02, "gpt-5-mini": 0.5, "claude-opus": 0.65},
    answer_tokens=700,
    answer_tokens_high=1800,
    reasons=("asks for a proof",),
    version="test",
)
RICH = Purse(remaining_nano=100 * USD, limit_nano=100 * USD)
ASK = Demand(input_tokens=20)


def ask(**changes: object) -> dict[str, Any]:
    """Keyword arguments of `decide` for the hard question over the example ladder, with changes."""
    usual: dict[str, Any] = {
        "catalog": LADDER,
        "demand": ASK,
        "forecast": PROOF,
        "wishes": Wishes(),
        "purse": RICH,
    }
    return usual | changes


_prices = st.builds(
    Prices,
    input=st.integers(0, 20 * USD),
    output=st.integers(0, 100 * USD),
    reasoning=st.none() | st.integers(0, 100 * USD),
    cache_read=st.none() | st.integers(0, 20 * USD),
    cache_write=st.none() | st.integers(0, 30 * USD),
)
_levels = st.lists(st.integers(1, 32_000), min_size=1, max_size=4, unique=True).map(
    lambda tokens: tuple((f"level{i}", t) for i, t in enumerate(sorted(tokens)))
)


def mostly(usual: object, rarely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual value three times out of four, so that few decisions are refused."""
    return st.sampled_from(range(4)).flatmap(lambda n: rarely if n == 3 else st.just(usual))


@st.composite
def dials(draw: st.DrawFn, *, disable: bool | None = None) -> Reasoning:
    control = draw(st.sampled_from(Control))
    least = draw(st.integers(0, 2000))
    can_disable = draw(st.booleans()) if disable is None else disable
    return Reasoning(
        control=Control.NONE if disable and control is Control.ALWAYS else control,
        levels=draw(_levels) if control is Control.LEVELS else (),
        min_tokens=least,
        max_tokens=draw(st.integers(max(1, least), 131_072)),
        can_disable=can_disable,
    )


@st.composite
def catalogs(draw: st.DrawFn, *, disable: bool | None = None) -> Catalog:
    count = draw(st.integers(1, 4))
    return Catalog(
        Model(
            id=f"m{i}",
            upstream=f"{draw(st.sampled_from(['a', 'b']))}/m{i}",
            tier=draw(st.sampled_from(["economy", "standard", "premium"])),
            prices=draw(_prices),
            context_window=draw(st.integers(2000, 300_000)),
            max_output=draw(st.integers(100, 200_000)),
            ability=draw(st.floats(0, 1)),
            capabilities=draw(mostly(frozenset(Capability), st.frozensets(st.sampled_from(Capability)))),
            reasoning=draw(dials(disable=disable)),
            available=draw(st.sampled_from([True, True, True, False])),
        )
        for i in range(count)
    )


demands = st.builds(
    Demand,
    input_tokens=st.integers(0, 5000),
    max_output_tokens=st.none() | st.integers(1, 50_000),
    needs=st.frozensets(st.sampled_from(Capability), max_size=1),
    model=mostly(None, st.just("m0")),
    reasoning_ceiling=st.none() | st.integers(0, 40_000),
    choices=st.integers(1, 4),
)
forecasts = st.builds(
    Forecast,
    difficulty=st.floats(0, 1),
    success=st.dictionaries(st.sampled_from([f"m{i}" for i in range(5)]), st.floats(0, 1)),
    kind=st.sampled_from([*PRIORS, "math", "poetry"]),
    answer_tokens=st.integers(1, 1000),
    answer_tokens_high=st.integers(1000, 3000),
)
wishes = st.builds(
    Wishes,
    quality=st.floats(0, 1),
    max_cost_nano=mostly(None, st.integers(0, 5 * USD)),
    max_reasoning_tokens=st.none() | st.integers(0, 40_000),
    max_latency_s=mostly(None, st.floats(0.1, 1000)),
    min_quality=mostly(None, st.floats(0, 1)),
    allow=mostly(None, st.frozensets(st.sampled_from([f"m{i}" for i in range(5)]))),
    deny=mostly(frozenset(), st.frozensets(st.sampled_from([f"m{i}" for i in range(5)]), max_size=2)),
)
purses = st.builds(Purse, remaining_nano=st.none() | st.integers(0, 5 * USD), pacing_price=st.floats(0, 100))
