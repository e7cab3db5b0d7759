from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.errors import RateLimited
from router.store import Limiter, Limits, Rule, rules
from router.store.connection import Connection
from router.store.limits import CONCURRENCY_LEASE_S, MINUTE_MS
from router.store.scripts import Ask, ignore

START_MS = 1_800_000_000_000


@pytest.fixture
def limiter(connection: Connection) -> Limiter:
    return Limiter(connection, frozen_ms=START_MS)


def requests(limit: int) -> tuple[Rule, ...]:
    return rules(("", Limits(requests_per_minute=limit)))


async def test_a_burst_of_the_whole_limit_passes_and_the_next_waits_for_its_cell(limiter: Limiter) -> None:
    limit = requests(60)
    passed = [await limiter.take("acme", f"r{i}", limit, 0) for i in range(60)]
    late = await limiter.take("acme", "r60", limit, 0)
    assert [verdict.quotas[0].remaining for verdict in passed] == list(range(59, -1, -1))
    assert late.refused is not None
    assert late.refused.wait_s == 1.0
    with pytest.raises(RateLimited, match=r"limit of 60 requests a minute is used up: retry in 1 s") as caught:
        late.require()
    assert caught.value.retry_after_s == 1.0
    limiter.frozen_ms = START_MS + 1000
    (await limiter.take("acme", "r61", limit, 0)).require()
    assert (await limiter.take("acme", "r62", limit, 0)).refused


async def test_the_headers_speak_of_the_limit_with_the_least_left(limiter: Limiter) -> None:
    both = rules(
        ("", Limits(requests_per_minute=10, tokens_per_minute=1000)),
        ("key:k", Limits(requests_per_minute=2, tokens_per_minute=9000)),
    )
    verdict = await limiter.take("acme", "r1", both, 100)
    assert verdict.headers() == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "30.000s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "900",
        "x-ratelimit-reset-tokens": "6.000s",
    }


async def test_limits_are_taken_together_or_not_at_all(limiter: Limiter) -> None:
    both = rules(("", Limits(requests_per_minute=10)), ("key:k", Limits(requests_per_minute=1)))
    (await limiter.take("acme", "r1", both, 0)).require()
    refused = (await limiter.take("acme", "r2", both, 0)).refused
    assert refused is not None
    assert refused.rule == both[1], "the one that refuses is named"
    other = rules(("", Limits(requests_per_minute=10)), ("key:other", Limits(requests_per_minute=1)))
    verdict = await limiter.take("acme", "r3", other, 0)
    assert verdict.quotas[0].remaining == 8, "the refused request took nothing from the tenant"


async def test_tokens_are_corrected_by_what_was_really_used(limiter: Limiter) -> None:
    limit = rules(("", Limits(tokens_per_minute=1000)))
    with pytest.raises(RateLimited, match=r"tenant's limit of 1000 tokens a minute is used up: retry in 60 s"):
        [(await limiter.take("other", name, limit, 1000)).require() for name in ("r1", "r2")]
    await limiter.take("acme", "r1", limit, 400)
    await limiter.give("acme", "r1", limit, 500)
    assert (await limiter.take("acme", "r2", limit, 50)).quotas[0].remaining == 50
    await limiter.give("acme", "r2", limit, -50)
    assert (await limiter.take("acme", "r3", limit, 100)).quotas[0].remaining == 0


async def test_a_request_above_the_whole_limit_passes_once_the_bucket_is_full(limiter: Limiter) -> None:
    limit = rules(("", Limits(tokens_per_minute=1000)))
    (await limiter.take("acme", "r1", limit, 3000)).require()
    limiter.frozen_ms = START_MS + 2 * MINUTE_MS
    assert (await limiter.take("acme", "r2", limit, 1)).refused, "its debt is three minutes of the limit"
    limiter.frozen_ms = START_MS + 3 * MINUTE_MS
    (await limiter.take("acme", "r3", limit, 1000)).require()


