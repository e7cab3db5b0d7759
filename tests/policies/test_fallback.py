from __future__ import annotations

import itertools

import pytest

from policies.fallback import COUNTED, FINAL, OF_THE_PROVIDER, Failure, Tried, next_attempt
from policies.types import Attempt


def made(model: str, allowance: int = 4096) -> Attempt:
    return Attempt(
        model=model, tier="standard", allowance=allowance, max_tokens=8192, expected_cost_nano=1, worst_cost_nano=2
    )


A1, A2, B1 = made("a1"), made("a2"), made("b1")
PLAN, PROVIDERS = (A1, A2, B1), ("a", "a", "b")


def after(*failures: Failure, streaming: bool = False, most: int = 3) -> Attempt | None:
    tried: tuple[Tried, ...] = ()
    current: Attempt | None = A1
    for failure in failures:
        assert current is not None
        provider = dict(zip((a.model for a in PLAN), PROVIDERS, strict=True))[current.model]
        tried = (*tried, Tried(attempt=current, provider=provider, failure=failure))
        current = next_attempt(PLAN, PROVIDERS, tried, streaming=streaming, most=most)
    return current


@pytest.mark.parametrize("failure", sorted(FINAL))
def test_what_every_model_would_refuse_is_not_tried_elsewhere(failure: Failure):
    assert after(failure) is None


@pytest.mark.parametrize("failure", sorted(OF_THE_PROVIDER))
def test_a_provider_that_is_gone_is_asked_for_another_model_only_as_a_last_resort(failure: Failure):
    assert after(failure) is B1
    assert after(failure, failure) is A2
    assert after(failure, failure, failure) is None


@pytest.mark.parametrize("failure", [Failure.RATE_LIMITED, Failure.OVERLOADED, Failure.TIMEOUT, Failure.GARBAGE])
def test_a_model_in_trouble_hands_over_to_the_next_in_the_plan(failure: Failure):
    assert after(failure) is A2
    assert after(failure, failure) is B1
    assert after(failure, failure, failure) is None


def test_a_starved_answer_is_retried_once_without_thinking_and_with_the_same_cap():
    again = after(Failure.STARVED)
    assert again is not None
    assert (again.model, again.allowance, again.max_tokens) == ("a1", 0, 8192)
    assert after(Failure.STARVED, Failure.STARVED) is None


def test_a_model_that_cannot_think_less_is_given_twice_the_room_where_there_is_any():
    tried = (Tried(attempt=A1, provider="a", failure=Failure.STARVED),)
    assert next_attempt(PLAN, PROVIDERS, tried, least_allowance=4096) is None
    assert next_attempt(PLAN, PROVIDERS, tried, least_allowance=4096, room=8192) is None
    again = next_attempt(PLAN, PROVIDERS, tried, least_allowance=4096, room=10_000)
    assert again is not None
    assert (again.model, again.allowance, again.max_tokens, again.worst_cost_nano) == ("a1", 4096, 10_000, 3)


def test_a_model_with_an_open_breaker_is_passed_over():
    tried = (Tried(attempt=A1, provider="a", failure=Failure.TIMEOUT),)
    assert next_attempt(PLAN, PROVIDERS, tried, shut={"a2"}) is B1
    assert next_attempt(PLAN, PROVIDERS, tried, shut={"a2", "b1"}) is None


def test_nothing_is_tried_after_the_first_byte():
    assert after(Failure.TIMEOUT, streaming=True) is None


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_chain_of_failures_makes_more_attempts_than_allowed(most: int):
    for chain in itertools.product(Failure, repeat=3):
        made_so_far, current = 1, after(chain[0], most=most)
        for length in range(2, 4):
            if current is None:
                break
            made_so_far += 1
            current = after(*chain[:length], most=most)
        assert made_so_far <= most


def test_a_breaker_counts_only_what_is_the_providers_fault():
    assert COUNTED.isdisjoint({Failure.STARVED, Failure.UNSUPPORTED, *FINAL})
