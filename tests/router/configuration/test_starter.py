"""The ladder of whoever has configured nothing: what the environment opens, and what one's own server serves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import ValidationError

from policies.cost import prices_at
from router.configuration import starter
from router.configuration.ladder import build_ladder, needs_local_model
from router.configuration.models import ModelSettings
from router.configuration.settings import ConfigError, Settings


class Server:
    """A model server on loopback that lists what it is told to."""

    def __init__(self) -> None:
        self.replies: dict[str, bytes] = {}
        replies = self.replies

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = replies.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name in the base class
                """Say nothing."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def stop(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def test_without_anything_the_example_ladder_stands_on_the_local_model() -> None:
    ladder = build_ladder(Settings(), {})
    assert [(m.tier, m.available) for m in ladder.catalog.models] == [
        ("economy", True),
        ("standard", False),
        ("premium", False),
    ]
    assert "set OPENAI_API_KEY" in ladder.catalog.models[1].unavailable_because
    assert needs_local_model(Settings(), {})


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"])
def test_a_key_opens_three_tiers_with_prices(variable: str) -> None:
    ladder = build_ladder(Settings(), {variable: "secret"})
    assert [model.tier for model in ladder.catalog.models] == ["economy", "standard", "premium"]
    assert all(model.available and model.prices.output > 0 for model in ladder.catalog.models)
    assert not needs_local_model(Settings(), {variable: "secret"})


def test_a_blank_key_opens_nothing() -> None:
    assert starter.models({"OPENAI_API_KEY": "  "}) == starter.example()


RUNGS_OWN = "rk_abcdefghijkm_0123456789012345678901234567890123456789012"


def test_rungs_own_key_opens_no_provider_and_is_sent_to_none() -> None:
    environ = {"OPENAI_API_KEY": RUNGS_OWN}
    assert starter.models(environ) == starter.example()
    ladder = build_ladder(Settings(), environ)
    assert "OPENAI_API_KEY holds a key of Rung's" in ladder.models["gpt-6-sol"].unavailable_because
    assert ladder.targets["gpt-6-sol"].api_key is None


def test_rungs_own_key_is_the_right_one_for_a_gateway_behind_this_one() -> None:
    model = ModelSettings(
        id="chained", upstream="openai/gpt-6-sol", tier="standard", api_base="http://inner/v1", api_key_env="INNER_KEY"
    )
    ladder = build_ladder(Settings(models=[model]), {"INNER_KEY": RUNGS_OWN})
    assert ladder.models["chained"].available
    key = ladder.targets["chained"].api_key
    assert key is not None
    assert key.get_secret_value() == RUNGS_OWN


def test_ollama_lists_its_models_with_tiers_by_size(server: Server) -> None:
    server.replies["/api/tags"] = b'{"models": [{"name": "llama3.1:8b"}, {"name": "qwen3:32b"}, {"name": "odd name!"}]}'
    found = starter.models({"OLLAMA_API_BASE": server.url})
    assert [(entry.id, entry.tier) for entry in found] == [
        ("llama3.1:8b", "economy"),
        ("qwen3:32b", "standard"),
        ("odd-name-", "standard"),
    ]
    assert {entry.api_base for entry in found} == {server.url}


def test_vllm_lists_its_models_with_or_without_v1_in_its_url(server: Server) -> None:
    server.replies["/v1/models"] = b'{"data": [{"id": "org/model-7b"}]}'
    for base in (server.url, server.url + "/v1"):
        assert [entry.upstream for entry in starter.models({"HOSTED_VLLM_API_BASE": base})] == [
            "hosted_vllm/org/model-7b"
        ]


@pytest.mark.parametrize("reply", [None, b"not json", b"[]", b'{"models": 3}', b'{"models": [{"nome": 1}]}', b"null"])
def test_a_server_that_says_nothing_useful_is_a_warning_and_the_example(
    server: Server, reply: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    if reply is not None:
        server.replies["/api/tags"] = reply
    assert starter.models({"OLLAMA_API_BASE": server.url}) == starter.example()
    assert "does not list its models" in caplog.text


def test_a_server_that_is_not_there_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert starter.models({"OLLAMA_HOST": "127.0.0.1:9"}) == starter.example()
    assert "http://127.0.0.1:9 does not list its models" in caplog.text


@pytest.mark.parametrize(
    ("name", "ability"),
    [("tiny-1b", 0.2), ("x:3.8B", 0.38), ("70b-chat", 0.75), ("x-405b", 0.8), ("8bit", 0.5), ("x", 0.5)],
)
def test_the_size_in_a_name_places_an_open_model(name: str, ability: float) -> None:
    assert starter.ability_by_size(name) == ability


def test_a_model_without_a_price_is_refused_by_its_name() -> None:
    entry = ModelSettings(
        id="mine", upstream="openai/nobody-knows", tier="economy", context_window=1000, max_output=100
    )
    with pytest.raises(ConfigError, match=r"mine|nobody-knows"):
        build_ladder(Settings(models=[entry]), {})


def test_an_unknown_capability_is_refused_with_those_that_there_are() -> None:
    entry = {
        "id": "m",
        "upstream": "openai/x",
        "tier": "economy",
        "prices": {"input": 1, "output": 1},
        "context_window": 1000,
        "max_output": 100,
        "capabilities": ["telepathy"],
    }
    with pytest.raises(ConfigError, match=r"telepathy.*the capabilities are tools"):
        build_ladder(Settings.model_validate({"models": [entry]}), {})


def test_an_entry_s_own_words_win_over_what_is_known() -> None:
    entry = {
        "id": "m",
        "upstream": "openai/gpt-6-luna",
        "tier": "economy",
        "ability": 0.1,
        "max_output": 77,
        "prices": {"input": 1, "output": 2, "reasoning": 3},
        "reasoning": {"control": "levels", "levels": {"b": 9, "a": 3}},
        "tags": ["eu"],
    }
    (model,) = build_ladder(Settings.model_validate({"models": [entry]}), {}).catalog.models
    assert (model.ability, model.max_output, model.prices.reasoning) == (0.1, 77, 3_000_000_000)
    assert model.reasoning.levels == (("a", 3), ("b", 9))
    assert model.tags == {"eu"}


def test_prices_may_depend_on_the_hour_the_day_and_the_length() -> None:
    entry = {
        "id": "m",
        "upstream": "openai/gpt-6-luna",
        "tier": "economy",
        "prices": {"input": 4, "output": 8},
        "price_rules": [
            {"from_input_tokens": 100_000, "input": 9, "output": 9},
            {"hours_utc": [16, 0], "weekdays": ["sat", "sun"], "input": 1, "output": 2},
        ],
    }
    (model,) = build_ladder(Settings.model_validate({"models": [entry]}), {}).catalog.models
    saturday_evening, sunday_morning = 2 * 86_400 + 17 * 3600, 3 * 86_400 + 9 * 3600
    assert prices_at(model, input_tokens=10, now_s=saturday_evening).input == 1_000_000_000
    assert prices_at(model, input_tokens=10, now_s=sunday_morning).input == 4_000_000_000
    assert prices_at(model, input_tokens=100_000, now_s=saturday_evening).input == 9_000_000_000


def test_a_price_rule_without_a_condition_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs a condition"):
        ModelSettings.model_validate(
            {"id": "m", "upstream": "openai/x", "tier": "t", "price_rules": [{"input": 1, "output": 1}]}
        )
