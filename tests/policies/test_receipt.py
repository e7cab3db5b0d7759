from __future__ import annotations

import json
from dataclasses import replace

from policies.catalog import Catalog
from policies.decide import decide
from policies.receipt import menu, receipt, served_sentence
from policies.types import Demand, Purse, Wishes
from tests.policies.ladders import LOCAL, MINI, OPUS, SUM, USD, ask

WAITING = Catalog(
    [
        LOCAL,
        replace(MINI, available=False, unavailable_because="no key for it (set OPENAI_API_KEY)"),
        replace(OPUS, available=False, unavailable_because="no key for it (set ANTHROPIC_API_KEY)"),
    ]
)


def test_the_sentence_says_what_would_be_chosen_and_what_serves():
    assert served_sentence(decide(**ask(catalog=WAITING))) == (
        "would choose standard (gpt-5-mini) with 16K of thinking; no key for it (set OPENAI_API_KEY); "
        "served by economy (smollm2-135m)"
    )
    assert served_sentence(decide(**ask())) == "served by standard (gpt-5-mini) with 16K of thinking"
    assert served_sentence(decide(**ask(forecast=SUM))) == "served by economy (smollm2-135m) without thinking"


def test_an_allowance_below_a_thousand_is_told_in_tokens():
    small = replace(MINI, reasoning=replace(MINI.reasoning, levels=(("low", 500),), can_disable=False))
    decision = decide(**ask(catalog=Catalog([small])))
    assert served_sentence(decision) == "served by standard (gpt-5-mini) with 500 tokens of thinking"


def test_money_stands_as_integer_and_as_exact_dollars():
    told = receipt(decide(**ask()))
    assert told["hold_usd"] == f"{told['hold_nano'] / 1e9:.9f}".rstrip("0")
    budget = told["budget"]
    assert (budget["limit_nano"], budget["limit_usd"]) == (100 * USD, "100.00")
    assert budget["remaining_after_hold_nano"] == 100 * USD - told["hold_nano"]


def test_a_tenant_without_a_budget_has_none_in_the_receipt():
    budget = receipt(decide(**ask(purse=Purse())))["budget"]
    assert budget["limit_usd"] is None
    assert "remaining_after_hold_nano" not in budget


def test_the_receipt_explains_difficulty_wishes_and_every_rung():
    told = receipt(decide(**ask(wishes=Wishes(max_cost_nano=USD))))
    assert told["difficulty"]["reasons"] == ["asks for a proof"]
    assert told["wishes"]["max_cost_usd"] == "1.00"
    assert len(told["candidates"]) == 9
    assert told["plan"][0]["model"] == told["chosen"]["model"] == "gpt-5-mini"
    assert json.loads(json.dumps(told)) == told


def test_why_not_cheaper_names_the_loss_and_why_not_better_the_price():
    decision = decide(**ask())
    assert "would save $" in decision.why_not_cheaper
    assert "points of expected quality" in decision.why_not_cheaper
    assert "would cost another $" in decision.why_not_better
    assert "at quality 0.5 and pacing price 0" in decision.why_not_better


def test_the_preferred_rung_is_explained_and_then_why_another_serves():
    waiting, ready = decide(**ask(catalog=WAITING)), decide(**ask())
    assert waiting.preferred.model == ready.chosen.model
    assert waiting.why.startswith(ready.why)
    said = waiting.why.removeprefix(ready.why)
    assert said.startswith(" It cannot be called now (no key for it (set OPENAI_API_KEY)), so smollm2-135m without")
    assert said.count(". ") == 0
    assert ready.why_not_cheaper.split(" would ")[1][:4] == "save"


def test_why_not_better_names_the_missing_key_or_the_ceiling():
    assert "but no key for it (set ANTHROPIC_API_KEY)" in decide(**ask(catalog=WAITING)).why_not_better
    capped = decide(**ask(wishes=Wishes(max_reasoning_tokens=0, quality=1.0)))
    assert "above the ceiling of 0" in capped.why_not_better
    poor = decide(**ask(purse=Purse(remaining_nano=USD // 100), wishes=Wishes(quality=1.0)))
    assert "what the budget has left" in poor.why_not_better


def test_the_ends_of_the_ladder_say_that_there_is_nothing_beyond():
    cheapest = decide(**ask(forecast=SUM, wishes=Wishes(quality=0.0)))
    assert cheapest.why_not_cheaper == "Nothing cheaper can carry this request."
    best = decide(**ask(demand=Demand(input_tokens=20, model="smollm2-135m")))
    assert best.why_not_better == "Nothing better is in the ladder."


def test_the_menu_quotes_every_rung_before_a_token_is_spent():
    quoted = menu(decide(**ask(catalog=WAITING)))
    assert quoted["served_by"]["tier"] == "economy"
    assert quoted["choice"] == {
        "model": "gpt-5-mini",
        "tier": "standard",
        "allowance": 16_384,
        "strategy": "single",
    }
    assert {row["model"] for row in quoted["menu"]} == {"smollm2-135m", "gpt-5-mini", "claude-opus"}
    assert all({"quality", "expected_cost_usd", "expected_latency_s"} <= row.keys() for row in quoted["menu"])


def test_a_decision_made_elsewhere_without_its_inputs_still_has_a_receipt():
    bare = replace(decide(**ask()), forecast=None, wishes=None, purse=None)
    told = receipt(bare)
    assert told["difficulty"] is told["wishes"] is told["budget"] is None
