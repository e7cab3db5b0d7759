"""A newcomer without keys or Redis: the real local model behind the real gateway, asked by the real OpenAI client."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.serving import Process

pytestmark = pytest.mark.e2e

PARIS: list[openai.types.chat.ChatCompletionMessageParam] = [  # pyright: ignore[reportAttributeAccessIssue] # loaded lazily
    {"role": "user", "content": "What is the capital of France?"}
]


@pytest.fixture(scope="module")
def client(local_gateway: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{local_gateway.url}/v1", api_key=local_gateway.key, max_retries=0) as made:
        yield made


def test_the_banner_holds_the_two_lines_to_paste(local_gateway: Process) -> None:
    assert f"export OPENAI_BASE_URL={local_gateway.url}/v1" in local_gateway.log
    assert f"export OPENAI_API_KEY={local_gateway.key}" in local_gateway.log
    assert "waits: no key for it (set OPENAI_API_KEY)" in local_gateway.log


def test_the_local_model_answers_and_the_second_time_the_cache_does(client: openai.OpenAI) -> None:
    first = client.chat.completions.with_raw_response.create(model="auto", messages=PARIS, max_tokens=40)
    assert "Paris" in str(first.parse().choices[0].message.content)
    assert first.headers["x-rung-model"] == "smollm2-135m"
    assert first.headers["x-rung-cache"] == "miss"
    again = client.chat.completions.with_raw_response.create(model="auto", messages=PARIS, max_tokens=40)
    assert again.headers["x-rung-cache"] == "hit"
    assert float(again.headers["x-rung-cost-usd"]) == 0


def test_a_stream_brings_the_answer_and_the_decision(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": "Is the capital of France called Paris?"}],
            max_tokens=20,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert (chunks[-1].model_extra or {})["rung"]["decision_id"].startswith("dec_")


def test_the_reply_says_what_would_have_been_chosen_and_why_it_was_not(
    client: openai.OpenAI, local_gateway: Process
) -> None:
    proof = "Prove that there are infinitely many primes congruent to 3 modulo 4."
    reply = client.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": proof}], max_tokens=10
    )
    assert reply.headers["x-rung-model"] == "smollm2-135m"
    assert "reasoning=" in reply.headers["x-rung-preferred"]
    record = httpx.get(
        f"{local_gateway.url}/v1/decisions/{reply.headers['x-rung-decision-id']}",
        headers={"authorization": f"Bearer {local_gateway.key}"},
        timeout=30,
    ).json()
    assert record["receipt"]["served"].startswith("would choose ")
    assert "no key for it" in record["receipt"]["served"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": "nothing"}, openai.NotFoundError),
        ({"temperature": 3}, openai.BadRequestError),
        ({"extra_body": {"temprature": 1}}, openai.BadRequestError),
    ],
    ids=["unknown model", "bad value", "unknown field"],
)
def test_errors_become_the_client_s_own_classes(
    client: openai.OpenAI, fields: dict[str, object], error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{"model": "auto", "messages": PARIS, **fields})  # type: ignore[call-overload]
    assert caught.value.body


def test_a_bad_key_is_an_authentication_error(local_gateway: Process) -> None:
    with (
        openai.OpenAI(base_url=f"{local_gateway.url}/v1", api_key="rk_wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_models_lists_what_waits_for_a_key(client: openai.OpenAI) -> None:
    listed = {model.id: (model.model_extra or {}).get("rung", {}) for model in client.models.list()}
    assert {"auto", "auto:economy", "auto:quality", "smollm2-135m"} <= listed.keys()
    assert listed["smollm2-135m"]["available"] is True
    assert any(facts.get("available") is False for facts in listed.values())
