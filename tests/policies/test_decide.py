from __future__ import annotations

from dataclasses import replace

import pytest

from policies.catalog import Catalog
from policies.decide import decide
from policies.errors import ModelDenied, NoCandidate, NotReachable, TooLong, Unaffordable, UnknownModel
from policies.policy import Policy
from policies.types import Capability, Demand, Forecast, Prices, Purse, Wishes
from tests.policies.ladders import ALWAYS, ASK, LADDER, LOCAL, MINI, OPUS, PROOF, RICH, SUM, USD, ask

NO_KEYS = Catalog(
    [
        LOCAL,
        replace(MINI, available=False, unavailable_because="no key for it (set OPENAI_API_KEY)"),
        replace(OPUS, available=False, unavailable_because="no key for it (set ANTHROPIC_API_KEY)"),
    ]
)


def test_a_trivial_sum_goes_to_the_economy_tier():
    assert decide(**ask(forecast=SUM)).chosen.tier == "economy"


def test_a_proof_goes_up_the_ladder_and_gets_thinking():
    chosen = decide(**ask()).chosen
    assert chosen.tier in {"standard", "premium"}
    assert chosen.allowance >= 1024


def test_the_preference_is_over_the_whole_ladder_and_the_choice_over_what_has_a_key():
    decision = decide(**ask(catalog=NO_KEYS))
    assert (decision.preferred.tier, decision.preferred.available) == ("standard", False)
    assert (decision.chosen.tier, decision.chosen.available) == ("economy", True)
    assert "OPENAI_API_KEY" in decision.unavailable_because


def test_a_model_whose_breaker_is_open_is_passed_over_and_the_reason_kept():
    decision = decide(**ask(down={"gpt-5-mini": "its breaker is open for 12 s"}))
    assert decision.preferred.model == "gpt-5-mini"
    assert decision.chosen.model != "gpt-5-mini"
    assert "breaker" in decision.unavailable_because


def test_nothing_reachable_is_an_error_that_says_what_to_set():
    with pytest.raises(NotReachable, match="set OPENAI_API_KEY"):
        decide(**ask(catalog=NO_KEYS, demand=Demand(input_tokens=20, model="gpt-5-mini")))
    switched_off = Catalog([replace(LOCAL, available=False)])
    with pytest.raises(NotReachable, match="switched off"):
        decide(**ask(catalog=switched_off))