async def test_places_are_given_back_and_a_dead_processs_places_expire(limiter: Limiter) -> None:
    limit = rules(("", Limits(concurrency=2)))
    for name in ("r1", "r2", "r2"):  # a request that is repeated keeps its place
        (await limiter.take("acme", name, limit, 0)).require()
    refused = await limiter.take("acme", "r3", limit, 0)
    assert (refused.quotas[0].remaining, refused.quotas[0].wait_s) == (0, 1.0), "a place may be free at any moment"
    assert refused.quotas[0].reset_s == CONCURRENCY_LEASE_S
    with pytest.raises(RateLimited, match="2 requests at once"):
        refused.require()
    await limiter.give("acme", "r1", limit, 0)
    (await limiter.take("acme", "r3", limit, 0)).require()
    limiter.frozen_ms = START_MS + int(CONCURRENCY_LEASE_S * 1000) - 1
    assert (await limiter.take("acme", "r4", limit, 0)).refused, "who has a place may take so long"
    limiter.frozen_ms = START_MS + int(CONCURRENCY_LEASE_S * 1000) + 1
    (await limiter.take("acme", "r4", limit, 0)).require()


async def test_a_refusal_says_what_is_left_and_the_first_of_several_limits_refuses(limiter: Limiter) -> None:
    limit = rules(("", Limits(tokens_per_minute=1000)), ("key:k", Limits(tokens_per_minute=800)))
    taken = await limiter.take("acme", "r1", limit, 700)
    assert [(quota.remaining, quota.reset_s, quota.wait_s) for quota in taken.quotas] == [(300, 42, 0), (100, 52.5, 0)]
    for cost, refusing in ((200, 1), (400, 0)):
        verdict = await limiter.take("acme", "r2", limit, cost)
        assert verdict.refused == verdict.quotas[refusing]
        assert [(quota.remaining, quota.reset_s) for quota in verdict.quotas][refusing] == (
            300 - 200 * refusing,
            42 + 10.5 * refusing,
        )


async def test_a_request_above_the_limit_leaves_nothing_and_one_that_used_nothing_gives_all_back(
    limiter: Limiter,
) -> None:
    limit = rules(("", Limits(tokens_per_minute=1000)))
    assert (await limiter.take("acme", "r1", limit, 3000)).quotas[0].remaining == 0
    assert (await limiter.take("acme", "r2", limit, 1)).quotas[0].remaining == 0
    await limiter.give("acme", "r1", limit, -3000)
    assert (await limiter.take("acme", "r3", limit, 100)).quotas[0].remaining == 900


async def test_a_limit_of_a_token_a_microsecond_is_counted_to_the_token(limiter: Limiter) -> None:
    limit = rules(("", Limits(tokens_per_minute=60_000_000)))
    await limiter.take("acme", "r", limit, 30_000_000)
    left = [(await limiter.take("acme", f"r{number}", limit, 1)).quotas[0].remaining for number in range(5)]
    assert left == [30_000_000 - number for number in range(1, 6)]
    assert (await limiter.take("acme", "r5", limit, left[-1])).refused is None
    assert (await limiter.take("acme", "r6", limit, 1)).refused


async def test_a_place_is_free_again_at_once_and_waited_for_no_longer_than_its_lease(limiter: Limiter) -> None:
    limit = rules(("", Limits(concurrency=3)))
    quotas = [(await limiter.take("acme", f"r{number}", limit, 0)).quotas[0] for number in range(3)]
    assert [(quota.remaining, quota.reset_s, quota.wait_s) for quota in quotas] == [(2, 0, 0), (1, 0, 0), (0, 0, 0)]
    limiter.frozen_ms = START_MS + int(CONCURRENCY_LEASE_S * 1000) - 400
    assert (await limiter.take("acme", "late", limit, 0)).quotas[0].wait_s == 0.4


async def test_limits_are_kept_no_longer_than_they_bind(limiter: Limiter, connection: Connection) -> None:
    limit = rules(("", Limits(requests_per_minute=60, tokens_per_minute=1000, concurrency=1)))
    began = time.monotonic()
    await limiter.take("acme", "r1", limit, 700)
    for name, seconds in (("requests", 1), ("tokens", 42), ("concurrency", CONCURRENCY_LEASE_S)):
        left_ms = await connection.ask(Ask(("PTTL", f"b:{{acme}}:rl:{name}:"), int))
        gone_ms = 1000 * (time.monotonic() - began)
        assert 1000 * seconds - gone_ms < left_ms <= 1000 * (seconds + 1), name


