"""Usage to money, by properties: nothing reported is lost, nothing is added twice, no report breaks the bill."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from policies.types import Prices
from router.money.billing import bill, with_lost
from router.upstream.types import Usage

PRICES = Prices(input=2_000_000_000, output=10_000_000_000, cache_read=500_000_000, cache_write=3_000_000_000)
counts = st.none() | st.integers(-10, 10**6)


@given(
    st.builds(Usage, input=counts, cached_read=counts, cached_write=counts, output=counts, reasoning=counts),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_every_report_however_odd_gives_a_bill(usage: Usage, sent: int, made: int) -> None:
    charge = bill(PRICES, usage, input_bytes=sent, output_bytes=made)
    assert charge.cost_nano >= 0
    assert usage.reported or charge.estimated


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_reasoning_inside_the_output_is_not_added_again(fresh: int, answer: int, thought: int) -> None:
    usage = Usage(input=fresh, output=answer + thought, reasoning=thought)
    charge = bill(PRICES, usage, input_bytes=0, output_bytes=0)
    assert charge.cost_nano == fresh * 2_000 + (answer + thought) * 10_000
    assert not charge.estimated


def test_parts_larger_than_their_whole_are_billed_by_the_whole_and_marked() -> None:
    charge = bill(PRICES, Usage(input=10, output=5, reasoning=50), input_bytes=0, output_bytes=0)
    assert charge.cost_nano == 10 * 2_000 + 5 * 10_000
    assert charge.estimated
    assert charge.usage == Usage(input=10, cached_read=0, cached_write=0, output=5)


def test_a_count_below_nothing_is_billed_as_nothing() -> None:
    charge = bill(PRICES, Usage(input=-10, output=-5), input_bytes=0, output_bytes=0)
    assert (charge.cost_nano, charge.estimated) == (0, True)
    assert charge.usage == Usage(input=0, cached_read=0, cached_write=0, output=0)


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.booleans())
def test_what_earlier_attempts_may_have_cost_is_added_and_marks_the_bill(cost: int, lost: int, guessed: bool) -> None:
    charge = replace(bill(PRICES, Usage(), input_bytes=0, output_bytes=0), cost_nano=cost, estimated=guessed)
    whole = with_lost(charge, lost)
    assert whole == replace(charge, cost_nano=cost + lost, estimated=guessed or lost > 0)


def test_a_reported_zero_is_zero_and_a_missing_report_is_not() -> None:
    assert bill(PRICES, Usage(input=0, output=0), input_bytes=400, output_bytes=400).cost_nano == 0
    assert bill(PRICES, Usage(), input_bytes=400, output_bytes=400).cost_nano == 100 * 2_000 + 100 * 10_000


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_was_read_from_the_providers_cache_or_written_to_it_has_its_own_price(
    fresh: int, read: int, written: int
) -> None:
    usage = Usage(input=fresh + read + written, cached_read=read, cached_write=written, output=0)
    charge = bill(PRICES, usage, input_bytes=0, output_bytes=0)
    assert charge.cost_nano == fresh * 2_000 + written * 3_000 + read * 500
    assert charge.usage == usage
