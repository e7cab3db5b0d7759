"""Prices and facts out of LiteLLM's map, and the ladders that the environment opens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.types import Capability, Control, Prices
from router.errors import NotPriced
from router.upstream import discover, pricing


def test_a_price_is_carried_over_exactly() -> None:
    assert pricing.nano_per_million("3.75e-08") == 37_500_000  # $0.0375 per million
    assert pricing.nano_per_million(2.5e-07) == 250_000_000
    assert pricing.nano_per_million(0) == 0


@given(cents=st.integers(0, 10**7))
def test_whole_cents_per_million_are_exact(cents: int) -> None:
    per_token = f"{cents}e-8"
    assert pricing.nano_per_million(per_token) == cents * 10_000_000
    assert pricing.nano_per_million(float(per_token)) == cents * 10_000_000


def test_a_price_with_a_rest_is_rounded_up_so_that_nothing_is_given_away() -> None:
    assert pricing.nano_per_million("1.00000000000000001e-07") == 100_000_001


def test_a_known_model_is_seeded_whole() -> None:
    model = pricing.seed("openai/gpt-5-mini", tier="standard", ability=0.83)
    assert model.id == "gpt-5-mini"
    assert model.prices == Prices(input=250_000_000, output=2_000_000_000, cache_read=25_000_000)
    assert (model.context_window, model.max_output) == (272_000, 128_000)
    assert Capability.TOOLS in model.capabilities
    assert model.reasoning.control is Control.LEVELS


def test_a_model_without_a_price_is_refused_with_the_way_out() -> None:
    with pytest.raises(NotPriced, match=r"prices\.input"):
        pricing.seed("openai/a-model-nobody-knows", tier="economy", ability=0.5)


def test_the_operators_price_is_enough() -> None:
    own = Prices(input=1, output=2)
    model = pricing.seed("openai/a-model-nobody-knows", tier="economy", ability=0.5, prices=own)
    assert model.prices is own


def test_a_server_of_ones_own_costs_nothing_per_token() -> None:
    assert pricing.facts("hosted_vllm/whatever").prices == Prices(input=0, output=0)


def test_longer_prompts_have_their_own_prices_and_the_whole_window() -> None:
    known = pricing.facts("gemini/gemini-2.5-pro")
    assert known.context_window == 1_048_576
    (rule,) = known.price_rules
    assert known.prices is not None
    assert known.prices.cache_read is not None
    assert rule.from_input_tokens == 200_001
    assert (rule.prices.input, rule.prices.output) == (2 * known.prices.input, 1.5 * known.prices.output)
    assert rule.prices.cache_read == 2 * known.prices.cache_read
    assert pricing.seed("gemini/gemini-2.5-pro", tier="t", ability=0.5).price_rules == (rule,)
    own = Prices(input=1, output=2)
    assert pricing.seed("gemini/gemini-2.5-pro", tier="t", ability=0.5, prices=own).price_rules == ()


def test_the_window_ends_where_longer_prompts_cost_more_by_nobody_knows_how_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = {
        "litellm_provider": "gemini",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
        "input_cost_per_token_above_128k_tokens": 2e-6,
        "max_input_tokens": 500_000,
    }
    monkeypatch.setattr(pricing, "model_map", lambda: {"gemini/odd": entry})
    known = pricing.facts("gemini/odd")
    assert (known.context_window, known.price_rules) == (128_000, ())
    assert "longer prompts cost more" in known.notes[0]


def test_openrouter_is_priced_like_the_maker() -> None:
    passed_on = pricing.facts("openrouter/anthropic/claude-sonnet-5.5")
    assert passed_on.prices == pricing.facts("anthropic/claude-sonnet-5-5").prices
    assert passed_on.notes


def test_a_model_that_reasons_or_takes_tools_but_cannot_stop_reasoning_offers_no_tools() -> None:
    assert Capability.TOOLS not in pricing.facts("openai/gpt-6-astra").capabilities
    assert Capability.TOOLS in pricing.facts("openai/gpt-6-sol").capabilities


@pytest.mark.parametrize("provider", [p for p in discover.PROVIDERS if p.ladder], ids=lambda p: p.name)
def test_every_example_ladder_is_priced_and_rises(provider: discover.Provider) -> None:
    models = discover.ladder(provider)
    assert tuple(model.tier for model in models) == discover.TIERS
    abilities = [model.ability for model in models]
    assert abilities == sorted(abilities)
    assert all(model.prices.output > 0 for model in models)
    assert models[0].prices.output < models[-1].prices.output


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, []),
        ({"OPENAI_API_KEY": "k"}, [("openai", "OPENAI_API_KEY", None)]),
        ({"OPENAI_API_KEY": "  "}, []),
        (
            {"GEMINI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"},
            [("anthropic", "ANTHROPIC_API_KEY", None), ("gemini", "GEMINI_API_KEY", None)],
        ),
        ({"OPENROUTER_API_KEY": "k"}, [("openrouter", "OPENROUTER_API_KEY", None)]),
        ({"OLLAMA_HOST": "0.0.0.0:11434"}, [("ollama_chat", None, "http://127.0.0.1:11434")]),
        ({"OLLAMA_API_BASE": "http://gpu:11434/"}, [("ollama_chat", None, "http://gpu:11434")]),
        ({"HOSTED_VLLM_API_BASE": "http://gpu:8000/v1"}, [("hosted_vllm", None, "http://gpu:8000/v1")]),
        (
            {"VLLM_API_BASE": "http://gpu:8000/v1", "HOSTED_VLLM_API_KEY": "k"},
            [("hosted_vllm", "HOSTED_VLLM_API_KEY", "http://gpu:8000/v1")],
        ),
    ],
)
def test_the_environment_opens_exactly_what_it_has_keys_or_urls_for(
    environ: Mapping[str, str], found: list[tuple[str, str | None, str | None]]
) -> None:
    assert [(f.provider.name, f.key_env, f.api_base) for f in discover.discover(environ)] == found


def test_prices_are_read_without_importing_litellm() -> None:
    code = (
        "import sys; from router.upstream import client, discover, local_model, pricing; "
        "pricing.facts('openai/gpt-5-mini'); print('litellm' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
