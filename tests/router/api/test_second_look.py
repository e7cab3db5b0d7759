"""A second look through the whole gateway: who waits for one, what it changes, and that nothing it does is an error."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from classifier.second_look import Second
from router.estimation.second_look import SecondLooks
from router.testing import FakeUpstream
from tests.gateway import PATIENT_MS, Running, fake_settings, running
from tests.judges import Judge
from tests.second_looks import static_in_place_of_a_transformer

_fresh = itertools.count()
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def running_gateway(shared_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Every decision is close, and the second look finds everything much harder."""
    folder = tmp_path_factory.mktemp("gateway")
    artefact = static_in_place_of_a_transformer(folder / "second", harder=4.0)
    looking = {"artefact": artefact, "margin": 100.0, "within_ms": PATIENT_MS}
    classifier = {"timeout_ms": PATIENT_MS, "second_look": looking}
    with running(fake_settings(shared_upstream.openai_base, folder, classifier=classifier)) as gateway:
        yield gateway


@pytest.fixture
def looks(running_gateway: Running) -> Iterator[SecondLooks]:
    """The gateway's second looks, as they were afterwards."""
    looking = running_gateway.gateway.looking
    assert looking is not None
    made = looking.looks
    before = made.second, made.within_s
    yield made
    made.second, made.within_s = before
    made.paused_until = 0.0


def ask(**fields: Any) -> dict[str, Any]:
    """A question that nobody has asked before."""
    text = f"Name one city of the region number {next(_fresh)}."
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}


def look_of(client: httpx.Client, reply: httpx.Response) -> dict[str, Any]:
    record = client.get(f"/v1/decisions/{reply.headers['x-rung-decision-id']}").raise_for_status().json()
    return record["receipt"]["difficulty"]["second_look"]


def counted(client: httpx.Client, result: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith(f'rung_second_looks_total{{result="{result}"')
    )


def test_a_close_decision_is_taken_again_and_everything_says_so(client: httpx.Client) -> None:
    before = counted(client, "taken")
    reply = client.post(CHAT, json=ask()).raise_for_status()
    assert reply.headers["x-rung-second-look"] == "taken"
    look = look_of(client, reply)
    assert (look["result"], look["version"]) == ("taken", "stand-in-1")
    assert float(reply.headers["x-rung-difficulty"]) > look["first_difficulty"] + 0.2
    served = {"model": reply.headers["x-rung-model"], "allowance": int(reply.headers["x-rung-reasoning-tokens"])}
    assert served != look["first_choice"]
    assert counted(client, "taken") == before + 1
    assert "rung_second_look_changes_total" in client.get("/metrics").text


def test_a_stream_waits_for_its_second_look_too(client: httpx.Client) -> None:
    with client.stream("POST", CHAT, json=ask(stream=True)) as reply:
        assert reply.headers["x-rung-second-look"] == "taken"
        assert b"[DONE]" in reply.read()


def test_an_answer_out_of_the_cache_waits_for_none(client: httpx.Client, looks: SecondLooks) -> None:
    question = ask(temperature=0)
    client.post(CHAT, json=question).raise_for_status()
    looks.second = Second(model=Judge(), weight=1.0)
    again = client.post(CHAT, json=question)
    assert again.headers["x-rung-cache"] == "hit"
    assert "x-rung-second-look" not in again.headers
    assert isinstance(looks.second.model, Judge)
    assert not looks.second.model.batches


def test_a_late_look_leaves_the_first_decision_as_it_was(client: httpx.Client, looks: SecondLooks) -> None:
    slow = Judge()
    slow.may_answer.clear()
    looks.second, looks.within_s = Second(model=slow, weight=1.0), 0.01
    reply = client.post(CHAT, json=ask())
    slow.may_answer.set()
    assert reply.status_code == 200
    assert reply.headers["x-rung-second-look"] == "late"
    look = look_of(client, reply)
    assert look["result"] == "late"
    assert reply.headers["x-rung-model"] == look["first_choice"]["model"]
    assert float(reply.headers["x-rung-difficulty"]) == pytest.approx(look["first_difficulty"], abs=1e-3)


def test_a_failed_look_is_no_error(client: httpx.Client, looks: SecondLooks) -> None:
    question = ask()
    baffled = Judge()
    baffled.baffled_by = question["messages"][0]["content"]
    looks.second = Second(model=baffled, weight=1.0)
    before = counted(client, "failed")
    reply = client.post(CHAT, json=question)
    assert (reply.status_code, reply.headers["x-rung-second-look"]) == (200, "failed")
    assert counted(client, "failed") == before + 1


def test_where_too_many_wait_none_is_begun(
    client: httpx.Client, looks: SecondLooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "expected_s", lambda: looks.within_s + 1.0)
    reply = client.post(CHAT, json=ask())
    assert (reply.status_code, reply.headers["x-rung-second-look"]) == (200, "busy")


def test_a_deadline_without_room_for_it_is_kept(client: httpx.Client) -> None:
    reply = client.post(CHAT, json=ask(rung={"max_latency_s": 0.9 * PATIENT_MS / 1000}))
    assert (reply.status_code, reply.headers["x-rung-second-look"]) == (200, "deadline")


def test_what_the_second_look_would_refuse_is_served_by_the_first(client: httpx.Client) -> None:
    reply = client.post(CHAT, json=ask(rung={"min_quality": 0.75}))  # the second look finds .2 at best
    assert (reply.status_code, reply.headers["x-rung-second-look"]) == (200, "failed")
    assert look_of(client, reply)["result"] == "failed"


def test_beside_the_marked_default_there_is_nothing_to_look_at_again(
    client: httpx.Client, running_gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object) -> None:
        return None

    monkeypatch.setattr(running_gateway.gateway.estimator, "estimate", none)
    reply = client.post(CHAT, json=ask())
    assert reply.status_code == 200
    assert "x-rung-second-look" not in reply.headers
    assert look_of(client, reply) is None


def test_the_dry_run_shows_it(client: httpx.Client) -> None:
    quote = client.post("/v1/route", json=ask()).raise_for_status().json()
    assert quote["difficulty"]["second_look"]["result"] == "taken"
    assert quote["difficulty"]["classifier_version"].endswith("+stand-in-1")
