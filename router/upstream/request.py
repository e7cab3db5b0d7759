"""One call as an HTTP request: LiteLLM's configuration says how, and nothing of a client's is lost silently.

What does not change between two calls of a model (its configuration, URL and headers) is worked out once, in
`Wire`. These configurations are LiteLLM's inside; the golden bodies in tests/golden/upstream speak when an
upgrade moves one.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from router.errors import UpstreamCredentials, UpstreamRejected
from router.upstream import engine, faults, pricing, reasoning
from router.upstream.media import refuse_fetching
from router.upstream.types import Granted, UpstreamCall, UpstreamModel

# Whose answers are OpenAI's format byte by byte: their answers are relayed, not translated.
RELAYED = frozenset(
    {
        "openai",
        "hosted_vllm",
        "groq",
        "deepseek",
        "mistral",
        "openrouter",
        "xai",
        "together_ai",
        "fireworks_ai",
        "cerebras",
        "perplexity",
        "dashscope",
        "lm_studio",
        "llamafile",
        "nvidia_nim",
        "sambanova",
        "moonshot",
        "nebius",
        "deepinfra",
        "litellm_proxy",
        "local",
    }
)
# Whose answers LiteLLM's configuration translates, over our own connection.
TRANSLATED = frozenset({"anthropic"})

# Fields of a request that are no parameters of the model's: the call says them itself.
_OWN = frozenset({"model", "messages", "stream", "stream_options", "rung", "max_tokens", "max_completion_tokens"})
# They do not change what is asked for, so a provider that does not take them can still serve: noted, not
# silent.
_YIELDING = frozenset(
    {
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "temperature",
        "top_p",
        "seed",
        "store",
    }
)
_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
# LiteLLM would ask the environment for these (OPENAI_BASE_URL, ANTHROPIC_BASE_URL). There stands Rung's own
# URL as soon as somebody follows our README in the same shell, and Rung would call itself.
_BASES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
_MESSAGES_PATH = "/v1/messages"
# Other tiers of service cost more or less than the list price, and only that is known.
_PRICED_SERVICE_TIERS = frozenset({"auto", "default"})

# Questions to LiteLLM's map that gpt-5's configuration asks anew for every request: 0.1 ms for the same
# answer.
_ASKED_AT_EVERY_CALL = frozenset(
    {
        "_supports_reasoning_effort_level",
        "refuses_reasoning_effort_level",
        "_should_preserve_cache_control_for_endpoint",
    }
)
# Where LiteLLM's Anthropic configuration leaves the way back to tool names that Anthropic would have refused.
_TOOL_NAMES = "_anthropic_tool_name_map"


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Outbound:
    """A request ready to be sent, and what became of the allowance in it."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    granted: Granted
    json_mode: bool = False
    tool_names: dict[str, str] | None = None


def takes_own_transport(model: UpstreamModel) -> bool:
    """Whether this model is called over our own connection; the others go through LiteLLM."""
    return model.provider in RELAYED | TRANSLATED


def parameters(call: UpstreamCall, supported: frozenset[str]) -> tuple[dict[str, Any], Granted]:
    """The client's parameters that this model takes, and what became of the allowance.

    A parameter that the model does not take is refused by name, or, where it cannot change the answer, noted.
    Raises UpstreamRejected.
    """
    granted = reasoning.grant(
        call.model.reasoning,
        allowance=call.allowance,
        max_tokens=call.max_tokens,
        max_output=call.model.max_output,
        body=call.body,
    )
    kept: dict[str, Any] = {}
    notes = list(granted.notes)
    omit = granted.omit | _either_or(call)
    for name, value in call.body.items():
        if name in _OWN or value is None or (name in reasoning.DIALS and name not in call.model.extra_params):
            continue
        if name == "service_tier" and value not in _PRICED_SERVICE_TIERS:
            raise UpstreamRejected(
                "service_tier must be auto or default: the price of another one is not known", param=name
            )
        if name in omit:
            if not (name == "temperature" and value == 1):
                notes.append(f"{name} left at its default: the model does not take it with the rest of this")
        elif name in supported or name in call.model.extra_params:
            kept[name] = value
        elif name in _YIELDING:
            notes.append(f"{name} not sent: the model does not take it")
        elif not _says_nothing(name, value):
            raise UpstreamRejected(
                f"{call.model.name} does not take {name!r}: leave it out, or let another model serve",
                param=name,
            )
    return kept, _with_notes(granted, tuple(notes))


