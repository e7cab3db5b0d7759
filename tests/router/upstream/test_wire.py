"""What providers are sent: held byte by byte, complete, and inside each family's documented limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from router.upstream import delegate, pricing
from router.upstream.client import UpstreamClient
from router.upstream.request import takes_own_transport
from tests.router.upstream import golden, wire_cases
from tests.router.upstream.evidence import EVERY_CASE, GOLDEN, breaches, family, lost
from tests.router.upstream.recorder import Recorder


@pytest_asyncio.fixture
async def recorder() -> AsyncIterator[Recorder]:
    async with Recorder() as recorder:
        yield recorder


@pytest_asyncio.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    async with UpstreamClient() as client:
        yield client


@pytest.mark.parametrize("name", wire_cases.MODELS)
async def test_outbound_bodies_are_the_golden_ones(name: str, client: UpstreamClient, recorder: Recorder) -> None:
    assert orjson.loads(orjson.dumps(await golden.collect(client, recorder, name))) == GOLDEN[name]


def test_the_golden_files_cover_fourteen_families_and_every_cell() -> None:
    assert len({family(name) for name in wire_cases.MODELS} - {"none", "always"}) >= 14
    assert len(EVERY_CASE) == len(wire_cases.MODELS) * 6 * 2
    assert all("body" in found for _, _, found in EVERY_CASE)


def test_no_parameter_of_the_client_vanishes_silently() -> None:
    assert [(name, case.name, gone) for name, case, found in EVERY_CASE if (gone := lost(name, found))] == []


def test_no_body_is_outside_the_documented_limits_of_its_family() -> None:
    assert [(name, case.name, wrong) for name, case, found in EVERY_CASE if (wrong := breaches(name, found))] == []


@pytest.mark.parametrize(
    ("name", "change", "wrong"),
    [
        ("openai/gpt-6-sol", {"reasoning_effort": "huge"}, "an unknown effort"),
        ("openai/gpt-6-sol", {"reasoning_effort": "low", "temperature": 0.5}, "a temperature while reasoning"),
        ("anthropic/claude-haiku-4-5", {"thinking": {"budget_tokens": 100}}, "a budget below the least"),
        ("anthropic/claude-haiku-4-5", {"max_tokens": 10**9}, "nothing caps what may be produced"),
        ("anthropic/claude-sonnet-5-5", {"top_k": 3}, "sampling where thinking is adaptive"),
        (
            "gemini/gemini-2.5-pro",
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 10**6}}},
            "a budget out of range",
        ),
    ],
)
def test_a_body_outside_the_limits_is_seen(name: str, change: dict[str, Any], wrong: str) -> None:
    found = GOLDEN[name]["allowance=4096"]
    assert wrong in breaches(name, {**found, "body": {**found["body"], **change}})


def test_a_lost_parameter_is_seen() -> None:
    found = GOLDEN["openai/gpt-6-sol"]["allowance=0"]
    without = {key: value for key, value in found["body"].items() if key != "seed"}
    assert lost("openai/gpt-6-sol", {**found, "body": without}) == ["seed"]


def test_an_allowance_is_never_exceeded_but_by_models_that_cannot_think_less() -> None:
    for name, case, found in EVERY_CASE:
        ceiling = min(case.allowance, 4_096) if case.dial else case.allowance
        reasoning = wire_cases.MODELS[name] or pricing.facts(name).reasoning
        granted = found["granted"]["tokens"]
        least = reasoning.levels[0][1] if reasoning.levels else reasoning.min_tokens
        assert granted <= max(ceiling, 0 if reasoning.can_disable else least), (name, case.name)


def test_a_client_that_forbids_thinking_gets_none_where_that_can_be() -> None:
    for name, case, found in EVERY_CASE:
        reasoning = wire_cases.MODELS[name] or pricing.facts(name).reasoning
        if case.allowance == 0 and reasoning.can_disable:
            assert found["granted"]["tokens"] == 0, name


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in wire_cases.MODELS
        # LiteLLM refuses the dial that an operator configures for a model that its map does not know.
        if name.partition("/")[0] not in {"azure", "gemini", "bedrock", "ollama_chat"} and name != "xai/grok-3-mini"
    ],
)
async def test_our_own_transport_and_litellms_send_equal_bodies(
    name: str, client: UpstreamClient, recorder: Recorder
) -> None:
    upstream = wire_cases.model(name, recorder.url)
    assert takes_own_transport(upstream)
    wanted = wire_cases.sentinels(name)
    refused = await client.unsupported(upstream, wanted)
    params = {key: value for key, value in wanted.items() if key not in refused}
    for case in wire_cases.cases():
        if case.allowance in {0, 4_096}:
            found = await golden.collect_one(delegate.complete, recorder, wire_cases.call(upstream, case, params))
            assert found == GOLDEN[name][case.name]["body"], case.name
