from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.prices import Price, billions, plain_name, price_of

LIST = {
    "gpt-4o-2024-08-06": Price(input=2.5, output=10.0, basis="list"),
    "claude-3-5-haiku-20241022": Price(input=0.8, output=4.0, basis="list"),
}


def test_a_listed_price_is_taken_as_it_stands():
    assert price_of("gpt-4o-2024-08-06", LIST) is LIST["gpt-4o-2024-08-06"]


@pytest.mark.parametrize("name", ["openai/gpt-4o", "GPT-4o-2024-11-20", "gpt-4o-latest"])
def test_vendor_and_date_do_not_matter(name: str):
    found = price_of(name, LIST)
    assert (found.input, found.basis) == (2.5, "similar name")


def test_other_models_of_the_family_are_not_confused():
    assert price_of("gpt-4o-mini", LIST).basis == "no hint"
    assert plain_name("claude-3-5-haiku") != plain_name("claude-3-haiku")


@pytest.mark.parametrize(
    ("name", "size", "usd"),
    [("Llama-3-8B-Instruct", 8, 0.2), ("Mixtral-8x7B", 19.6, 0.3), ("qwen2.5-0.5b", 0.5, 0.05), ("x-405b", 405, 2.5)],
)
def test_the_size_in_the_name_gives_the_price(name: str, size: float, usd: float):
    assert billions(name) == pytest.approx(size)
    found = price_of(name, {})
    assert (found.input, found.output, found.basis) == (usd, usd, "size in the name")


def test_letters_after_the_b_are_no_size():
    assert billions("gpt-4-32bit") is None


@given(st.text(max_size=30))
def test_no_name_is_ever_free(name: str):
    found = price_of(name, LIST)
    assert found.input > 0
    assert found.output > 0
