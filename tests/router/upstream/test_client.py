"""The client against a real server: answers, and every way in which they go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio
from pydantic import SecretStr

from router.errors import (
    UpstreamCredentials,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from router.testing import Answer, FakeUpstream, Fault
from router.upstream.client import UpstreamClient
from router.upstream.stream import UpstreamStream
from router.upstream.types import UpstreamCall, UpstreamModel, UpstreamReply, Usage
from tests.patience import PATIENCE_S
from tests.router.upstream.models import KEY, KINDS, call, model

pytestmark = [
    pytest.mark.parametrize("kind", KINDS),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),  # LiteLLM's, of pydantic
]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as fake:
        yield fake


@pytest_asyncio.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    async with UpstreamClient() as client:
        await client.warm()
        yield client


async def _chunks(client: UpstreamClient, request: UpstreamCall) -> tuple[list[dict[str, object]], Usage, str | None]:
    """All chunks of a stream, its usage and its finish reason."""
    async with client.stream(request) as stream:
        raw = b"".join([frames async for frames in stream])
    events = [event.removeprefix(b"data: ") for event in raw.split(b"\n\n") if event]
    return [orjson.loads(event) for event in events], stream.tally.usage, stream.tally.finish_reason


def _text(chunks: list[dict[str, object]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])  # type: ignore[index,attr-defined]


async def _read_into(seen: list[bytes], stream: UpstreamStream) -> None:
    async for frames in stream:
        seen += [frames]


async def _try(client: UpstreamClient, request: UpstreamCall) -> UpstreamReply | None:
    if not request.stream:
        return await client.complete(request)
    await _chunks(client, request)
    return None


async def test_a_whole_answer_comes_with_text_usage_and_reason(
    kind: str, client: UpstreamClient, fake: FakeUpstream
) -> None:
    fake.say(Answer(text="Paris.", input_tokens=20, output_tokens=7, cached_tokens=4))
    reply = await client.complete(call(model(fake, kind)))
    body = orjson.loads(reply.body)
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == "Paris."
    assert reply.usage == Usage(input=20, output=7, cached_read=4)
    assert body["usage"]["prompt_tokens"] == 20
    assert reply.finish_reason == "stop"
    assert not reply.empty


async def test_a_stream_comes_with_text_usage_and_reason(kind: str, client: UpstreamClient, fake: FakeUpstream) -> None:
    fake.say(Answer(text="The capital is Paris.", thinking="Hm.", input_tokens=20, output_tokens=7))
    chunks, usage, reason = await _chunks(client, call(model(fake, kind), stream=True))
    assert _text(chunks) == "The capital is Paris."
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"  # type: ignore[index]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert (usage.input, usage.output, reason) == (20, 7, "stop")


async def test_tool_calls_arrive_whole_and_streamed(kind: str, client: UpstreamClient, fake: FakeUpstream) -> None:
    answer = Answer(text="", tool_calls=(("find", '{"q": "x"}'),), finish_reason="tool_calls")
    fake.say(answer, answer)
    reply = await client.complete(call(model(fake, kind)))
    (tool,) = orjson.loads(reply.body)["choices"][0]["message"]["tool_calls"]
    assert (tool["function"]["name"], orjson.loads(tool["function"]["arguments"])) == ("find", {"q": "x"})
    assert not reply.empty
    chunks, _, reason = await _chunks(client, call(model(fake, kind), stream=True))
    assert reason == "tool_calls"
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]  # type: ignore[index,attr-defined]
    said = [part["function"].get("arguments") or "" for delta in deltas for part in delta.get("tool_calls") or ()]
    assert orjson.loads("".join(said)) == {"q": "x"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_missing_usage_is_not_a_usage_of_zero(
    kind: str, stream: bool, client: UpstreamClient, fake: FakeUpstream
) -> None:
    fake.say(Answer(usage=False))
    request = call(model(fake, kind), stream=stream)
    if stream:
        _, usage, _ = await _chunks(client, request)
    else:
        usage = (await client.complete(request)).usage
    assert usage.input is None
    assert not usage.reported


async def test_an_answer_eaten_by_thinking_is_starved(kind: str, client: UpstreamClient, fake: FakeUpstream) -> None:
    fake.say(Answer(text="", thinking="Let me think about it", finish_reason="length"))
    reply = await client.complete(call(model(fake, kind)))
    assert reply.starved
    assert reply.output_bytes == len("Let me think about it")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, UpstreamRejected),
        (401, UpstreamCredentials),
        (402, UpstreamCredentials),
        (403, UpstreamCredentials),
        (404, UpstreamRejected),
        (408, UpstreamTimeout),
        (413, UpstreamRejected),
        (422, UpstreamRejected),
        (429, UpstreamRateLimited),
        (500, UpstreamError),
        (502, UpstreamError),
        (503, UpstreamRateLimited),
        (504, UpstreamTimeout),
        (529, UpstreamRateLimited),
    ],
)
async def test_a_status_becomes_its_error_after_exactly_one_request(
    kind: str,
    stream: bool,
    status: int,
    error: type[UpstreamError],
    client: UpstreamClient,
    fake: FakeUpstream,
) -> None:
    fake.say(Answer(status=status, headers={"Retry-After": "7"}))
    with pytest.raises(error) as caught:
        await _try(client, call(model(fake, kind), stream=stream))
    assert type(caught.value) is error
    assert caught.value.upstream_status == status
    assert len(fake.received) == 1
    assert caught.value.retry_after_s == (7.0 if error is UpstreamRateLimited else None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in {Fault.NONE, Fault.STALL}])
async def test_a_broken_answer_is_one_retryable_error(
    kind: str, stream: bool, fault: Fault, client: UpstreamClient, fake: FakeUpstream
) -> None:
    if kind == "delegated" and fault is Fault.ERROR_EVENT and not stream:
        pytest.skip("an error inside a 200 is a 400 to LiteLLM")
    fake.say(Answer(text="na\u00efve answer of words", fault=fault, fault_after=2))
    with pytest.raises(UpstreamError) as caught:
        await _try(client, call(model(fake, kind), stream=stream))
    assert caught.value.retryable
    if kind != "delegated":  # LiteLLM says 500 to most of these
        assert isinstance(caught.value, UpstreamUnreachable) == (fault is not Fault.ERROR_EVENT)
    assert len(fake.received) == 1


@pytest.mark.parametrize("split", [1, 2, 3, 7])
async def test_split_bytes_also_inside_a_character_change_nothing(
    kind: str, split: int, client: UpstreamClient, fake: FakeUpstream
) -> None:
    fake.say(Answer(text="日本 na\u00efve 🎉 done", split=split))
    chunks, _, _ = await _chunks(client, call(model(fake, kind), stream=True))
    assert _text(chunks) == "日本 na\u00efve 🎉 done"


async def test_a_failure_in_mid_stream_keeps_what_came_before_and_its_account(
    kind: str, client: UpstreamClient, fake: FakeUpstream
) -> None:
    fake.say(Answer(text="one two three four", fault=Fault.ERROR_EVENT, fault_after=3))
    seen: list[bytes] = []
    async with client.stream(call(model(fake, kind), stream=True)) as stream:
        with pytest.raises(UpstreamError):
            await _read_into(seen, stream)
    assert b"one" in b"".join(seen)
    assert b"[DONE]" not in b"".join(seen)
    assert stream.tally.text_chars in {len("one "), len("one two "), len("one two three ")}
    assert stream.tally.finish_reason is None


async def test_a_model_that_never_answers_is_a_timeout(kind: str, client: UpstreamClient, fake: FakeUpstream) -> None:
    fake.say(Answer(fault=Fault.STALL))
    with pytest.raises(UpstreamTimeout):
        await client.complete(call(model(fake, kind), timeout_s=0.2))


async def test_a_stream_that_stops_is_a_stall(kind: str, client: UpstreamClient, fake: FakeUpstream) -> None:
    fake.say(Answer(text="one two three", fault=Fault.STALL, fault_after=3))
    whole = call(model(fake, kind), stream=True)
    request = UpstreamCall(model=whole.model, body=whole.body, max_tokens=100, stream=True, timeout_s=20.0, stall_s=0.2)
    with pytest.raises(UpstreamTimeout, match="stalled"):
        await _chunks(client, request)


@pytest.mark.parametrize("stream", [False, True])
async def test_cancelling_before_the_first_byte_closes_the_connection(
    kind: str, stream: bool, client: UpstreamClient, fake: FakeUpstream
) -> None:
    fake.say(Answer(gate=asyncio.Event()))
    task = asyncio.create_task(_try(client, call(model(fake, kind), stream=stream)))
    received = await fake.arrived()
    task.cancel()
    await asyncio.wait_for(received.closed.wait(), PATIENCE_S)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_leaving_a_stream_closes_the_connection(kind: str, client: UpstreamClient, fake: FakeUpstream) -> None:
    held = asyncio.Event()
    fake.say(Answer(text="one two three", between=held))
    async with client.stream(call(model(fake, kind), stream=True)):
        received = await fake.arrived()
    await asyncio.wait_for(received.closed.wait(), PATIENCE_S)
    assert not received.done.is_set()


async def test_no_provider_on_that_port_is_unreachable(kind: str, client: UpstreamClient) -> None:
    async with FakeUpstream() as gone:
        upstream = model(gone, kind)
    for stream in (False, True):
        with pytest.raises(UpstreamUnreachable):
            await _try(client, call(upstream, stream=stream))


async def test_a_parameter_that_the_model_does_not_take_is_refused_by_name(
    kind: str, client: UpstreamClient, fake: FakeUpstream
) -> None:
    upstream = model(fake, kind)
    assert await client.unsupported(upstream, {"frobnicate": 1, "temperature": 0.1}) == ("frobnicate",)
    with pytest.raises(UpstreamRejected) as caught:
        await client.complete(call(upstream, frobnicate=1))
    assert caught.value.param == "frobnicate"
    assert fake.received == []


async def test_a_parameter_that_the_operator_allows_goes_on(
    kind: str, client: UpstreamClient, fake: FakeUpstream
) -> None:
    plain = model(fake, kind)
    upstream = UpstreamModel(
        name=plain.name, api_base=plain.api_base, api_key=plain.api_key, extra_params=frozenset({"frobnicate"})
    )
    await client.complete(call(upstream, frobnicate=1))
    assert fake.received[0].body["frobnicate"] == 1


async def test_a_dearer_tier_of_service_is_refused_as_nobody_knows_its_price(
    kind: str, client: UpstreamClient, fake: FakeUpstream
) -> None:
    with pytest.raises(UpstreamRejected, match="service_tier"):
        await client.complete(call(model(fake, kind), service_tier="priority"))


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_the_key_stands_in_no_error_whatever_the_provider_says(
    kind: str, status: int, client: UpstreamClient, fake: FakeUpstream
) -> None:
    fake.say(Answer(status=status, error={"message": f"bad key {KEY} in Bearer {KEY}", "type": "x"}))
    upstream = model(fake, kind)
    with pytest.raises(UpstreamError) as caught:
        await client.complete(call(upstream))
    assert KEY not in repr(caught.value)
    assert KEY not in repr(upstream)
    assert caught.value.__cause__ is None


async def test_the_clients_messages_are_left_as_they_were(
    kind: str, client: UpstreamClient, fake: FakeUpstream
) -> None:
    image = {"type": "image_url", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    messages = [
        {"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
    ]
    before = orjson.dumps(messages)
    request = call(model(fake, kind), messages=messages)
    await client.complete(request)
    await client.complete(request)
    assert orjson.dumps(messages) == before
    assert fake.received[0].raw == fake.received[1].raw


async def test_a_reply_larger_than_the_bound_is_refused(kind: str, fake: FakeUpstream) -> None:
    if kind == "delegated":
        pytest.skip("LiteLLM reads these replies itself")
    fake.say(Answer(text="x" * 50_000))
    async with UpstreamClient(max_reply_bytes=10_000) as client:
        with pytest.raises(UpstreamUnreachable, match="more than 10000 bytes"):
            await client.complete(call(model(fake, kind)))


async def test_an_unknown_provider_is_an_error_that_says_how_to_write_one(kind: str, client: UpstreamClient) -> None:
    upstream = UpstreamModel(name=f"nonesuch-{kind}", api_key=SecretStr("k"))
    with pytest.raises(UpstreamError, match="provider/model"):
        await client.complete(call(upstream))


async def test_many_calls_at_once_keep_their_answers_apart(
    kind: str, client: UpstreamClient, fake: FakeUpstream
) -> None:
    fake.say(*[Answer(text=f"answer {number}") for number in range(50)])
    replies = await asyncio.gather(*[client.complete(call(model(fake, kind))) for _ in range(50)])
    texts = {orjson.loads(reply.body)["choices"][0]["message"]["content"] for reply in replies}
    assert texts == {f"answer {number}" for number in range(50)}
    assert fake.billed_nano == sum(
        (reply.usage.input or 0) * 1_000 + (reply.usage.output or 0) * 4_000 for reply in replies
    )
