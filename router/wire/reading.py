"""What Rung reads of a chat request: the query, the demand, the wishes, the cache's view. Pure functions.

The query is the last user turn and structured features of the rest, never flattened text: a long harness around
"Hi" must not look like a hard question (docs/classifier.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from classifier.types import Query, ResponseFormat
from policies.types import NANO_PER_USD, Capability, Demand, Wishes
from router.errors import InvalidRequest
from router.upstream.reasoning import ceiling
from router.wire.chat import MAX_TOKENS

# Two bytes a token: English takes four, code three, Chinese about two; only noise takes more.
BYTES_PER_TOKEN_BOUND = 2
# Role markers and separators of a message; OpenAI counts 3 to 4.
TOKENS_PER_MESSAGE = 8
# The largest tile counts of the vision models lie between 765 and 2,833 tokens for one high-detail image.
TOKENS_PER_IMAGE = 3_000
# Where nothing is reported, a picture or a sound is taken for a usual one: 1,000 tokens of four bytes.
BYTES_FOR_A_PICTURE = 4_000
# A minute of audio is about 600 to 1,900 tokens; of a long recording, its base64 says how many there can be at most:
# 8 kHz at one byte in a WAV, 8 kbit/s in everything else.
TOKENS_PER_AUDIO = 4_000
WAV_CHARS_PER_TOKEN, AUDIO_CHARS_PER_TOKEN = 320, 40

# `auto:<name>` -> the quality-cost dial.
AUTO_QUALITY = {"auto:economy": 0.2, "auto": None, "auto:quality": 0.8}
CHAT_DEFAULT_CHOICES = 1
# In a header as in the body (`router.wire.chat`).
MAX_SESSION_ID = 256

Headers = Mapping[bytes, bytes]

# The keys of the body's `rung` object as headers; `strategy` has one value so far, which is the default.
_WISHES = frozenset(
    b"x-rung-" + name
    for name in (
        *(b"quality", b"max-cost-usd", b"max-reasoning-tokens", b"max-latency-s", b"min-quality", b"session-id"),
        *(b"session-budget-usd", b"explain", b"cache", b"strategy"),
    )
)
_CACHE_MODES = frozenset({b"use", b"refresh", b"off", b"exact", b"semantic"})
_FLAGS = {b"1": True, b"true": True, b"0": False, b"false": False}


def is_auto(model: str) -> bool:
    """Whether the client lets Rung choose.

    Raises:
        InvalidRequest: `auto:` with a name that does not exist.
    """
    if model in AUTO_QUALITY:
        return True
    if model.startswith("auto:"):
        raise InvalidRequest(
            f"`model`: `{model[:100]}` does not exist; there are {', '.join(AUTO_QUALITY)}.", param="model"
        )
    return False


def query_of(request: Mapping[str, Any]) -> Query:
    """The classifier's view of a request."""
    messages = cast("list[dict[str, Any]]", request["messages"])
    last = _last_user(messages)
    content = messages[last].get("content") if last is not None else ""
    others = [m for i, m in enumerate(messages) if i != last]
    instructions = [m for m in others if m["role"] in {"system", "developer"}]
    rest = [m for m in others if m["role"] not in {"system", "developer"}]
    return Query(
        text=text_of(content),
        turns=len(messages),
        system_chars=sum(_chars(m) for m in instructions),
        context_chars=sum(_chars(m) for m in rest),
        tools=len(request.get("tools") or request.get("functions") or ()),
        images=sum(1 for part in _parts(content) if part.get("type") == "image_url"),
        response_format=_format(request),
    )


def _last_user(messages: list[dict[str, Any]]) -> int | None:
    return next((i for i in range(len(messages) - 1, -1, -1) if messages[i]["role"] == "user"), None)


def last_user_text(request: Mapping[str, Any]) -> str:
    """The text of the last user turn, or "" where there is none."""
    messages = cast("list[dict[str, Any]]", request["messages"])
    last = _last_user(messages)
    return "" if last is None else text_of(messages[last].get("content"))


