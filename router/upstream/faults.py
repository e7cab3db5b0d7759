"""What went wrong at a provider, as one of `router.errors`' upstream classes. Pure.

Messages name the model and the way out, and never carry a key: a provider's own words are quoted only where
    it
refuses the request itself, cut short and with anything that looks like a key struck out.
"""

from __future__ import annotations

import asyncio
import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from router.errors import (
    UpstreamCredentials,
    UpstreamError,
    UpstreamModelMissing,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamTooLong,
    UpstreamUnreachable,
)

# Enough to see what the provider objects to; not enough to carry a prompt away into somebody's log.
_QUOTE_CHARS = 300
# A provider that asks for more than an hour means "not today"; waiting is then the breaker's affair.
_MAX_RETRY_AFTER_S = 3600.0
_REFUSED = (UpstreamRejected, "refuses this request")
_BAD_KEY = (UpstreamCredentials, "refuses the key: check it, and what it may do, in the provider's console")
_OVERLOADED = (UpstreamRateLimited, "is overloaded: retry later, or add a fallback to its tier")
_LATE = (UpstreamTimeout, "timed out: retry")
# Statuses that stand for themselves; any other one is the provider's own failure.
_KINDS: Mapping[int, tuple[type[UpstreamError], str]] = {
    400: _REFUSED,
    401: _BAD_KEY,
    402: (UpstreamCredentials, "reports an account without credit: top it up"),
    403: _BAD_KEY,
    404: _REFUSED,
    405: _REFUSED,
    408: _LATE,
    409: _REFUSED,
    413: _REFUSED,
    415: _REFUSED,
    422: _REFUSED,
    424: _REFUSED,
    429: (UpstreamRateLimited, "limits the rate: retry later, or add a fallback to its tier"),
    503: _OVERLOADED,
    504: _LATE,
    529: _OVERLOADED,
}
_OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low"})
# What providers' keys look like (sk-..., AIza..., gsk_..., xai-..., hf_..., AKIA..., JWTs), and bearer
# headers.
_KEY_LIKE = re.compile(
    r"(?i)bearer\s+\S+|\b(?:sk|rk|pk|gsk|xai|hf|pplx|csk|fw|AIza|AKIA|ASIA|eyJ)[-_A-Za-z0-9.*]{8,}", re.ASCII
)


def from_status(status: int, headers: Mapping[str, str], body: bytes, model: str) -> UpstreamError:
    """The error that an answer with this status means."""
    detail = _detail(body)
    kind, words = _KINDS.get(status, (UpstreamError, "failed: retry"))
    if _code(detail) in _OUT_OF_MONEY:
        kind, words = _KINDS[HTTPStatus.PAYMENT_REQUIRED]
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        kind, words = UpstreamUnreachable, "redirects, which is not followed: set its final URL as api_base"
    message = f"the provider of {model} {words} (HTTP {status})"
    if status == HTTPStatus.NOT_FOUND and _names_the_model(detail):
        words = "does not know the model, or keeps it from our key: mend `upstream` or `api_base`"
        return UpstreamModelMissing(f"the provider of {model} {words} (HTTP {status})", upstream_status=status)
    if kind is UpstreamRejected:
        refused = UpstreamTooLong if _too_long(detail) else UpstreamRejected
        return refused(f"{message}: {quote(detail)}", upstream_status=status, param=_param(detail))
    wait = retry_after_s(headers) if kind is UpstreamRateLimited else None
    return kind(message, upstream_status=status, retry_after_s=wait)


def from_event(error: object, model: str) -> UpstreamError:
    """The error that an error object inside a 200 or a stream means; its `code` stands for the status."""
    body = orjson.dumps({"error": error}, default=str)
    return from_status(_status_of(error), {}, body, model)


