"""What providers are sent: held byte by byte, complete, and inside each family's documented limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import orjson
import pytest
import pytest_asyncio

from router.upstream import delegate, pricing
from router.upstream.client import UpstreamClient
from router.upstream.request import takes_own_transport
from tests.router.upstream import golden, wire_cases
from tests.router.upstream.recorder import Recorder

GOLDEN = {name: golden.stored(name) for name in wire_cases.MODELS}
EVERY_CASE = [(name, case, GOLDEN[name][case.name]) for name in wire_cases.MODELS for case in wire_cases.cases()]


@pytest_asyncio.fixture
async def recorder() -> AsyncIterator[Recorder]:
    async with Recorder() as recorder:
        yield recorder


@pytest_asyncio.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    async with UpstreamClient() as client:
        yield client


def _sent(family: str | None = None) -> Iterator[tuple[str, wire_cases.Case, dict[str, Any]]]:
    """The golden requests, of one family or of all."""
    for name, case, found in EVERY_CASE:
        if family in {None, _family(name)}:
            yield name, case, found


def _family(name: str) -> str:
    return (wire_cases.MODELS[name] or pricing.facts(name).reasoning).family


def _walk(value: object) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield str(key), part
            yield from _walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from _walk(part)


@pytest.mark.parametrize("name", wire_cases.MODELS)
async def test_outbound_bodies_are_the_golden_ones(name: str, client: UpstreamClient, recorder: Recorder) -> None:
    assert orjson.loads(orjson.dumps(await golden.collect(client, recorder, name))) == GOLDEN[name]


def test_the_golden_files_cover_fourteen_families_and_every_cell() -> None:
    assert len({_family(name) for name in wire_cases.MODELS} - {"none", "always"}) >= 14
    assert len(EVERY_CASE) == len(wire_cases.MODELS) * 6 * 2
    assert all("body" in found for _, _, found in EVERY_CASE)


def test_no_parameter_of_the_client_vanishes_silently() -> None:
    lost = []
    for name, case, found in _sent():
        body, notes = orjson.dumps(found["body"]).decode(), " ".join(found["granted"]["notes"])
        for parameter in wire_cases.sentinels(name):
            arrived = _arrived(parameter, body)
            named = parameter in GOLDEN[name]["refused parameters"] or f"{parameter} " in notes
            if not (arrived or named):
                lost.append((name, case.name, parameter))
    assert lost == []


def _arrived(parameter: str, body: str) -> bool:
    if parameter == "parallel_tool_calls":
        return '"parallel_tool_calls":false' in body or '"disable_parallel_tool_use":true' in body
    return wire_cases.MARKS[parameter] in body


def test_every_request_caps_what_may_be_produced_and_keeps_an_answer_reserve() -> None:
    names = {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxTokens", "num_predict"}
    for name, case, found in _sent():
        caps = {value for key, value in _walk(found["body"]) if key in names and isinstance(value, int)}
        assert found["max_tokens"] in caps, (name, case.name)
        limit = pricing.facts(name).max_output
        assert limit is None or found["max_tokens"] <= limit, (name, case.name)
        assert found["granted"]["tokens"] <= found["max_tokens"] - 256, (name, case.name)


def test_an_allowance_is_never_exceeded_but_by_models_that_cannot_think_less() -> None:
    for name, case, found in _sent():
        ceiling = min(case.allowance, 4_096) if case.dial else case.allowance
        reasoning = wire_cases.MODELS[name] or pricing.facts(name).reasoning
        granted = found["granted"]["tokens"]
        least = reasoning.levels[0][1] if reasoning.levels else reasoning.min_tokens
        assert granted <= max(ceiling, 0 if reasoning.can_disable else least), (name, case.name)


@pytest.mark.parametrize("family", ["anthropic-budget", "bedrock-anthropic-budget"])
def test_claude_budgets_keep_to_the_documented_limits(family: str) -> None:
    budgets = 0
    for name, case, found in _sent(family):
        fields = dict(_walk(found["body"]))
        if "budget_tokens" in fields:
            budgets += 1
            assert 1_024 <= fields["budget_tokens"] < found["max_tokens"], (name, case.name)
            assert fields.get("temperature", 1) == 1, (name, case.name)
            assert not {"top_k", "top_p", "topP"} & fields.keys(), (name, case.name)
    assert budgets > 0


def test_claude_is_never_given_both_a_temperature_and_a_top_p() -> None:
    for name, case, found in _sent():
        if "claude" in name and not name.startswith("openrouter/"):
            keys = {key for key, _ in _walk(found["body"])}
            assert not ("temperature" in keys and keys & {"top_p", "topP"}), (name, case.name)


def test_adaptive_claude_gets_efforts_and_no_budget_and_those_that_always_think_are_not_told_to_stop() -> None:
    for name, case, found in _sent("anthropic-adaptive"):
        fields = dict(_walk(found["body"]))
        always = not pricing.facts(name).reasoning.can_disable
        assert "budget_tokens" not in fields
        assert not {"temperature", "top_p", "top_k"} & fields.keys(), (name, case.name)
        kinds = {"adaptive"} if always else {"adaptive", "disabled"}
        assert found["body"]["thinking"]["type"] in kinds, (name, case.name)
        if found["body"]["thinking"]["type"] == "adaptive":
            assert fields["effort"] in {"low", "medium", "high", "xhigh", "max"}


@pytest.mark.parametrize(
    ("name", "efforts"),
    [
        ("openai/o4-mini", {"low", "medium", "high"}),
        ("openai/gpt-5-mini", {"minimal", "low", "medium", "high"}),
        ("azure/gpt-5-mini", {"minimal", "low", "medium", "high"}),
        ("openai/gpt-6-sol", {"none", "low", "medium", "high", "xhigh"}),
        ("openai/gpt-6-astra", {"low", "medium", "high", "xhigh"}),
    ],
)
def test_openai_gets_the_efforts_of_the_model_and_no_temperature_while_it_reasons(name: str, efforts: set[str]) -> None:
    sent = [found["body"] for found in GOLDEN[name].values() if isinstance(found, dict)]
    assert {body["reasoning_effort"] for body in sent} <= efforts
    assert all("temperature" not in body for body in sent if body["reasoning_effort"] != "none")
    assert all("max_completion_tokens" in body for body in sent)


def test_gemini_gets_a_budget_in_range_or_a_level_and_never_both() -> None:
    ranges = {"gemini-2.5-pro": (128, 32_768), "gemini-2.5-flash": (0, 24_576)}
    ranges["gemini-2.5-flash-lite"] = (0, 24_576)
    for name, case, found in _sent():
        if not name.startswith("gemini/"):
            continue
        thinking = found["body"]["generationConfig"]["thinkingConfig"]
        model = name.removeprefix("gemini/")
        if model in ranges:
            least, most = ranges[model]
            budget = thinking["thinkingBudget"]
            assert least <= budget <= most, (name, case.name)
            assert model != "gemini-2.5-flash-lite" or budget == 0 or budget >= 512
            assert "thinkingLevel" not in thinking
        else:
            assert "thinkingBudget" not in thinking
            assert thinking["thinkingLevel"] in {"low", "medium", "high"}, (name, case.name)


def test_a_client_that_forbids_thinking_gets_none_where_that_can_be() -> None:
    for name, case, found in _sent():
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
