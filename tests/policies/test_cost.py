from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.catalog import Catalog
from policies.cost import cost_nano, dearest_input, dearest_output, expected_nano, prices_at, usd, worst_nano
from policies.decide import decide
from policies.types import Demand, Model, PriceRule, Prices
from tests.policies.ladders import MINI, USD, ask

tokens = st.integers(0, 2_000_000)
price = st.integers(0, 200 * USD)


def test_a_million_tokens_cost_their_list_price():
    assert cost_nano(Prices(input=USD // 4, output=2 * USD), input_tokens=1_000_000, output_tokens=0) == USD // 4
    assert cost_nano(Prices(input=USD // 4, output=2 * USD), input_tokens=0, output_tokens=1_000_000) == 2 * USD


def test_cached_tokens_are_part_of_the_input_and_billed_at_their_own_price():
    prices = Prices(input=10 * USD, output=0, cache_read=USD, cache_write=12 * USD)
    billed = cost_nano(prices, input_tokens=1000, output_tokens=0, cached_read=600, cached_write=300)
    assert billed == 600 * 1000 + 300 * 12_000 + 100 * 10_000


def test_cached_tokens_without_a_price_of_their_own_cost_as_much_as_fresh_ones():
    prices = Prices(input=10 * USD, output=0)
    assert cost_nano(prices, input_tokens=100, output_tokens=0, cached_read=60, cached_write=40) == 1_000_000


def test_reasoning_inside_the_output_is_not_billed_twice():
    prices = Prices(input=0, output=2 * USD)
    assert cost_nano(prices, input_tokens=0, output_tokens=100, reasoning=80) == 100 * 2000


def test_reasoning_beside_the_output_is_not_left_out():
    prices = Prices(input=0, output=2 * USD)
    billed = cost_nano(prices, input_tokens=0, output_tokens=20, reasoning=80, reasoning_inside=False)
    assert billed == 100 * 2000


def test_thinking_has_its_own_price_in_what_is_expected_and_each_choice_is_made_anew() -> None:
    prices = Prices(input=1 * USD, output=2 * USD, reasoning=3 * USD)
    expected = expected_nano(prices, input_tokens=10, answer=5, thinking=7, choices=2)
    assert expected == 10 * 1000 + 2 * (5 * 2000 + 7 * 3000)
    assert expected_nano(replace(prices, reasoning=None), input_tokens=0, answer=5, thinking=7) == 12 * 2000


def test_unreported_reasoning_is_billed_with_the_output_that_holds_it():
    prices = Prices(input=0, output=2 * USD, reasoning=3 * USD)
    assert cost_nano(prices, input_tokens=0, output_tokens=100) == 100 * 2000
    assert cost_nano(prices, input_tokens=0, output_tokens=100, reasoning=100) == 100 * 3000


@pytest.mark.parametrize(
    "parts",
    [{"cached_read": 11}, {"reasoning": 21}, {"cached_read": 6, "cached_write": 5}, {"cached_read": -1}],
)
def test_a_part_above_its_whole_is_refused(parts: dict[str, Any]):
    with pytest.raises(ValueError, match="impossible usage"):
        cost_nano(Prices(input=1, output=1), input_tokens=10, output_tokens=20, **parts)


def test_half_a_nano_dollar_rounds_up_and_less_rounds_down():
    assert cost_nano(Prices(input=500_000, output=0), input_tokens=1, output_tokens=0) == 1
    assert cost_nano(Prices(input=499_999, output=0), input_tokens=1, output_tokens=0) == 0


@given(price, price, price, price, tokens, tokens, tokens, tokens)
def test_cost_is_the_exact_sum_rounded_half_up_once(
    pin: int, pout: int, pread: int, preason: int, fresh: int, read: int, answer: int, thought: int
):
    prices = Prices(input=pin, output=pout, cache_read=pread, reasoning=preason)
    exact = Fraction(fresh * pin + read * pread + answer * pout + thought * preason, 1_000_000)
    billed = cost_nano(
        prices,
        input_tokens=fresh + read,
        output_tokens=answer + thought,
        cached_read=read,
        reasoning=thought,
    )
    assert -Fraction(1, 2) < billed - exact <= Fraction(1, 2)


@given(price, price, tokens, st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 5))
def test_no_usage_within_the_cap_costs_more_than_the_worst_case(
    pin: int, pout: int, prompt: int, answer: int, thought: int, choices: int
):
    prices = Prices(input=pin, output=pout, reasoning=pout // 2, cache_write=pin * 2)
    worst = worst_nano(prices, input_tokens=prompt, max_tokens=answer + thought, choices=choices)
    spent = cost_nano(
        prices,
        input_tokens=prompt,
        output_tokens=choices * (answer + thought),
        reasoning=choices * thought,
        cached_write=prompt,
    )
    expected = expected_nano(prices, input_tokens=prompt, answer=answer, thinking=thought, choices=choices)
    assert worst == ceil(Fraction(prompt * 2 * pin + choices * (answer + thought) * pout, 1_000_000))
    assert worst >= spent
    assert worst >= expected
    produced = choices * (answer + thought)
    assert expected == cost_nano(prices, input_tokens=prompt, output_tokens=produced, reasoning=choices * thought)


def test_what_is_free_costs_nothing_at_worst() -> None:
    free = Prices(input=0, output=0)
    assert (dearest_input(free), dearest_output(free)) == (0, 0)
    assert worst_nano(free, input_tokens=2_000_000, max_tokens=2_000_000) == 0


def test_the_dearest_price_of_a_token_is_whichever_of_its_prices_is_highest() -> None:
    prices = Prices(input=3, output=5, cache_read=1, cache_write=4, reasoning=6)
    assert (dearest_input(prices), dearest_output(prices)) == (4, 6)
    assert dearest_input(replace(prices, cache_read=9)) == 9
    assert dearest_input(replace(prices, input=7)) == 7
    assert dearest_output(replace(prices, output=8)) == 8


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0.00"), (1, "0.000000001"), (7_100_000, "0.0071"), (-1, "-0.000000001"), (12 * USD, "12.00")],
)
def test_dollars_are_written_exactly(nano: int, text: str):
    assert usd(nano) == text


LONG = Prices(input=4 * USD, output=20 * USD)
NIGHT = Prices(input=USD, output=5 * USD)
DAY_PRICE = Prices(input=2 * USD, output=10 * USD)
HOUR = 3600.0


def tiered(*rules: PriceRule) -> Model:
    return replace(MINI, prices=DAY_PRICE, price_rules=rules)


def test_a_long_prompt_has_its_own_prices_for_all_of_it():
    model = tiered(PriceRule(prices=LONG, from_input_tokens=200_000))
    assert prices_at(model, input_tokens=199_999) is DAY_PRICE
    assert prices_at(model, input_tokens=200_000) is LONG


@pytest.mark.parametrize(
    ("hour", "cheap"), [(17.0, True), (23.9, True), (0.4, True), (0.99, True), (1.0, False), (16.9, False)]
)
def test_an_off_peak_price_holds_over_midnight(hour: float, cheap: bool):
    model = tiered(PriceRule(prices=NIGHT, hours_utc=(17, 1)))
    assert (prices_at(model, input_tokens=1, now_s=1e9 - 1e9 % 86_400 + hour * HOUR) is NIGHT) is cheap


@given(st.integers(0, 23), st.integers(0, 24), st.integers(0, 23))
def test_hours_hold_from_the_first_to_before_the_last(first: int, last: int, hour: int):
    model = tiered(PriceRule(prices=NIGHT, hours_utc=(first, last)))
    held = set(range(first, last)) if first <= last else {*range(first, 24), *range(last)}
    assert (prices_at(model, input_tokens=1, now_s=1e9 - 1e9 % 86_400 + hour * HOUR) is NIGHT) is (hour in held)


def test_hours_within_a_day_and_days_of_the_week_are_read_in_utc():
    monday = 4 * 24 * HOUR
    office = tiered(PriceRule(prices=LONG, hours_utc=(9, 17), weekdays=frozenset({0, 1, 2, 3, 4})))
    assert prices_at(office, input_tokens=1, now_s=monday + 9 * HOUR) is LONG
    assert prices_at(office, input_tokens=1, now_s=monday + 17 * HOUR) is DAY_PRICE
    assert prices_at(office, input_tokens=1, now_s=monday + 5 * 24 * HOUR + 12 * HOUR) is DAY_PRICE
    weekend = tiered(PriceRule(prices=NIGHT, weekdays=frozenset({5, 6})))
    assert prices_at(weekend, input_tokens=1, now_s=monday - HOUR) is NIGHT


def test_without_a_clock_rules_that_need_one_do_not_hold():
    assert prices_at(tiered(PriceRule(prices=NIGHT, hours_utc=(0, 24))), input_tokens=1) is DAY_PRICE
    assert prices_at(tiered(PriceRule(prices=NIGHT, weekdays=frozenset(range(7)))), input_tokens=1) is DAY_PRICE
    assert prices_at(tiered(PriceRule(prices=NIGHT, from_input_tokens=1)), input_tokens=1) is NIGHT


def test_the_first_rule_that_holds_wins():
    model = tiered(PriceRule(prices=LONG, from_input_tokens=100), PriceRule(prices=NIGHT))
    assert prices_at(model, input_tokens=100) is LONG
    assert prices_at(model, input_tokens=99) is NIGHT


def test_a_decision_uses_and_records_the_prices_in_force():
    catalog = Catalog([tiered(PriceRule(prices=LONG, from_input_tokens=1000))])
    short = decide(**ask(catalog=catalog, demand=Demand(input_tokens=999))).plan[0]
    long = decide(**ask(catalog=catalog, demand=Demand(input_tokens=1000))).plan[0]
    assert (short.prices, long.prices) == (DAY_PRICE, LONG)
    assert long.worst_cost_nano >= 2 * short.worst_cost_nano - 1000 * 4000
