from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from policies.health import (
    FIRST_PAUSE_S,
    MAX_PAUSE_S,
    PROBE_LEASE_S,
    THRESHOLD,
    Breaker,
    State,
    called,
    failed,
    left,
    succeeded,
)


def broken(now: float = 0.0) -> Breaker:
    return reduce(lambda b, _: failed(b, now), range(THRESHOLD), Breaker())


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not():
    almost = reduce(lambda b, _: failed(b, 0.0), range(THRESHOLD - 1), Breaker())
    assert almost.state(0.0) is State.CLOSED
    assert failed(succeeded(almost), 0.0).state(0.0) is State.CLOSED
    assert failed(almost, 0.0).state(0.0) is State.OPEN


def test_while_open_it_keeps_calls_away_and_says_until_when():
    breaker = broken()
    assert not breaker.allows(FIRST_PAUSE_S - 1)
    assert breaker.why(0.0) == "it failed 5 times in a row; it is tried again in 5 s"


def test_half_open_lets_one_call_try_and_the_others_wait():
    breaker = broken()
    assert breaker.state(FIRST_PAUSE_S) is State.HALF_OPEN
    assert breaker.allows(FIRST_PAUSE_S)
    assert breaker.why(FIRST_PAUSE_S) == ""
    trying = called(breaker, FIRST_PAUSE_S)
    assert not trying.allows(FIRST_PAUSE_S)
    assert "another call is trying" in trying.why(FIRST_PAUSE_S)
    assert trying.allows(FIRST_PAUSE_S + PROBE_LEASE_S)


def test_a_success_closes_it_and_a_failed_try_doubles_the_pause_up_to_a_bound():
    breaker = broken()
    assert succeeded(breaker) == Breaker()
    again = failed(breaker, FIRST_PAUSE_S)
    assert again.pause_s == 2 * FIRST_PAUSE_S
    for _ in range(10):
        again = failed(again, again.until_s)
    assert again.pause_s == MAX_PAUSE_S


def test_a_late_failure_of_a_call_from_before_does_not_lengthen_the_pause():
    breaker = broken()
    late = failed(breaker, 1.0)
    assert (late.until_s, late.failures) == (breaker.until_s, THRESHOLD + 1)


def test_the_providers_own_wish_for_a_pause_opens_it_at_once():
    breaker = failed(Breaker(), 0.0, retry_after_s=30.0)
    assert not breaker.allows(29.0)
    assert breaker.allows(30.0)
    assert breaker.why(10.0) == "it failed just now; it is tried again in 20 s"
    moment = failed(Breaker(), 0.0, retry_after_s=0.5)
    assert moment.allows(0.5)


def test_a_try_that_ends_without_news_lets_the_next_call_try():
    trying = called(broken(), FIRST_PAUSE_S)
    assert left(trying).allows(FIRST_PAUSE_S)


def test_the_operator_says_how_many_failures_open_it():
    assert failed(Breaker(), 0.0, threshold=1).state(0.0) is State.OPEN
    many = reduce(lambda b, _: failed(b, 0.0, threshold=50), range(49), Breaker())
    assert many.state(0.0) is State.CLOSED


def test_jitter_spreads_the_tries_of_many_processes():
    assert failed(broken(), FIRST_PAUSE_S, jitter=1.0).until_s == FIRST_PAUSE_S + 2 * FIRST_PAUSE_S * 1.25


def test_a_call_through_a_closed_breaker_changes_nothing():
    assert called(Breaker(), 0.0) == Breaker()


@given(st.lists(st.tuples(st.sampled_from(["call", "ok", "fail"]), st.floats(0, 300)), max_size=60))
def test_it_never_stays_shut_for_longer_than_the_longest_pause_and_lease(events: list[tuple[str, float]]):
    breaker, now = Breaker(), 0.0
    for event, wait in events:
        now += wait
        if event == "call" and breaker.allows(now):
            breaker = called(breaker, now)
        elif event == "ok":
            breaker = succeeded(breaker)
        elif event == "fail":
            breaker = failed(breaker, now)
        assert breaker.allows(now + max(MAX_PAUSE_S, PROBE_LEASE_S) + 1)
        assert breaker.allows(now) == (breaker.why(now) == "")
