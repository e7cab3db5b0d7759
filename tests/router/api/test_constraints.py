"""What callers, keys and tenants forbid or demand holds over the running gateway, and an explicit model still wins."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest

from router.dispatch.speeds import Speeds
from router.resources.pepper import read_pepper
from router.resources.resources import start_resources
from router.store import INFERENCE, Store, Token
from router.testing import Answer, FakeUpstream
from tests.gateway import Running, fake_ladder, fake_settings, running
from tests.serving import until
from tests.store_servers import PATIENT_S

HARD = "Prove that there are infinitely many primes congruent to 3 modulo 4, and show every step."
EASY = "Hello, how are you?"
TENANTS: list[dict[str, Any]] = [
    {"id": "free"},
    {"id": "european", "require_tags": ["eu"]},
    {"id": "listed", "models": ["small", "medium"]},
    {"id": "hasty", "max_latency_s": 6.0},
    {"id": "demanding", "min_quality": 0.6},
]
KEYS: dict[str, dict[str, Any]] = {
    **{tenant["id"]: {} for tenant in TENANTS},
    "listed/without-medium": {"deny": frozenset({"medium"})},
    "free/small-alone": {"models": frozenset({"small"})},
}
SPEED = {"small": (0.2, 400.0), "medium": (0.5, 100.0), "large": (2.0, 25.0)}


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {name: Token.new().reveal() for name in KEYS}


@pytest.fixture(scope="module")
def bound(
    shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory, keys: dict[str, str], loop: Any
) -> Iterator[Running]:
    models = fake_ladder(shared_upstream.openai_base)
    for model in models:
        model["latency_s"], model["tokens_per_s"] = SPEED[model["id"]]
        model["tags"] = ["us"] if model["id"] == "small" else ["eu"]
        # A tenth of the small model's own price, as providers sell what lies in their cache.
        model["prices"]["cache_read"] = 0.01 if model["id"] == "medium" else model["prices"]["input"]
    settings = fake_settings(
        shared_upstream.openai_base, tmp_path_factory.mktemp("bound"), models=models, tenants=TENANTS
    )
    resources = start_resources(settings)
    with running(settings, resources) as gateway:
        loop.run(_make_keys(resources.store_url, read_pepper(settings), keys))
        yield gateway
    resources.stop()


async def _make_keys(url: str, pepper: bytes, keys: dict[str, str]) -> None:
    store = await Store.connect(url, pepper=pepper, reply_timeout_s=PATIENT_S, connect_timeout_s=PATIENT_S)
    for name, token in keys.items():
        tenant = name.partition("/")[0]
        await store.directory.create_key(tenant, scopes=frozenset({INFERENCE}), token=token, **KEYS[name])
    await store.close()


class Caller:
    """Someone with a key."""

    def __init__(self, gateway: Running, key: str) -> None:
        self._client = httpx.Client(
            base_url=gateway.url, headers={"authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        )

    def route(self, text: str, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": text}], **fields}
        return self._client.post("/v1/route", json=body, headers=headers)

    def choice(self, text: str, **fields: Any) -> dict[str, Any]:
        reply = self.route(text, **fields)
        assert reply.status_code == 200, reply.text
        quote = reply.json()
        taken = (quote["choice"]["model"], quote["choice"]["allowance"])
        return next(rung for rung in quote["menu"] if (rung["model"], rung["allowance"]) == taken)

    def ask(self, *messages: str, **fields: Any) -> httpx.Response:
        told = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(messages)]
        body = {"model": "auto", "messages": told, "rung": {"cache": "off"}, **fields}
        return self._client.post("/v1/chat/completions", json=body)

    def models(self) -> set[str]:
        return {model["id"] for model in self._client.get("/v1/models").json()["data"]}

    def close(self) -> None:
        self._client.close()


Callers = Callable[[str], Caller]


@pytest.fixture
def caller(bound: Running, keys: dict[str, str]) -> Iterator[Callers]:
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(closing(Caller(bound, keys[name])))


@pytest.mark.parametrize("way", ["body", "header"])
def test_a_deadline_leaves_out_what_is_expected_to_be_late(caller: Callers, way: str) -> None:
    free, best = caller("free"), {"quality": 1.0}
    unhurried = free.choice(HARD, rung=best)
    assert unhurried["expected_latency_s"] > 12
    hurried = (
        free.choice(HARD, rung={**best, "max_latency_s": 12})
        if way == "body"
        else free.choice(HARD, rung=best, headers={"x-rung-max-latency-s": "12"})
    )
    assert hurried["expected_latency_s"] <= 12
    assert hurried["quality"] < unhurried["quality"]


def test_a_deadline_that_nothing_keeps_is_refused_with_the_reason_and_a_named_model_wins_over_it(
    caller: Callers,
) -> None:
    free = caller("free")
    refused = free.route(HARD, rung={"max_latency_s": 0.01})
    assert refused.status_code == 400
    assert "above the ceiling of 0.01 s" in refused.json()["error"]["message"]
    assert free.choice(HARD, model="large", rung={"max_latency_s": 0.01})["model"] == "large"


def test_the_tenants_deadline_holds_for_its_callers_who_can_only_shorten_it(caller: Callers) -> None:
    hasty = caller("hasty")
    assert hasty.choice(HARD, rung={"quality": 1.0})["expected_latency_s"] <= 6
    assert hasty.choice(HARD, rung={"quality": 1.0, "max_latency_s": 600})["expected_latency_s"] <= 6
    assert hasty.choice(HARD, rung={"quality": 1.0, "max_latency_s": 2})["expected_latency_s"] <= 2


@pytest.mark.parametrize("way", ["body", "header"])
def test_a_floor_on_quality_takes_a_better_rung_than_the_dial_would(caller: Callers, way: str) -> None:
    free, thrifty = caller("free"), {"quality": 0.0}
    cheap = free.choice(HARD, rung=thrifty)
    assert cheap["quality"] < 0.6
    better = (
        free.choice(HARD, rung={**thrifty, "min_quality": 0.6})
        if way == "body"
        else free.choice(HARD, rung=thrifty, headers={"x-rung-min-quality": "0.6"})
    )
    assert better["quality"] >= 0.6
    assert caller("demanding").choice(HARD, rung={**thrifty, "min_quality": 0.1})["quality"] >= 0.6


def test_a_floor_above_every_rung_is_refused_and_a_named_model_wins_over_it(caller: Callers) -> None:
    free = caller("free")
    assert free.route(HARD, rung={"min_quality": 1.0}).status_code == 400
    assert free.choice(HARD, model="small", rung={"min_quality": 1.0})["model"] == "small"


def test_data_that_must_stay_somewhere_goes_nowhere_else(caller: Callers, upstream: FakeUpstream) -> None:
    european = caller("european")
    upstream.say(Answer(), Answer())
    served = [european.ask(EASY), european.ask(HARD)]
    assert {reply.headers["x-rung-model"] for reply in served} <= {"medium", "large"}
    assert {received.body["model"] for received in upstream.received} <= {"fake-medium", "fake-large"}
    refused = european.route(EASY, model="small")
    assert refused.status_code == 400
    assert "eu" in refused.json()["error"]["message"]


def test_lists_of_tenant_and_key_both_hold_and_the_rest_is_neither_chosen_shown_nor_served(
    caller: Callers,
) -> None:
    listed, narrower, small = caller("listed"), caller("listed/without-medium"), caller("free/small-alone")
    assert listed.models() & {"small", "medium", "large"} == {"small", "medium"}
    assert narrower.models() & {"small", "medium", "large"} == {"small"}
    assert small.models() & {"small", "medium", "large"} == {"small"}
    assert listed.choice(HARD, rung={"quality": 1.0})["model"] == "medium"
    assert narrower.choice(HARD, rung={"quality": 1.0})["model"] == "small"
    for someone, model in ((listed, "large"), (narrower, "medium"), (small, "large")):
        refused = someone.ask(HARD, model=model)
        assert refused.status_code == 403
        assert model in refused.json()["error"]["message"]


def test_a_session_stays_while_its_prompt_is_cheap_there_and_moves_up_at_once(
    caller: Callers, upstream: FakeUpstream
) -> None:
    free, long = caller("free"), "word " * 6_000
    session = {"session_id": uuid.uuid4().hex, "cache": "off", "quality": 0.0}
    talk = [long + EASY, "Fine.", EASY]
    assert free.ask(*talk, rung={**session, "session_id": uuid.uuid4().hex}).headers["x-rung-model"] == "small"
    upstream.say(*[Answer(input_tokens=30_000, cached_tokens=20_000)] * 2)
    assert free.ask(long + EASY, model="medium", rung=session).headers["x-rung-model"] == "medium"
    assert free.ask(*talk, rung=session).headers["x-rung-model"] == "medium"
    risen = free.ask(*talk[:2], HARD, rung={**session, "quality": 1.0})
    assert risen.headers["x-rung-model"] == "large"


@pytest.fixture
def _nothing_learnt(bound: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the gateway has learnt of its models' speeds is put aside, and what it learns now is forgotten."""
    answering = bound.gateway.service._answering  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(answering, "speeds", Speeds())


@pytest.mark.usefixtures("_nothing_learnt")
def test_a_deadline_counts_with_how_fast_a_models_streams_have_been(caller: Callers) -> None:
    free, wish = caller("free"), {"quality": 1.0, "max_latency_s": 2.0}
    assert free.choice(HARD, rung=wish)["model"] == "small"
    numbers = itertools.count()

    def known() -> bool:
        assert free.ask(f"{EASY} {next(numbers)} by and by", model="medium", stream=True).status_code == 200
        return free.choice(HARD, rung=wish)["model"] == "medium"

    until(known, "streams whose readers, on a busy machine, took too little of their time to matter")


@pytest.mark.usefixtures("_nothing_learnt")
def test_a_deadline_counts_with_how_fast_a_model_has_been(caller: Callers) -> None:
    free, wish = caller("free"), {"quality": 1.0, "max_latency_s": 8.0}
    assert free.choice(HARD, rung=wish)["model"] != "large"
    for number in range(6):
        assert free.ask(f"{EASY} {number}", model="large").status_code == 200
    quick = free.choice(HARD, rung=wish)
    assert quick["model"] == "large"
    assert quick["expected_latency_s"] <= 8.0
