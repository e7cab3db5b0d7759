"""The way for families that sign or negotiate (Bedrock, Vertex, Azure, Gemini): LiteLLM calls them.

It costs three to four milliseconds of CPU a call, which is why it is not the way for everybody.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import orjson

from router.errors import UpstreamError
from router.upstream import engine, faults
from router.upstream.cap import capped
from router.upstream.media import refuse_fetching
from router.upstream.request import parameters, usable
from router.upstream.stream import UpstreamStream
from router.upstream.tally import Tally
from router.upstream.types import Granted, UpstreamCall, UpstreamModel, UpstreamReply
from router.upstream.usage import NOT_REPORTED, merge, read_openai

# LiteLLM's own errors that stand for "no HTTP answer came"; everything else carries the provider's status.
_NO_ANSWER = ("APIConnectionError", "MidStreamFallbackError")


async def supported(model: UpstreamModel) -> frozenset[str]:
    """The names of OpenAI's parameters that this model takes."""
    litellm = await engine.warm()
    try:
        name, provider, _, _ = litellm.get_llm_provider(model.name, api_base=model.api_base)
    except litellm.exceptions.BadRequestError:
        msg = f"LiteLLM knows no provider for {model.name!r}: write it as provider/model"
        raise UpstreamError(msg) from None
    return usable(model, litellm.get_supported_openai_params(name, custom_llm_provider=provider) or ())


async def complete(call: UpstreamCall) -> UpstreamReply:
    """Ask once and wait for the whole answer. Raises UpstreamError."""
    arguments, granted = await request(call)
    answer = await _ask(call, arguments)
    body = answer.model_dump(exclude_none=True)
    tally = Tally()
    _note_usage(body)
    tally.reply(body)
    _rename(body, call.model)
    return UpstreamReply(
        status=200,
        body=orjson.dumps(body, default=str),
        usage=tally.usage,
        finish_reason=tally.finish_reason,
        model=tally.model,
        granted=granted,
        empty=tally.empty,
        output_bytes=tally.output_bytes,
    )


@asynccontextmanager
async def stream(call: UpstreamCall) -> AsyncGenerator[UpstreamStream]:
    """Ask once for a stream. Raises UpstreamError on entering, or out of the iteration."""
    deadline = asyncio.get_running_loop().time() + call.timeout_s
    try:
        async with asyncio.timeout_at(deadline):
            arguments, granted = await request(call)
            chunks, witness = await _open(call, arguments)
    except TimeoutError:
        raise faults.timeout(call.model.name) from None
    tally = Tally()
    frames = _frames(chunks, witness, tally, call, deadline)
    if not granted.hard:
        frames = capped(frames, tally, granted.max_tokens, int(call.body.get("n") or 1), _nothing)
    stream = UpstreamStream(frames, tally=tally, granted=granted)
    try:
        yield stream
    finally:
        await stream.aclose()
        await chunks.aclose()


def _nothing() -> None:
    """Leaving the stream's context closes LiteLLM's call."""


class _Witness:
    """Stands between the provider's stream and LiteLLM, and remembers what the provider really said.

    Where a stream breaks off, LiteLLM closes it with a `stop` of its own; where no usage is reported, it
    counts tokens itself. Both would be lies in somebody's books.
    """

    def __init__(self, provider: Any) -> None:  # noqa: ANN401 - whatever LiteLLM reads from
        self._provider = provider
        self._items = aiter(provider)
        self.finished = False
        self.usage = NOT_REPORTED

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - as above
        item = await anext(self._items)
        self._note(item if isinstance(item, Mapping) else item.model_dump())
        return item

    def _note(self, item: Mapping[str, Any]) -> None:
        """Read an item in OpenAI's shape or in LiteLLM's older one (`is_finished`)."""
        choices = item.get("choices") or ()
        self.finished |= bool(item.get("is_finished")) or any(choice.get("finish_reason") for choice in choices)
        report = item.get("usage")
        if isinstance(report, Mapping) and report.get("prompt_tokens"):
            self.usage = merge(self.usage, read_openai(report))

    async def aclose(self) -> None:
        """Close the provider's stream."""
        close = getattr(self._provider, "aclose", None) or getattr(self._provider, "close", None)
        if close is not None:
            await close()


