"""OpenAI's chat completion request: its fields, their limits, and what Rung reads of them.

The request stays a plain dictionary from the wire to the upstream; the declarations below check it and describe it
in the OpenAPI document. Fields that are not declared are collected, not refused: whether one may pass is the
business of the upstream that is chosen.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    with_config,
)
from typing_extensions import TypedDict

from router.errors import InvalidRequest
from router.wire.complaints import as_invalid_request
from router.wire.links import base64_data, public_url

# Limits that no honest request meets; they bound the work that one body can cause.
MAX_MESSAGES = 10_000
MAX_PARTS = 1_000
MAX_TOOLS = 128  # OpenAI's own limit
MAX_STOPS = 16  # OpenAI takes 4, other upstreams more
MAX_CHOICES = 128  # OpenAI's own limit
MAX_TOKENS = 10_000_000
MAX_METADATA = 16  # OpenAI's own limit
MAX_BIASES = 1_024  # more than OpenAI takes
MAX_SCHEMA_NODES = 10_000

# A client never chooses where the operator's calls and keys go.
FORBIDDEN_FIELDS = frozenset(
    {
        "api_base",
        "api_key",
        "api_version",
        "azure_ad_token",
        "base_url",
        "custom_llm_provider",
        "extra_body",
        "extra_headers",
        "extra_query",
        "headers",
        "organization",
    }
)

_strict = with_config(ConfigDict(strict=True, extra="allow", allow_inf_nan=False))
_closed = with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))


def _bounded_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON schemas are passed on, never evaluated here; a bomb is refused all the same."""
    nodes = 0
    waiting: list[Any] = [schema]
    while waiting:
        item = waiting.pop()
        nodes += 1
        if nodes > MAX_SCHEMA_NODES:
            raise ValueError(f"holds more than {MAX_SCHEMA_NODES} parts")
        if isinstance(item, dict):
            waiting.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            waiting.extend(cast("list[Any]", item))
    return schema


Schema = Annotated[dict[str, Any], AfterValidator(_bounded_schema)]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.:-]{1,128}$")]


@_strict
class _Text(TypedDict):
    type: Literal["text"]
    text: str


@_strict
class _ImageURL(TypedDict):
    url: Annotated[str, AfterValidator(public_url)]
    detail: NotRequired[Literal["auto", "low", "high"]]


@_strict
class _Image(TypedDict):
    type: Literal["image_url"]
    image_url: _ImageURL


@_strict
class _AudioData(TypedDict):
    data: Annotated[str, AfterValidator(base64_data)]
    format: str


@_strict
class _Audio(TypedDict):
    type: Literal["input_audio"]
    input_audio: _AudioData


@_strict
class _File(TypedDict):
    type: Literal["file"]
    file: dict[str, Any]


@_strict
class _Refusal(TypedDict):
    type: Literal["refusal"]
    refusal: str


_Part = Annotated[_Text | _Image | _Audio | _File | _Refusal, Field(discriminator="type")]


def _content_kind(value: object) -> str:
    return "text" if isinstance(value, str) else "parts"


_Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[_Part], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
    Discriminator(_content_kind),
]


@_strict
class _Instruction(TypedDict):
    role: Literal["system", "developer"]
    content: _Content


@_strict
class _User(TypedDict):
    role: Literal["user"]
    content: _Content


@_strict
class _ToolCall(TypedDict):
    id: str
    type: NotRequired[str]
    function: NotRequired[dict[str, Any]]


@_strict
class _Assistant(TypedDict):
    role: Literal["assistant"]
    content: NotRequired[_Content | None]
    tool_calls: NotRequired[Annotated[list[_ToolCall], Field(max_length=MAX_TOOLS)] | None]
    function_call: NotRequired[dict[str, Any] | None]


@_strict
class _ToolResult(TypedDict):
    role: Literal["tool"]
    content: _Content
    tool_call_id: Annotated[str, Field(min_length=1)]


@_strict
class _FunctionResult(TypedDict):
    role: Literal["function"]
    name: Name
    content: str | None


Message = Annotated[
    _Instruction | _User | _Assistant | _ToolResult | _FunctionResult,
    Field(discriminator="role"),
]


@_strict
class _Function(TypedDict):
    name: Name
    description: NotRequired[str]
    parameters: NotRequired[Schema]
    strict: NotRequired[bool | None]


# Run by whoever asks: OpenAI's two kinds, and those of Anthropic's that work on the caller's own machine.
_OWN_TOOL = re.compile(r"function|custom|(bash|text_editor|computer|memory)_\d{8}")


def _run_by_the_client(kind: str) -> str:
    """A search or a program that runs at the provider is billed by the use, beside its tokens: no price, no call."""
    if not _OWN_TOOL.fullmatch(kind):
        raise ValueError("is run by the provider at a price that is not known; use function or custom tools")
    return kind


@_strict
class _Tool(TypedDict):
    type: Annotated[str, AfterValidator(_run_by_the_client)]
    function: NotRequired[_Function]


@_strict
class _JSONSchema(TypedDict):
    name: Name
    schema: NotRequired[Schema]


