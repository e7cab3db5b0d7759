from __future__ import annotations

import threading

import openai
import pytest

from router.testing import Answer, running_fake_upstream


def test_openais_own_client_talks_to_it_without_an_event_loop() -> None:
    with (
        running_fake_upstream() as fake,
        openai.OpenAI(base_url=fake.openai_base, api_key="k", max_retries=0) as client,
    ):
        fake.say(Answer(text="Paris.", output_tokens=3, input_tokens=5), Answer(text="one two"), Answer(status=429))
        messages = [{"role": "user", "content": "What is the capital of France?"}]
        reply = client.chat.completions.create(model="m", messages=messages)  # type: ignore[arg-type]
        assert reply.choices[0].message.content == "Paris."
        chunks = client.chat.completions.create(model="m", messages=messages, stream=True)  # type: ignore[arg-type]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two"
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="m", messages=messages)  # type: ignore[arg-type]
        assert fake.bills[0].nano == 5 * 1_000 + 3 * 4_000
        assert len(fake.received) == 3
    assert not any(thread.name == "fake-upstream" for thread in threading.enumerate())