async def _open(call: UpstreamCall, arguments: Mapping[str, Any]) -> tuple[Any, _Witness]:
    """LiteLLM's stream, and the witness inside it."""
    chunks = await _ask(call, {**arguments, "stream": True, "stream_options": {"include_usage": True}})
    try:
        witness = _Witness(await chunks.fetch_stream())
    except Exception as error:  # noqa: BLE001 - LiteLLM raises its own, the SDKs' and httpx's errors
        raise _classified(error, call.model.name) from None
    chunks.completion_stream = witness
    return chunks, witness


async def _frames(
    chunks: Any,  # noqa: ANN401 - LiteLLM's
    witness: _Witness,
    tally: Tally,
    call: UpstreamCall,
    deadline: float,
) -> AsyncGenerator[bytes]:
    name = call.model.name
    loop = asyncio.get_running_loop()
    while True:
        stalls_at = loop.time() + call.stall_s if tally.chunks else deadline
        try:
            async with asyncio.timeout_at(min(deadline, stalls_at)):
                chunk = await anext(chunks, None)
        except TimeoutError:
            stalled = stalls_at < deadline
            raise faults.timeout(name, "stalled in the middle of a stream" if stalled else "took too long") from None
        except Exception as error:  # noqa: BLE001 - LiteLLM raises its own, the SDKs' and httpx's errors
            raise _classified(error, name) from None
        if chunk is None:
            break
        body = chunk.model_dump(exclude_none=True)
        body.pop("usage", None)
        if not witness.finished:
            _keep_open(body)
        tally.chunk(body)
        tally.usage = witness.usage
        _rename(body, call.model)
        if any(choice.get("delta") or choice.get("finish_reason") for choice in body.get("choices") or ()):
            yield b"data: " + orjson.dumps(body, default=str) + b"\n\n"
    if not witness.finished:
        raise faults.garbage(name, "the stream ended in the middle of the answer")


async def request(call: UpstreamCall) -> tuple[dict[str, Any], Granted]:
    """The arguments of `litellm.acompletion`, and what became of the allowance."""
    # Azure speaks OpenAI's format, and fetches by itself; for the others LiteLLM would.
    refuse_fetching(call, provider_fetches=call.model.provider == "azure")
    params, granted = parameters(call, await supported(call.model))
    model = call.model
    arguments: dict[str, Any] = {
        "model": model.name,
        "messages": copy.deepcopy(call.body["messages"]),
        "api_base": model.api_base,
        "api_key": model.api_key.get_secret_value() if model.api_key else None,
        "timeout": call.timeout_s,
        # One owner of attempts, and that is not LiteLLM.
        "num_retries": 0,
        "max_retries": 0,
        # Tools would otherwise be searched for MCP servers, by a package that is not installed.
        "_skip_mcp_handler": True,
        "max_tokens": granted.max_tokens,
    }
    if granted.extra:
        arguments["extra_body"] = dict(granted.extra)
    return arguments | dict(model.options) | params | dict(granted.params), granted


async def _ask(call: UpstreamCall, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - LiteLLM's own types
    litellm = await engine.warm()
    try:
        return await litellm.acompletion(**arguments)
    except Exception as error:  # noqa: BLE001 - LiteLLM raises its own, the SDKs' and httpx's errors
        raise _classified(error, call.model.name) from None


def _classified(error: Exception, name: str) -> UpstreamError:
    if isinstance(error, UpstreamError):
        return error
    status = getattr(error, "status_code", None)
    if type(error).__name__ in _NO_ANSWER or not isinstance(status, int):
        return faults.from_exception(error, name)
    headers = getattr(error, "litellm_response_headers", None) or getattr(
        getattr(error, "response", None), "headers", {}
    )
    message = getattr(error, "message", None) or str(error)
    return faults.from_status(status, headers, orjson.dumps({"error": {"message": message}}), name)


def _rename(body: dict[str, Any], model: UpstreamModel) -> None:
    """The model's name is the one that our clients know."""
    if model.alias:
        body["model"] = model.alias


def _keep_open(body: dict[str, Any]) -> None:
    """Take out a finish reason that the provider has not given."""
    for choice in body.get("choices") or ():
        choice.pop("finish_reason", None)


def _note_usage(body: dict[str, Any]) -> None:
    """LiteLLM writes zeros where a provider reported nothing; a prompt of no tokens does not exist."""
    usage = body.get("usage")
    if isinstance(usage, Mapping) and not usage.get("prompt_tokens"):
        body.pop("usage")