def from_exception(error: BaseException, model: str) -> UpstreamError:
    """The error that a failed exchange means: no connection, a reset, a time-out."""
    if isinstance(error, UpstreamError):
        return error
    if isinstance(error, TimeoutError | asyncio.TimeoutError | aiohttp.ServerTimeoutError):
        return timeout(model)
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamUnreachable(f"no connection to the provider of {model}: check that it runs and its api_base")
    return garbage(model, f"the connection broke ({type(error).__name__})")


def timeout(model: str, what: str = "did not answer in time") -> UpstreamTimeout:
    """The provider is too slow."""
    return UpstreamTimeout(f"the provider of {model} {what}: retry, or raise its time-out")


def garbage(model: str, what: str, *, answered: bool = True) -> UpstreamUnreachable:
    """The provider's answer is not one; `what` says in words why, `answered` whether it may be billed all the same."""
    error = UpstreamUnreachable(f"the provider of {model} did not give a usable answer: {what}; retry")
    error.answered = answered
    return error


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (seconds or a date), bounded; None without them."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return _bounded(float(milliseconds) / 1000)
        value = headers.get("Retry-After") or headers.get("retry-after")
        if value is None:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
            return _bounded(float(value))
        until = email.utils.parsedate_to_datetime(value)
        return _bounded((until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def scrub(text: str) -> str:
    """The text without anything that looks like a key."""
    return _KEY_LIKE.sub("[key]", text)


def quote(detail: Mapping[str, Any]) -> str:
    """A provider's own words, short and without keys."""
    message = detail.get("message")
    words = message if isinstance(message, str) and message.strip() else "it gives no reason"
    return scrub(" ".join(words[: 4 * _QUOTE_CHARS].split()))[:_QUOTE_CHARS]


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S) if seconds == seconds else 0.0  # noqa: PLR0124 - NaN is not itself


def _detail(body: bytes) -> Mapping[str, Any]:
    """The error object of a body, in whatever shape: `{"error": {...}}`, `{"error": "..."}`, a list of it."""
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, Mapping):
        return {}
    error = parsed.get("error", parsed)
    return error if isinstance(error, Mapping) else {"message": error}


def _code(detail: Mapping[str, Any]) -> str:
    code = detail.get("code")
    return code if isinstance(code, str) else str(detail.get("type") or "")


def _names_the_model(detail: Mapping[str, Any]) -> bool:
    """Whether a 404 is about the model, or about the whole URL (which says nothing), and not about a file."""
    return not detail or "model" in str(detail.get("message", "")).lower() or _code(detail) == "model_not_found"


# OpenAI's code; what Anthropic, vLLM and Gemini say instead.
_TOO_LONG = re.compile(r"prompt is too long|maximum context length|input token count .* exceeds", re.IGNORECASE)


def _too_long(detail: Mapping[str, Any]) -> bool:
    return _code(detail) == "context_length_exceeded" or bool(_TOO_LONG.search(str(detail.get("message", ""))[:2000]))


def _param(detail: Mapping[str, Any]) -> str | None:
    param = detail.get("param")
    return param if isinstance(param, str) else None


_ERROR_STATUSES = range(400, 600)
_THREE_DIGITS = re.compile(r"\d{3}", re.ASCII)
# Error types that come without a status, in the middle of a stream: Anthropic's, OpenAI's and Gemini's words.
_STATUS_OF_TYPE = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "RESOURCE_EXHAUSTED": 429,
    "invalid_request_error": 400,
    "INVALID_ARGUMENT": 400,
    "not_found_error": 404,
    "request_too_large": 413,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "timeout_error": 504,
    "UNAVAILABLE": 503,
}


def _status_of(error: object) -> int:
    if not isinstance(error, Mapping):
        return HTTPStatus.INTERNAL_SERVER_ERROR
    for name in ("code", "status", "type"):
        value = error.get(name)
        if isinstance(value, str):
            value = _STATUS_OF_TYPE.get(value) or (int(value) if _THREE_DIGITS.fullmatch(value) else None)
        if type(value) is int and value in _ERROR_STATUSES:
            return value
    return HTTPStatus.INTERNAL_SERVER_ERROR