def _either_or(call: UpstreamCall) -> frozenset[str]:
    """Claude takes a temperature or a top_p, and answers 400 to both."""
    both = call.body.get("temperature") is not None and call.body.get("top_p") is not None
    return frozenset({"top_p"}) if both and "claude" in call.model.name else frozenset()


def usable(model: UpstreamModel, by_litellm: Iterable[str]) -> frozenset[str]:
    """The parameters that the model takes: those that LiteLLM names, less those that do not arrive."""
    refused = _SAMPLING if not pricing.takes_sampling(model.name) else frozenset[str]()
    return frozenset(by_litellm) - refused - _swallowed(model)


def _swallowed(model: UpstreamModel) -> frozenset[str]:
    """What LiteLLM says that the model takes, and then leaves out without a word."""
    name = model.name
    if "nova" in name or model.provider == "gemini":
        penalties = _PENALTIES if model.reasoning.family == "gemini-level" else frozenset[str]()
        return frozenset({"parallel_tool_calls"}) | penalties
    return frozenset()


def unsupported(model: UpstreamModel, body: Mapping[str, Any], supported: frozenset[str]) -> tuple[str, ...]:
    """The request's parameters that `parameters` would refuse for this model."""
    known = _OWN | _YIELDING | reasoning.DIALS | supported | model.extra_params
    return tuple(
        name
        for name, value in body.items()
        if name not in known and value is not None and not _says_nothing(name, value)
    )


def _says_nothing(name: str, value: object) -> bool:
    """Whether the value is what the model does anyway, so that leaving it out changes nothing."""
    return value in ({}, []) or (name, value) in (
        ("n", 1),
        ("logprobs", False),
        ("parallel_tool_calls", True),
    )


def _with_notes(granted: Granted, notes: tuple[str, ...]) -> Granted:
    if notes == granted.notes:
        return granted
    return Granted(
        tokens=granted.tokens,
        hard=granted.hard,
        max_tokens=granted.max_tokens,
        params=granted.params,
        extra=granted.extra,
        notes=notes,
        omit=granted.omit,
    )