@pytest.mark.parametrize("dial", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_turning_the_dial_up_never_lowers_expected_quality(dial: float):
    low = decide(**ask(wishes=Wishes(quality=dial))).chosen.quality
    high = decide(**ask(wishes=Wishes(quality=min(1.0, dial + 0.25)))).chosen.quality
    assert high >= low


def test_the_ends_of_the_dial_are_the_ends_of_the_ladder():
    assert decide(**ask(wishes=Wishes(quality=1.0))).chosen.tier == "premium"
    assert decide(**ask(forecast=SUM, wishes=Wishes(quality=0.0))).chosen.tier == "economy"


def test_a_scarce_dollar_buys_less():
    plenty = decide(**ask()).chosen
    scarce = decide(**ask(purse=replace(RICH, pacing_price=50.0))).chosen
    assert scarce.expected_cost_nano < plenty.expected_cost_nano


def test_a_named_model_always_wins_and_has_no_fallback_to_another():
    decision = decide(**ask(forecast=SUM, demand=Demand(input_tokens=20, model="claude-opus")))
    assert {a.model for a in decision.plan} == {"claude-opus"}
    assert decision.chosen.allowance == 0
    assert "names this model" in decision.why


def test_a_named_model_is_not_held_to_floors_and_latency():
    wishes = Wishes(min_quality=0.999, max_latency_s=0.001)
    named = Demand(input_tokens=20, model="smollm2-135m")
    assert decide(**ask(demand=named, wishes=wishes)).chosen.model == "smollm2-135m"


def test_an_unknown_or_forbidden_model_is_an_error():
    with pytest.raises(UnknownModel):
        decide(**ask(demand=Demand(input_tokens=20, model="gpt-9")))
    with pytest.raises(ModelDenied, match="claude-opus"):
        decide(
            **ask(
                demand=Demand(input_tokens=20, model="claude-opus"),
                wishes=Wishes(deny=frozenset({"claude-opus"})),
            )
        )


def test_a_need_filters_the_ladder_and_the_reason_says_the_remedy():
    decision = decide(**ask(forecast=SUM, demand=replace(ASK, needs=frozenset({Capability.VISION}))))
    assert decision.chosen.model == "claude-opus"
    rejected = {c.model: c.rejected for c in decision.candidates if not c.admissible}
    assert "cannot do vision" in rejected["smollm2-135m"]
    assert "drop it" in rejected["smollm2-135m"]


def test_nothing_that_can_is_an_error_with_every_reason():
    with pytest.raises(NoCandidate, match=r"smollm2-135m: cannot do audio.*claude-opus: cannot do audio"):
        decide(**ask(demand=replace(ASK, needs=frozenset({Capability.AUDIO}))))


def test_a_prompt_longer_than_every_window_has_an_error_of_its_own():
    with pytest.raises(TooLong, match="shorten the prompt"):
        decide(**ask(demand=Demand(input_tokens=500_000)))
    with pytest.raises(TooLong):
        decide(**ask(demand=Demand(input_tokens=500_000, needs=frozenset({Capability.VISION}))))


def test_lists_that_allow_nothing_are_not_called_a_long_prompt():
    with pytest.raises(NoCandidate, match="allow and deny lists") as refused:
        decide(**ask(wishes=Wishes(allow=frozenset())))
    assert not isinstance(refused.value, TooLong)


@pytest.mark.parametrize("ceiling", [0, 500, 1024, 5000])
def test_a_ceiling_on_thinking_is_never_exceeded(ceiling: int):
    for kwargs in (
        ask(demand=replace(ASK, reasoning_ceiling=ceiling), wishes=Wishes(quality=1.0)),
        ask(wishes=Wishes(quality=1.0, max_reasoning_tokens=ceiling)),
    ):
        assert all(a.allowance <= ceiling for a in decide(**kwargs).plan)


def test_a_model_that_always_thinks_is_no_answer_to_a_ban_on_thinking_unless_it_is_named():
    thinker = replace(OPUS, id="thinker", reasoning=ALWAYS)
    both = Catalog([MINI, thinker])
    banned = Demand(input_tokens=20, reasoning_ceiling=0)
    assert decide(**ask(catalog=both, demand=banned, wishes=Wishes(quality=1.0))).chosen.model == "gpt-5-mini"
    named = decide(**ask(catalog=both, demand=replace(banned, model="thinker")))
    assert named.chosen.allowance == 8192
    assert "cannot think with less than 8,192" in named.notes[0]
    with pytest.raises(NoCandidate, match="above the ceiling of 0"):
        decide(**ask(catalog=Catalog([thinker]), demand=banned))


def test_the_clients_cap_holds_thinking_and_answer_together():
    decision = decide(**ask(demand=Demand(input_tokens=20, max_output_tokens=3000)))
    attempt = decision.plan[0]
    assert attempt.max_tokens == 3000
    assert attempt.allowance + PROOF.answer_tokens_high <= 3000


def test_a_small_cap_leaves_no_room_for_thinking():
    decision = decide(**ask(demand=Demand(input_tokens=20, max_output_tokens=16), wishes=Wishes(quality=1.0)))
    assert all((a.allowance, a.max_tokens) == (0, 16) for a in decision.plan)


def test_a_cap_that_starves_a_model_that_always_thinks_says_so():
    thinker = Catalog([replace(OPUS, reasoning=ALWAYS)])
    with pytest.raises(NoCandidate, match=r"always thinks.*raise the cap"):
        decide(**ask(catalog=thinker, demand=Demand(input_tokens=20, max_output_tokens=4000)))


def test_the_hold_is_the_worst_case_of_the_dearest_attempt():
    decision = decide(**ask())
    assert decision.hold_nano == max(a.worst_cost_nano for a in decision.plan) > 0
    assert decision.plan[0].model == decision.chosen.model
    assert len({a.model for a in decision.plan}) == len(decision.plan) == 3


def test_fallbacks_prefer_another_provider():
    sibling = replace(MINI, id="gpt-5-maxi", ability=0.8)
    catalog = Catalog([MINI, sibling, OPUS])
    forecast = replace(PROOF, success={"gpt-5-mini": 0.5, "gpt-5-maxi": 0.49, "claude-opus": 0.3})
    assert [a.model for a in decide(**ask(catalog=catalog, forecast=forecast)).plan] == [
        "gpt-5-mini",
        "claude-opus",
        "gpt-5-maxi",
    ]


def test_fallbacks_hold_little_beside_the_choice_by_capping_their_answers():
    plan = decide(**ask(forecast=SUM)).plan
    assert [a.model for a in plan] == ["smollm2-135m", "gpt-5-mini", "claude-opus"]
    assert plan[2].worst_cost_nano <= USD // 50
    assert plan[2].max_tokens >= SUM.answer_tokens_high
    generous = decide(**ask(forecast=SUM, policy=Policy(fallback_hold_nano=USD))).plan
    assert generous[2].max_tokens == 4096


def test_a_further_fallback_that_would_freeze_far_more_than_the_choice_is_left_out():
    frugal = Policy(fallback_hold_nano=1, fallback_hold_factor=0)
    plan = decide(**ask(forecast=SUM, policy=frugal)).plan
    assert [a.model for a in plan] == ["smollm2-135m", "gpt-5-mini"]
    assert plan[1].max_tokens == SUM.answer_tokens_high


def test_the_plan_is_no_longer_than_the_policy_says():
    assert len(decide(**ask(policy=Policy(max_attempts=1))).plan) == 1


def test_scarce_money_shortens_the_answer_before_it_refuses():
    ample = decide(**ask(demand=Demand(input_tokens=20, model="gpt-5-mini"))).plan[0]
    tight = Purse(remaining_nano=ample.worst_cost_nano * 7 // 8)
    short = decide(**ask(demand=Demand(input_tokens=20, model="gpt-5-mini"), purse=tight))
    assert short.hold_nano <= tight.remaining_nano  # type: ignore[operator]
    assert short.plan[0].allowance == ample.allowance
    assert short.plan[0].allowance + PROOF.answer_tokens_high <= short.plan[0].max_tokens < ample.max_tokens


def test_scarce_money_drops_the_fallbacks_that_it_cannot_pay():
    purse = Purse(remaining_nano=USD // 50)
    decision = decide(**ask(purse=purse))
    assert "claude-opus" not in [a.model for a in decision.plan if a.allowance]
    assert decision.hold_nano <= USD // 50


def test_an_empty_purse_still_buys_what_is_free():
    assert decide(**ask(purse=Purse(remaining_nano=0))).chosen.tier == "economy"


def test_money_that_covers_nothing_is_refused_with_both_figures():
    paid = Catalog([MINI, OPUS])
    with pytest.raises(Unaffordable, match=r"0\.000000005 USD left") as refused:
        decide(**ask(catalog=paid, purse=Purse(remaining_nano=5)))
    assert refused.value.needed_nano > refused.value.remaining_nano == 5


def test_a_hold_is_rounded_up_so_that_it_is_never_short_by_a_part_of_a_nano_dollar():
    cheap = Catalog([replace(LOCAL, prices=Prices(input=0, output=300_000))])  # 0.3 nano-dollars a token
    forecast = replace(SUM, answer_tokens_high=91)
    with pytest.raises(Unaffordable) as refused:
        decide(**ask(catalog=cheap, forecast=forecast, purse=Purse(remaining_nano=27)))
    assert refused.value.needed_nano == 28
    assert decide(**ask(catalog=cheap, forecast=forecast, purse=Purse(remaining_nano=28))).hold_nano == 28


def test_a_ceiling_on_cost_that_covers_nothing_is_the_callers_to_raise():
    paid = Catalog([MINI, OPUS])
    with pytest.raises(NoCandidate, match="the request's ceiling"):
        decide(**ask(catalog=paid, wishes=Wishes(max_cost_nano=5)))
    with pytest.raises(NoCandidate, match="the request's ceiling"):
        decide(**ask(catalog=paid, wishes=Wishes(max_cost_nano=5), purse=Purse()))


def test_a_floor_on_quality_lifts_the_choice_and_an_impossible_one_is_refused():
    floor = decide(**ask(wishes=Wishes(quality=0.0, min_quality=0.8))).chosen
    assert floor.quality >= 0.8
    with pytest.raises(NoCandidate, match="below the floor of 100%"):
        decide(**ask(wishes=Wishes(min_quality=0.9999)))


def test_a_ceiling_on_latency_keeps_slow_thinking_out():
    chosen = decide(**ask(wishes=Wishes(quality=1.0, max_latency_s=15.0))).chosen
    assert chosen.expected_latency_s <= 15.0
    with pytest.raises(NoCandidate, match="it would take"):
        decide(**ask(wishes=Wishes(max_latency_s=0.001)))


def test_without_a_head_a_model_is_placed_by_its_ability():
    blind = Forecast(difficulty=0.5, success={})
    by_name = {c.model: c.quality for c in decide(**ask(forecast=blind)).candidates if c.allowance == 0}
    assert by_name["gpt-5-mini"] == pytest.approx(0.75)
    assert by_name["smollm2-135m"] == pytest.approx(0.10)


def test_choices_multiply_what_is_produced_and_not_the_prompt():
    one = decide(**ask(demand=Demand(input_tokens=1000, model="claude-opus"))).candidates[0]
    two = decide(**ask(demand=Demand(input_tokens=1000, model="claude-opus", choices=2))).candidates
    same = next(c for c in two if c.allowance == one.allowance)
    assert same.expected_cost_nano == 2 * one.expected_cost_nano - 1000 * 5000


def test_equal_rungs_are_told_apart_by_name_and_not_by_their_order():
    twins = [replace(MINI, id=name, prices=Prices(input=1, output=1)) for name in ("a", "b")]
    forecast = replace(PROOF, success={"a": 0.5, "b": 0.5})
    for models in (twins, twins[::-1]):
        assert decide(**ask(catalog=Catalog(models), forecast=forecast)).chosen.model == "a"


def test_the_ladder_is_rendered_only_when_it_is_looked_at_and_then_equal():
    one, two = decide(**ask()), decide(**ask())
    assert one == two
    assert len(one.candidates) == 1 + 4 + 4
    assert one.candidates[0].model == one.candidates[0:1][0].model
    assert one.candidates != ()
    assert repr(one.candidates) == repr(tuple(one.candidates))
    assert one.catalog_version == LADDER.version


def test_data_stays_where_the_policy_wants_it():
    local = replace(LOCAL, tags=frozenset({"eu"}))
    decision = decide(**ask(catalog=Catalog([local, MINI, OPUS]), wishes=Wishes(require_tags=frozenset({"eu"}))))
    assert [a.model for a in decision.plan] == ["smollm2-135m"]
    assert "does not carry the tag eu" in decision.candidates[-1].rejected


def test_a_session_keeps_its_model_while_the_prompt_cache_is_worth_more_than_the_switch():
    other = replace(MINI, id="gpt-5-twin", upstream="openai/gpt-5-twin")
    catalog = Catalog([MINI, other])
    forecast = replace(PROOF, success={"gpt-5-mini": 0.5, "gpt-5-twin": 0.51})
    fresh = Demand(input_tokens=40_000)
    cached = replace(fresh, cached={"gpt-5-mini": 38_000})
    wishes = Wishes(quality=0.75)
    assert decide(**ask(catalog=catalog, forecast=forecast, demand=fresh, wishes=wishes)).chosen.model == "gpt-5-twin"
    assert decide(**ask(catalog=catalog, forecast=forecast, demand=cached, wishes=wishes)).chosen.model == "gpt-5-mini"


def test_a_session_moves_up_at_once_when_the_question_is_worth_more_than_the_cache():
    cached = Demand(input_tokens=4000, cached={"smollm2-135m": 4000})
    assert decide(**ask(forecast=SUM, demand=cached)).chosen.model == "smollm2-135m"
    assert decide(**ask(demand=cached)).chosen.tier != "economy"


def test_the_cache_never_lowers_what_is_held():
    bare = Demand(input_tokens=4000, model="gpt-5-mini")
    cached = replace(bare, cached={"gpt-5-mini": 9000})
    assert decide(**ask(demand=cached)).hold_nano == decide(**ask(demand=bare)).hold_nano
    assert decide(**ask(demand=cached)).chosen.expected_cost_nano < decide(**ask(demand=bare)).chosen.expected_cost_nano


def test_an_ability_that_was_measured_with_thinking_is_not_credited_to_the_model_without_it():
    measured = replace(MINI, ability_allowance=16_384)
    plain, honest = (
        {c.allowance: c.quality for c in decide(**ask(catalog=Catalog([model]))).candidates}
        for model in (MINI, measured)
    )
    assert honest[16_384] == pytest.approx(0.5)
    assert honest[0] < plain[0] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["small talk", "knowledge", "code"])
def test_what_is_not_worked_out_gets_no_thinking_by_default(kind: str):
    assert decide(**ask(forecast=replace(PROOF, kind=kind))).chosen.allowance == 0


def test_a_ceiling_on_thinking_is_walked_down_to_among_the_models_that_can_be_called():
    free = replace(OPUS, id="free-thinker", prices=Prices(input=0, output=0), available=False)
    forecast = replace(PROOF, success={"free-thinker": 0.6, "gpt-5-mini": 0.5})
    decision = decide(
        **ask(catalog=Catalog([free, MINI]), forecast=forecast, demand=Demand(input_tokens=20, reasoning_ceiling=0))
    )
    assert (decision.preferred.model, decision.chosen.model) == ("free-thinker", "gpt-5-mini")


def test_two_ceilings_together_refuse_nothing_that_keeps_both():
    # Cheap by expectation with a long worst case (its prompt may be written to a dear cache), and the other way round.
    lottery = replace(MINI, id="lottery", prices=Prices(input=0, output=0, cache_write=900 * USD))
    steady = replace(MINI, id="steady", reasoning=OPUS.reasoning)
    forecast = replace(PROOF, success={"lottery": 0.5, "steady": 0.5})
    decision = decide(
        **ask(
            catalog=Catalog([lottery, steady]),
            forecast=forecast,
            demand=Demand(input_tokens=1000, reasoning_ceiling=0),
            purse=Purse(remaining_nano=USD // 10),
        )
    )
    assert decision.chosen.model == "steady"


def test_what_can_be_called_but_not_think_so_little_is_told_as_unreachable_only_with_the_others_reasons():
    thinker = replace(OPUS, id="thinker", reasoning=ALWAYS)
    waiting = replace(MINI, available=False, unavailable_because="no key for it (set OPENAI_API_KEY)")
    with pytest.raises(NotReachable, match="OPENAI_API_KEY") as refused:
        decide(**ask(catalog=Catalog([thinker, waiting]), demand=Demand(input_tokens=20, reasoning_ceiling=0)))
    assert set(refused.value.reasons) == {"gpt-5-mini"}