def apart(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The last user turn's text and the request without it; None where that turn is more than a text."""
    messages = cast("list[dict[str, Any]]", request["messages"])
    last = _last_user(messages)
    text = None if last is None else messages[last].get("content")
    if last is None or not isinstance(text, str):
        return None
    rest = [{**message, "content": None} if at == last else message for at, message in enumerate(messages)]
    return text, {**request, "messages": rest}


def _parts(content: object) -> Sequence[dict[str, Any]]:
    return cast("list[dict[str, Any]]", content) if isinstance(content, list) else ()


def text_of(content: object) -> str:
    """The text of a message's content, its parts joined by line breaks."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in _parts(content) if part.get("type") == "text")


def _chars(message: Mapping[str, Any]) -> int:
    return len(text_of(message.get("content")))


def _format(request: Mapping[str, Any]) -> ResponseFormat:
    return cast("ResponseFormat", (request.get("response_format") or {}).get("type", "text"))


def input_tokens_bound(request: Mapping[str, Any]) -> int:
    """An upper bound of the prompt's tokens, from its bytes, its images and its tools."""
    total = TOKENS_PER_MESSAGE + _bytes_beside(request) // BYTES_PER_TOKEN_BOUND
    for message in request["messages"]:
        content = message.get("content")
        total += TOKENS_PER_MESSAGE + len(text_of(content).encode()) // BYTES_PER_TOKEN_BOUND
        for part in _parts(content):
            if part["type"] == "image_url":
                total += TOKENS_PER_IMAGE
            elif part["type"] == "input_audio":
                total += _audio_tokens(part["input_audio"])
    return total


def _audio_tokens(audio: Mapping[str, Any]) -> int:
    chars_per_token = WAV_CHARS_PER_TOKEN if audio["format"] == "wav" else AUDIO_CHARS_PER_TOKEN
    return max(TOKENS_PER_AUDIO, len(audio["data"]) // chars_per_token)


# What is counted as text or by its kind. Whatever else stands in a message is sent on too, and a model may read it:
# names, calls of tools, earlier thinking, fields that nobody has heard of.
_READ = frozenset({"role", "content"})
_READ_OF_PART = {
    "text": frozenset({"type", "text"}),
    "image_url": frozenset({"type", "image_url"}),
    "input_audio": frozenset({"type", "input_audio"}),
}
_NOTHING: frozenset[str] = frozenset()
_GIVEN = ("tools", "functions", "response_format", "prediction")


def _bytes_beside(request: Mapping[str, Any]) -> int:
    """Bytes of all that a model may be given beside text, pictures and sound."""
    total = sum(len(orjson.dumps(request[name])) for name in _GIVEN if request.get(name))
    for message in request["messages"]:
        total += _bytes_but(message, _READ)
        for part in _parts(message.get("content")):
            total += _bytes_but(part, _READ_OF_PART.get(part["type"], _NOTHING))
    return total


def _bytes_but(fields: Mapping[str, Any], read: frozenset[str]) -> int:
    if fields.keys() <= read:
        return 0
    return len(orjson.dumps({name: value for name, value in fields.items() if name not in read}))


def input_bytes(request: Mapping[str, Any]) -> int:
    """Bytes of the prompt in UTF-8, pictures as if they were text, to estimate its tokens where none are reported."""
    total = _bytes_beside(request)
    for message in request["messages"]:
        content = message.get("content")
        heard = sum(part["type"] in {"image_url", "input_audio"} for part in _parts(content))
        total += len(text_of(content).encode()) + heard * BYTES_FOR_A_PICTURE
    return total


def demand_of(request: Mapping[str, Any]) -> Demand:
    """What the request asks of a model."""
    model = str(request["model"])
    return Demand(
        input_tokens=input_tokens_bound(request),
        max_output_tokens=request.get("max_completion_tokens") or request.get("max_tokens"),
        needs=_needs(request),
        model=None if is_auto(model) else model,
        reasoning_ceiling=ceiling(request),
        choices=request.get("n", CHAT_DEFAULT_CHOICES),
    )


def _needs(request: Mapping[str, Any]) -> frozenset[Capability]:
    needs: set[Capability] = set()
    if request.get("tools") or request.get("functions"):
        needs.add(Capability.TOOLS)
    if request.get("logprobs"):
        needs.add(Capability.LOGPROBS)
    if request.get("n", 1) > 1:
        needs.add(Capability.MULTIPLE_CHOICES)
    if "audio" in (request.get("modalities") or ()):
        needs.add(Capability.AUDIO)
    needs |= {"json_object": {Capability.JSON_OBJECT}, "json_schema": {Capability.JSON_SCHEMA}}.get(
        _format(request), set()
    )
    for message in request["messages"]:
        for part in _parts(message.get("content")):
            if part["type"] == "image_url":
                needs.add(Capability.VISION)
            elif part["type"] == "input_audio":
                needs.add(Capability.AUDIO)
    return frozenset(needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """Rung's own wishes, from the body's `rung` object and the `x-rung-*` headers; the body wins.

    Attributes:
        quality, max_cost_usd, max_reasoning_tokens, max_latency_s, min_quality: see `policies.types.Wishes`.
        session_id: groups requests of one conversation. session_budget_usd: what they may cost together.
        explain: put the receipt into the reply.
        cache: `use`, `exact` (equal questions only), `semantic` (see `router.service.semantics`), `refresh` (do not
            read, but write) or `off`.
    """

    quality: float | None = None
    max_cost_usd: float | None = None
    max_reasoning_tokens: int | None = None
    max_latency_s: float | None = None
    min_quality: float | None = None
    session_id: str | None = None
    session_budget_usd: float | None = None
    explain: bool = False
    cache: str = "use"


def extensions_of(request: Mapping[str, Any], headers: Headers) -> Extensions:
    """Read Rung's wishes.

    Raises:
        InvalidRequest: a header that is not of the form that the same key takes in the body.
    """
    if not (request.keys() & _WISHING_FIELDS or headers.keys() & _WISHING_HEADERS or _names_ours(headers)):
        return NO_WISHES
    _refuse_unknown(headers)
    body = cast("dict[str, Any]", request.get("rung") or {})
    session = body.get("session_id") or _text_header(headers, b"x-rung-session-id")
    session = session or _text_header(headers, b"x-session-id")
    metadata = cast("dict[str, str]", request.get("metadata") or {})
    return Extensions(
        quality=body.get("quality", _number_header(headers, b"x-rung-quality", 1.0)),
        max_cost_usd=body.get("max_cost_usd", _number_header(headers, b"x-rung-max-cost-usd", 1e6)),
        max_reasoning_tokens=body.get(
            "max_reasoning_tokens", _int_header(headers, b"x-rung-max-reasoning-tokens", MAX_TOKENS)
        ),
        max_latency_s=body.get("max_latency_s", _number_header(headers, b"x-rung-max-latency-s", 1e5)),
        min_quality=body.get("min_quality", _number_header(headers, b"x-rung-min-quality", 1.0)),
        session_id=session or metadata.get("session_id"),
        session_budget_usd=body.get("session_budget_usd", _number_header(headers, b"x-rung-session-budget-usd", 1e6)),
        explain=body.get("explain", _flag_header(headers, b"x-rung-explain")),
        cache=body.get("cache", _cache_header(headers)),
    )


NO_WISHES = Extensions()
_WISHING_FIELDS = frozenset({"rung", "metadata"})
_SAID_ONCE = frozenset({b"idempotency-key", b"x-session-id"})
_WISHING_HEADERS = frozenset({b"x-session-id", b"cache-control"})


def _names_ours(headers: Headers) -> bool:
    return any(name.startswith(b"x-rung-") for name in headers)


def _refuse_unknown(headers: Headers) -> None:
    """A wish with a typing mistake must not be taken for none."""
    for name in headers:
        if name == b"x-rung-strategy" and headers[name] != b"single":
            raise InvalidRequest("`x-rung-strategy` must be single.", param="x-rung-strategy")
        if name.startswith(b"x-rung-") and name not in _WISHES:
            shown = name.decode("latin-1")[:100]
            known = ", ".join(sorted(wish.decode() for wish in _WISHES))
            raise InvalidRequest(f"`{shown}` is not a header that Rung knows; there are {known}.", param=shown)


def _text_header(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    if value and len(value) > MAX_SESSION_ID:
        raise InvalidRequest(f"`{name.decode()}` must have at most {MAX_SESSION_ID} characters.", param=name.decode())
    return value.decode("latin-1") if value else None


def headers_of(raw: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name. Raises InvalidRequest where a wish is said twice: nobody could tell which one counts."""
    headers = dict(raw)
    if len(headers) != len(raw):
        names = [name for name, _ in raw]
        for name in headers:
            if (name.startswith(b"x-rung-") or name in _SAID_ONCE) and names.count(name) > 1:
                shown = name.decode("latin-1")[:100]
                raise InvalidRequest(f"`{shown}` was sent more than once; send it once.", param=shown)
    return headers


def _number_header(headers: Headers, name: bytes, maximum: float) -> float | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= maximum:
        raise InvalidRequest(f"`{name.decode()}` must be a number from 0 to {maximum:g}.", param=name.decode())
    return number


def _int_header(headers: Headers, name: bytes, maximum: int) -> int | None:
    number = _number_header(headers, name, maximum)
    if number is not None and not number.is_integer():
        raise InvalidRequest(f"`{name.decode()}` must be a whole number from 0 to {maximum}.", param=name.decode())
    return None if number is None else int(number)


def _flag_header(headers: Headers, name: bytes) -> bool:
    value = headers.get(name, b"false").strip().lower()
    if value not in _FLAGS:
        raise InvalidRequest(f"`{name.decode()}` must be true or false.", param=name.decode())
    return _FLAGS[value]


def _cache_header(headers: Headers) -> str:
    """Rung's own header, else `Cache-Control` (RFC 9111): `no-store` keeps nothing, `no-cache` asks afresh."""
    named = headers.get(b"x-rung-cache")
    if named is not None:
        if named not in _CACHE_MODES:
            raise InvalidRequest("`x-rung-cache` must be use, exact, semantic, refresh or off.", param="x-rung-cache")
        return named.decode()
    directives = headers.get(b"cache-control", b"").lower()
    if b"no-store" in directives:
        return "off"
    return "refresh" if b"no-cache" in directives else "use"


def wishes_of(
    request: Mapping[str, Any],
    extensions: Extensions,
    *,
    default_quality: float,
    allow: frozenset[str] | None,
    deny: frozenset[str] = frozenset(),
) -> Wishes:
    """The caller's wishes within what the tenant allows.

    Args:
        default_quality: the dial of the tenant or of the configuration, where the caller turns none.
        allow: model ids that the key may use, or None for all. deny: model ids that cannot take the request.
    """
    dial = AUTO_QUALITY.get(str(request["model"]))
    named = extensions.quality if extensions.quality is not None else dial
    cost = extensions.max_cost_usd
    return Wishes(
        quality=default_quality if named is None else named,
        max_cost_nano=None if cost is None else round(cost * NANO_PER_USD),
        max_reasoning_tokens=extensions.max_reasoning_tokens,
        max_latency_s=extensions.max_latency_s,
        min_quality=extensions.min_quality,
        allow=allow,
        deny=deny,
        explore=1.0,  # the caller leaves it to the tenant's policy
    )


# What does not change the answer, and so does not belong into its key.
_NOT_IN_KEY = frozenset({"stream", "stream_options", "user", "metadata", "store", "safety_identifier", "rung"})


def cacheable(request: Mapping[str, Any], unknown: list[str], max_temperature: float) -> bool:
    """Whether an equal request may get this one's answer: one choice, no tools, modest temperature, nothing unknown."""
    return not (
        unknown
        or request.get("tools")
        or request.get("functions")
        or request.get("n", 1) != 1
        or request.get("temperature", 1.0) > max_temperature
        or "audio" in (request.get("modalities") or ())
        or request.get("web_search_options")
    )


def canonical(request: Mapping[str, Any], wishes: Wishes, catalog_version: str) -> bytes:
    """Canonical JSON of everything that decides the answer: equal bytes, equal question."""
    content = {name: value for name, value in request.items() if name not in _NOT_IN_KEY}
    ceilings = [wishes.quality, wishes.max_cost_nano, wishes.max_reasoning_tokens, wishes.max_latency_s]
    allowed = None if wishes.allow is None else sorted(wishes.allow)
    others = [wishes.min_quality, sorted(wishes.deny), sorted(wishes.require_tags)]
    return orjson.dumps([catalog_version, allowed, ceilings, others, content], option=orjson.OPT_SORT_KEYS)
