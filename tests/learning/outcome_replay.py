"""A provider that is not one: it answers each known question with what a real model once scored on it.

The answer is JSON that says so, `{"outcome_replay": true, "score": 1.0}`: nobody can take it for a model's words, and
whoever plays the user reads the score there. It speaks OpenAI's format on loopback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson
from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a real model did with a question: score 0..1, prompt and completion tokens."""

    score: float
    input_tokens: int
    output_tokens: int


class OutcomeReplay:
    """See the module. An asynchronous context manager.

    Args:
        outcomes: by model and question.

    Attributes:
        base: the `api_base` of its models. asked: how often each model was called.
    """

    def __init__(self, outcomes: Mapping[tuple[str, str], Replayed]) -> None:
        self._outcomes = outcomes
        self.asked: dict[str, int] = {}
        self.base = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = orjson.loads(await request.read())
        model, question = str(body["model"]), str(body["messages"][-1]["content"])
        found = self._outcomes.get((model, question))
        if found is None:
            message = "no outcome of this model on this question"
            return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=400)
        self.asked[model] = self.asked.get(model, 0) + 1
        return web.json_response(_completion(model, found))


def _completion(model: str, found: Replayed) -> dict[str, Any]:
    words = orjson.dumps({"outcome_replay": True, "score": found.score}).decode()
    total = found.input_tokens + found.output_tokens
    return {
        "id": "replay",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": found.input_tokens,
            "completion_tokens": found.output_tokens,
            "total_tokens": total,
        },
    }


def score_in(words: str) -> float:
    """The score that a replayed answer tells."""
    return float(orjson.loads(words)["score"])