@_strict
class _ResponseFormat(TypedDict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NotRequired[_JSONSchema]


@_strict
class _StreamOptions(TypedDict):
    include_usage: NotRequired[bool]
    include_obfuscation: NotRequired[bool]


@_strict
class _Thinking(TypedDict):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: NotRequired[Annotated[int, Field(ge=0, le=MAX_TOKENS)]]


@_strict
class _ReasoningDial(TypedDict):
    effort: NotRequired[str | None]
    max_tokens: NotRequired[Annotated[int, Field(ge=0, le=MAX_TOKENS)] | None]
    enabled: NotRequired[bool]
    exclude: NotRequired[bool]


@_closed
class RungExtension(TypedDict):
    """Rung's own wishes, all optional; the same ones stand in `x-rung-*` headers."""

    quality: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    max_cost_usd: NotRequired[Annotated[float, Field(ge=0, le=1e6)]]
    max_reasoning_tokens: NotRequired[Annotated[int, Field(ge=0, le=MAX_TOKENS)]]
    max_latency_s: NotRequired[Annotated[float, Field(gt=0, le=1e5)]]
    min_quality: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    strategy: NotRequired[Literal["single"]]
    session_id: NotRequired[Annotated[str, Field(min_length=1, max_length=256)]]
    session_budget_usd: NotRequired[Annotated[float, Field(ge=0, le=1e6)]]
    explain: NotRequired[bool]
    cache: NotRequired[Literal["use", "exact", "semantic", "refresh", "off"]]


_Penalty = Annotated[float, Field(ge=-2, le=2)]
_TokenCap = Annotated[int, Field(ge=1, le=MAX_TOKENS)]


class ChatFields(TypedDict):
    """The fields of a chat completion request, with OpenAI's names and meanings."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    audio: NotRequired[dict[str, Any] | None]
    frequency_penalty: NotRequired[_Penalty | None]
    function_call: NotRequired[str | dict[str, Any] | None]
    functions: NotRequired[Annotated[list[_Function], Field(min_length=1, max_length=MAX_TOOLS)] | None]
    logit_bias: NotRequired[
        Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=MAX_BIASES)] | None
    ]
    logprobs: NotRequired[bool | None]
    max_completion_tokens: NotRequired[_TokenCap | None]
    max_tokens: NotRequired[_TokenCap | None]
    metadata: NotRequired[Annotated[dict[str, str], Field(max_length=MAX_METADATA)] | None]
    modalities: NotRequired[list[Literal["text", "audio"]] | None]
    n: NotRequired[Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None]
    parallel_tool_calls: NotRequired[bool | None]
    prediction: NotRequired[dict[str, Any] | None]
    presence_penalty: NotRequired[_Penalty | None]
    prompt_cache_key: NotRequired[str | None]
    prompt_cache_retention: NotRequired[str | None]
    reasoning: NotRequired[_ReasoningDial | None]
    reasoning_effort: NotRequired[Literal["none", "disable", "minimal", "low", "medium", "high", "xhigh", "max"] | None]
    response_format: NotRequired[_ResponseFormat | None]
    rung: NotRequired[RungExtension]
    safety_identifier: NotRequired[str | None]
    seed: NotRequired[Annotated[int, Field(ge=-(2**63), lt=2**63)] | None]
    service_tier: NotRequired[str | None]
    stop: NotRequired[str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None]
    store: NotRequired[bool | None]
    stream: NotRequired[bool | None]
    stream_options: NotRequired[_StreamOptions | None]
    temperature: NotRequired[Annotated[float, Field(ge=0, le=2)] | None]
    thinking: NotRequired[_Thinking | None]
    tool_choice: NotRequired[str | dict[str, Any] | None]
    tools: NotRequired[Annotated[list[_Tool], Field(max_length=MAX_TOOLS)] | None]
    top_logprobs: NotRequired[Annotated[int, Field(ge=0, le=20)] | None]
    top_p: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]
    user: NotRequired[Annotated[str, Field(max_length=512)] | None]
    verbosity: NotRequired[Literal["low", "medium", "high"] | None]
    web_search_options: NotRequired[dict[str, Any] | None]


KNOWN_FIELDS = frozenset(ChatFields.__annotations__)
chat_adapter: TypeAdapter[ChatFields] = TypeAdapter(_strict(ChatFields))


def check_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The request, checked; nulls that mean "absent" are removed.

    Raises:
        InvalidRequest: the first thing that is wrong, with `param` naming its place.
    """
    for name in body.keys() & FORBIDDEN_FIELDS:
        raise InvalidRequest(f"`{name}` is the operator's to set, not the client's; remove it.", param=name)
    try:
        checked = chat_adapter.validate_python(body)
    except ValidationError as error:
        raise as_invalid_request(error) from None
    request = {name: value for name, value in checked.items() if value is not None}
    if "web_search_options" in request:
        raise InvalidRequest(
            "`web_search_options`: a search has a price beside its tokens, which is not known; search by a tool of your"
            " own.",
            param="web_search_options",
        )
    if "stream_options" in request and not request.get("stream"):
        raise InvalidRequest("`stream_options` goes with `stream: true` only.", param="stream_options")
    if request.get("top_logprobs") is not None and not request.get("logprobs"):
        raise InvalidRequest("`top_logprobs` needs `logprobs: true`.", param="top_logprobs")
    return request


def unknown_fields(request: dict[str, Any]) -> list[str]:
    """The names of the fields that OpenAI's format does not have, in order."""
    return sorted(request.keys() - KNOWN_FIELDS)
