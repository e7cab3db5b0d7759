"""A tenant's own policy, over the running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from router.configuration.tenants import TenantPolicy
from router.resources.pepper import read_pepper
from router.resources.resources import start_resources
from router.store import INFERENCE, Store, Tenant, Token
from router.tenants.policy import StrongShares, rules_of
from router.testing import FakeUpstream
from tests.gateway import Running, fake_settings, running
from tests.store_servers import PATIENT

CAP = 0.2
TENANTS: list[dict[str, Any]] = [
    {"id": "capped", "quality": 1.0, "strong_share": CAP},
    {"id": "frugal", "deny": ["large"], "max_reasoning_tokens": 0},
    {"id": "curious", "explore": 1.0},
    {"id": "picky", "require_tags": ["eu"]},
]


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {tenant["id"]: Token.new().reveal() for tenant in TENANTS}


@pytest.fixture(scope="module")
def strict_gateway(
    shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory, keys: dict[str, str], loop: Any
) -> Iterator[Running]:
    settings = fake_settings(shared_upstream.openai_base, tmp_path_factory.mktemp("strict"), tenants=TENANTS)
    resources = start_resources(settings)
    with running(settings, resources) as gateway:
        loop.run(_make_keys(resources.store_url, read_pepper(settings), keys))
        yield gateway
    resources.stop()


async def _make_keys(url: str, pepper: bytes, keys: dict[str, str]) -> None:
    store = await Store.connect(url, pepper=pepper, upkeep=False, **PATIENT)
    for tenant, token in keys.items():
        await store.directory.create_key(tenant, scopes=frozenset({INFERENCE}), token=token)
    await store.close()


def route(gateway: Running, key: str, text: str, **fields: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}], **fields}
    return httpx.post(gateway.url + "/v1/route", json=body, headers={"authorization": f"Bearer {key}"}, timeout=30)


def ask(gateway: Running, key: str, text: str) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "rung": {"cache": "off"}}
    return httpx.post(
        gateway.url + "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=30
    )


def test_suffixes_that_make_everything_look_hard_do_not_pass_the_cap_on_the_strongest_tier(
    strict_gateway: Running, keys: dict[str, str]
) -> None:
    hard = "Prove Fermat's last theorem for n = 3, step by step; this is a very hard olympiad problem. No. "
    tiers = [ask(strict_gateway, keys["capped"], hard + str(i)).headers["x-rung-tier"] for i in range(30)]
    assert "premium" in tiers
    assert tiers.count("premium") <= CAP * len(tiers) + 1


def test_a_denied_model_and_forbidden_thinking_are_in_no_choice(strict_gateway: Running, keys: dict[str, str]) -> None:
    quote = route(strict_gateway, keys["frugal"], "Prove that there are infinitely many primes.", rung={"quality": 1})
    assert quote.json()["choice"]["model"] != "large"
    assert quote.json()["choice"]["allowance"] == 0


def test_a_tag_that_no_model_bears_leaves_nothing_and_says_so(strict_gateway: Running, keys: dict[str, str]) -> None:
    refused = route(strict_gateway, keys["picky"], "hello")
    assert refused.status_code == 400
    assert "eu" in refused.json()["error"]["message"]


def test_exploration_takes_other_rungs_and_logs_with_what_probability(
    strict_gateway: Running, keys: dict[str, str]
) -> None:
    replies = [ask(strict_gateway, keys["curious"], f"What is the capital of France, no. {i}?") for i in range(12)]
    assert len({(r.headers["x-rung-model"], r.headers["x-rung-reasoning-tokens"]) for r in replies}) > 1
    headers = {"authorization": f"Bearer {keys['curious']}"}
    path = f"/v1/decisions/{replies[0].headers['x-rung-decision-id']}"
    record = httpx.get(strict_gateway.url + path, headers=headers, timeout=30).json()
    assert 0 < record["receipt"]["propensity"] < 1


def test_a_policy_is_read_from_the_store_as_it_was_declared() -> None:
    declared = TenantPolicy(quality=0.3, deny=["large"], strong_share=0.1)
    tenant = Tenant(id="t", policy=declared.model_dump(mode="json", exclude_defaults=True))
    rules = rules_of(tenant)
    assert (rules.quality, rules.strong_share, rules.limits.deny) == (0.3, 0.1, {"large"})
    assert rules.profile.hours == ()


def test_shares_of_different_tenants_are_counted_apart() -> None:
    shares = StrongShares()
    shares.count("a", strong=True)
    assert shares.barred("a", 0.5, ("economy", "premium")) == {"premium"}
    assert shares.barred("b", 0.5, ("economy", "premium")) == frozenset()
    assert shares.barred("a", None, ("economy", "premium")) == frozenset()
