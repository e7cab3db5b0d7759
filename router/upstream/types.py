"""What goes into one upstream call and what comes out of it. Values only: no I/O, no LiteLLM.

Money does not appear here: a `Usage` is in tokens, and `policies.cost` prices it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from policies.types import Reasoning

# A provider that sends nothing for this long in the middle of a stream is taken for dead. Reasoning models
# that hide their thinking send nothing until they answer, so the first chunk is bounded by `timeout_s` alone.
DEFAULT_STALL_S = 60.0
# The providers' own clients wait ten minutes; a gateway in front of them must not be more impatient by
# default.
DEFAULT_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamModel:
    """One model as it is called: all of it the operator's, and nothing that comes from a client.

    Attributes:
        name: LiteLLM's name with its provider, for example `openai/gpt-5-mini`.
        api_base: the provider's URL where it is not the provider's default, for example
            `http://127.0.0.1:8000/v1`.
        api_key: the provider's key, masked in every repr. None: taken by LiteLLM from the provider's own
            variable.
        reasoning: the thinking dial that the model takes.
        max_output: the most tokens that the model produces in one call, thinking included, or None where
            unknown.
        extra_params: names of non-standard request parameters that are passed on to this model.
        timeout_s: seconds for a whole answer or a stream's first frame, after which another model has its turn; None:
            as long as the request may take.
        options: LiteLLM's provider settings (`aws_region_name`, `vertex_project`, `api_version`), as sorted
            pairs.
        alias: what its answers call it in their `model`; "": what the provider calls it.
    """

    name: str
    api_base: str | None = None
    api_key: SecretStr | None = None
    reasoning: Reasoning = field(default_factory=Reasoning)
    max_output: int | None = None
    extra_params: frozenset[str] = frozenset()
    options: tuple[tuple[str, str], ...] = ()
    timeout_s: float | None = None
    alias: str = ""

    @property
    def provider(self) -> str:
        """The part of the name before the first slash, for example `openai`."""
        return self.name.partition("/")[0]


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class UpstreamCall:
    """One attempt. It makes exactly one HTTP request: whoever wants another one makes another call.

    Attributes:
        model: whom to call.
        body: the client's request in OpenAI's chat format, validated. `model`, `stream`, `stream_options` and
            `rung` are ignored in it; its own dials (`reasoning_effort`, `thinking`, `reasoning`) only lower
            the allowance.
        allowance: reasoning tokens granted; 0 asks for no thinking.
        max_tokens: cap on everything that is produced, thinking included; always sent.
        stream: whether the answer is wanted as server-sent events.
        timeout_s: seconds for the whole call.
        stall_s: seconds that may pass between two chunks of a stream.
    """

    model: UpstreamModel
    body: Mapping[str, Any]
    max_tokens: int
    allowance: int = 0
    stream: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    stall_s: float = DEFAULT_STALL_S


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Granted:
    """What became of an allowance on the wire.

    Attributes:
        params: the provider parameters that carry it, in LiteLLM's vocabulary: LiteLLM translates them.
        extra: the ones that LiteLLM does not know, and that stand in the provider's body as they are.
        tokens: the reasoning tokens that the parameters stand for, after rounding to what the model takes.
        hard: whether the provider enforces `tokens`. Otherwise it is advisory, and `max_tokens` is the only
            cap.
        max_tokens: the cap on everything produced, as sent.
        notes: roundings and other differences from what was asked, in words, for the receipt.
        omit: names of the client's parameters that this dial forbids, and that must stay at their default.
    """

    tokens: int
    hard: bool
    max_tokens: int
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()
    omit: frozenset[str] = frozenset()


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Usage:
    """Tokens of one call, as the provider reported them. None means "not reported", which is not zero.

    The parts lie inside their totals: `input` holds `cached_read` and `cached_write`, and `output` holds
        `reasoning`,
    whatever the provider's own habit is. So nothing has to be added, and nothing is left out.

    Attributes:
        input: all prompt tokens. cached_read, cached_write: those of them read from and written to the
            provider's cache.
        output: all tokens produced, thinking included. reasoning: those of them spent on thinking.
    """

    input: int | None = None
    cached_read: int | None = None
    cached_write: int | None = None
    output: int | None = None
    reasoning: int | None = None

    @property
    def reported(self) -> bool:
        """Whether the provider gave enough to bill by: both input and output."""
        return self.input is not None and self.output is not None

    def as_openai(self) -> dict[str, Any]:
        """The `usage` object of OpenAI's chat format; what was not reported is left out."""
        wire: dict[str, Any] = {"prompt_tokens": self.input or 0, "completion_tokens": self.output or 0}
        wire["total_tokens"] = wire["prompt_tokens"] + wire["completion_tokens"]
        if self.cached_read is not None:
            wire["prompt_tokens_details"] = {"cached_tokens": self.cached_read}
        if self.reasoning is not None:
            wire["completion_tokens_details"] = {"reasoning_tokens": self.reasoning}
        return wire


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class UpstreamReply:
    """A whole answer, in OpenAI's chat format.

    Attributes:
        status: the provider's HTTP status (a reply exists only for 2xx; everything else is raised).
        body: the JSON bytes of a `chat.completion`.
        usage: what the provider reported.
        finish_reason: of the first choice.
        model: the model that the provider says it served.
        granted: what became of the allowance.
        empty: whether no choice has any text, tool call, refusal or audio; with `finish_reason` "length" that
            is starvation: thinking ate the budget.
        output_bytes: of text, thinking and tool calls produced, in UTF-8, to estimate by where `usage` is
            not reported.
        request_id: the provider's own id of the request, for support.
    """

    status: int
    body: bytes
    usage: Usage
    finish_reason: str | None
    model: str | None
    granted: Granted
    empty: bool = False
    output_bytes: int = 0
    request_id: str | None = None

    @property
    def starved(self) -> bool:
        """Whether thinking ate the whole budget and left no answer."""
        return self.empty and self.finish_reason == "length"