@pytest.mark.parametrize("back_ms", [1, 30_000, 3_600_000, 90 * 86_400_000])
async def test_a_clock_that_is_set_back_makes_nobody_wait_for_as_long(limiter: Limiter, back_ms: int) -> None:
    limit = rules(("", Limits(requests_per_minute=60, tokens_per_minute=1000)))
    for number in range(30):
        (await limiter.take("acme", f"r{number}", limit, 0)).require()
    await limiter.give("acme", "r0", limit, 1500)
    limiter.frozen_ms = START_MS - back_ms
    verdict = await limiter.take("acme", "r31", limit, 0)
    assert [(quota.remaining, quota.reset_s) for quota in verdict.quotas] == [(29, 31.0), (0, 90.0)]
    await limiter.give("acme", "r0", limit, -600)
    limiter.frozen_ms += 1000
    verdict = await limiter.take("acme", "r32", limit, 0)
    assert [quota.remaining for quota in verdict.quotas] == [29, 116]


async def test_tenants_do_not_share_limits(limiter: Limiter) -> None:
    (await limiter.take("acme", "r1", requests(1), 0)).require()
    (await limiter.take("other", "r1", requests(1), 0)).require()


async def test_without_rules_nothing_is_asked(limiter: Limiter) -> None:
    assert rules(("", Limits())) == ()
    (await limiter.take("acme", "r1", (), 10**9)).require()


async def test_a_request_that_took_no_place_and_the_tokens_it_said_has_nothing_to_give_back(limiter: Limiter) -> None:
    everything = rules(("", Limits(requests_per_minute=9, tokens_per_minute=9, concurrency=9)))
    place, requests_, tokens = everything
    assert limiter.give_ask("acme", "r", (requests_, tokens), 0) is None
    assert limiter.give_ask("acme", "r", (requests_,), 5) is None
    assert limiter.give_ask("acme", "r", (tokens,), 5) is not None
    assert limiter.give_ask("acme", "r", (place,), 0) is not None


async def test_an_end_corrects_tokens_and_frees_a_place_at_once(limiter: Limiter) -> None:
    both = rules(("", Limits(tokens_per_minute=1000, concurrency=1)), ("key:k", Limits(concurrency=1)))
    (await limiter.take("acme", "r1", both, 400)).require()
    assert (await limiter.take("acme", "r2", both, 0)).refused
    await limiter.give("acme", "r1", both, 100)
    verdict = await limiter.take("acme", "r3", both, 0)
    verdict.require()
    assert {quota.rule.kind: quota.remaining for quota in verdict.quotas} == {"concurrency": 0, "tokens": 500}


async def test_of_parallel_requests_exactly_the_limit_passes(limiter: Limiter) -> None:
    verdicts = await asyncio.gather(*(limiter.take("acme", f"r{i}", requests(25), 0) for i in range(200)))
    assert sum(verdict.refused is None for verdict in verdicts) == 25


@given(
    steps=st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 700)), min_size=1, max_size=25),
    limit=st.integers(1, 1000),
)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))  # pyright: ignore[reportArgumentType] # its metaclass iterates over it
async def test_no_minute_admits_more_than_a_full_bucket_and_a_minutes_flow(
    limiter: Limiter, connection: Connection, steps: list[tuple[int, int]], limit: int
) -> None:
    await connection.ask(Ask(("FLUSHALL",), ignore))
    limiter.frozen_ms = START_MS
    admitted: list[tuple[int, int]] = []
    for pause_ms, cost in steps:
        limiter.frozen_ms += pause_ms
        verdict = await limiter.take("t", "r", rules(("", Limits(tokens_per_minute=limit))), cost)
        if verdict.refused is None and cost <= limit:
            admitted.append((limiter.frozen_ms, cost))
    for end, _ in admitted:
        assert sum(cost for at, cost in admitted if end - MINUTE_MS < at <= end) <= 2 * limit