class Wire:
    """How one model is called: LiteLLM's configuration for it, and what can be kept between calls."""

    def __init__(self, model: UpstreamModel) -> None:
        """Look the provider up in LiteLLM. Raises ValueError for a name that LiteLLM does not know."""
        litellm = engine.load()
        from litellm.types.utils import LlmProviders
        from litellm.utils import ProviderConfigManager

        key = model.api_key.get_secret_value() if model.api_key else None
        base = model.api_base or _BASES.get(model.provider)
        # LiteLLM knows nothing of the bundled model, whose server speaks OpenAI's format.
        known_as = f"openai{model.name.removeprefix('local')}" if model.provider == "local" else model.name
        try:
            name, provider, key, base = litellm.get_llm_provider(known_as, api_base=base, api_key=key)
            config = ProviderConfigManager.get_provider_chat_config(name, LlmProviders(provider))
        except (litellm.exceptions.BadRequestError, ValueError) as error:
            msg = f"LiteLLM knows no provider for {model.name!r}: write it as provider/model"
            raise ValueError(msg) from error
        if provider == "anthropic" and not base.endswith(_MESSAGES_PATH):
            base = base.rstrip("/") + _MESSAGES_PATH
        if config is None:
            msg = f"LiteLLM has no chat configuration for {model.name!r}: check the provider's name"
            raise ValueError(msg)
        self.model = model
        self.name: str = name
        self.provider: str = provider
        self.supported = usable(model, config.get_supported_openai_params(name))
        # A copy of our own, because some are shared, and because asking LiteLLM's map for the supported
        # parameters at every call would cost more than everything else together.
        self.config: Any = copy.copy(config)
        self.config.get_supported_openai_params = self._supported_params
        for pure in _ASKED_AT_EVERY_CALL & set(dir(config)):
            setattr(self.config, pure, functools.cache(getattr(config, pure)))
        self._key = key
        self._base = base
        self._at_openai = model.provider == "openai" and model.api_base is None
        self._no_key = litellm.exceptions.AuthenticationError
        self._refusals = (litellm.exceptions.BadRequestError, litellm.UnsupportedParamsError, ValueError)
        self.litellm_params = {"custom_llm_provider": provider, "api_base": base, **dict(model.options)}

    def _supported_params(self, model: str) -> list[str]:  # noqa: ARG002 - LiteLLM's signature
        return list(self.supported)

    def build(self, call: UpstreamCall) -> Outbound:
        """The request of this call. Raises UpstreamRejected for what the model cannot take."""
        refuse_fetching(call, provider_fetches=True)
        params, granted = parameters(call, self.supported)
        try:
            return self._build(call, params, granted)
        except self._no_key as error:
            raise UpstreamCredentials(
                f"there is no key for {self.model.name}: set its provider's variable or its api_key"
            ) from error
        except self._refusals as error:
            raise UpstreamRejected(
                f"{self.model.name} cannot be asked this: {faults.quote({'message': str(error)})}"
            ) from None

    def _build(self, call: UpstreamCall, params: dict[str, Any], granted: Granted) -> Outbound:
        messages = [_own(message) for message in call.body["messages"]]
        own = {name: value for name, value in (params | dict(granted.params)).items() if name in self.supported}
        # OpenAI's newer name is not known to everybody who speaks its format, and a cap that is ignored is
        # none.
        cap = "max_completion_tokens" if self._at_openai else "max_tokens"
        optional = self.config.map_openai_params(own | {cap: granted.max_tokens}, {}, self.name, drop_params=False)
        json_mode = bool(optional.pop("json_mode", False))
        litellm_params: dict[str, Any] = dict(self.litellm_params)
        headers = self.config.validate_environment(
            headers={},
            model=self.name,
            messages=messages,
            optional_params=optional,
            litellm_params=litellm_params,
            api_key=self._key,
            api_base=self._base,
        )
        url = self.config.get_complete_url(
            api_base=self._base,
            api_key=self._key,
            model=self.name,
            optional_params=optional,
            litellm_params=litellm_params,
            stream=call.stream,
        )
        # What LiteLLM does not know of this model would vanish in its mapping: it goes into the body as it
        # is.
        extra = {name: value for name, value in (params | dict(granted.params)).items() if name not in self.supported}
        extra |= optional.pop("extra_body", None) or {}
        if call.stream:
            optional |= {"stream": True}
            if self.provider in RELAYED:
                optional |= {"stream_options": {"include_usage": True}}
        body = self.config.transform_request(self.name, messages, optional, litellm_params, headers)
        body = _merged(_merged(body, extra), granted.extra)
        return Outbound(
            url=url,
            headers=headers,
            body=orjson.dumps(body),
            granted=granted,
            json_mode=json_mode,
            tool_names=litellm_params.get(_TOOL_NAMES),
        )


def _own(message: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that LiteLLM may change; text alone, which is most of it, needs no deep one."""
    if all(isinstance(value, str) for value in message.values()):
        return dict(message)
    return copy.deepcopy(dict(message))


def _merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The body with more fields; objects on both sides are joined, and the newcomer's word counts."""
    for name, value in extra.items():
        old = body.get(name)
        body[name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    return body
