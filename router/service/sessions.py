"""The session that a request belongs to: its name, what its state and the request say of it, and what is kept of it.

A session has a name that the client gives it, or, where the operator wants it, one that is read off the beginning of
the conversation. Its state lies in the store for a while after its last call; it rides along the request's own trips.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import orjson

from policies.session import Session, served, stepped
from router.upstream.types import Usage
from router.wire.reading import last_user_text, text_of

# A user who repeats less than a sentence ("continue", "yes, do it") is not one who was not understood.
LEAST_REPEATED = 20
# Tokens of visible answer beside thinking: less than a sentence is none.
STARVED_TOKENS = 16
_ERROR = re.compile(r"\s*(?:error|exception|traceback|fatal|failed)\b", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Sitting:
    """A session during one request.

    Attributes:
        state: the session as this request finds it.
        taken_nano: what was counted as spent for this request, nano-dollars.
    """

    state: Session
    taken_nano: int = 0


def name_of(pepper: bytes, key_id: str, session_id: str | None, request: Mapping[str, Any]) -> str:
    """The session's name in the store: of what the client calls it, or of the beginning of the conversation.

    A name is a hash: what clients call their sessions, and what conversations begin with, stay out of the store.
    """
    said = f"n {session_id}" if session_id is not None else f"d {key_id} {_beginning(request)}"
    return hmac.digest(pepper, said.encode("utf-8", "surrogatepass"), "sha256")[:16].hex()


def _beginning(request: Mapping[str, Any]) -> str:
    """Instructions and the first user turn: what all requests of a conversation have in common."""
    messages = cast("list[dict[str, Any]]", request["messages"])
    end = next((i for i, message in enumerate(messages) if message["role"] == "user"), len(messages) - 1)
    return "\x1f".join(f"{message['role']} {text_of(message.get('content'))}" for message in messages[: end + 1])


def entered(stored: bytes, spent_nano: int, budget_nano: int | None, request: Mapping[str, Any]) -> Session:
    """The session as this request finds it."""
    state = replace(_load(stored), budget_nano=budget_nano, spent_nano=spent_nano)
    asked = _mark(last_user_text(request))
    return stepped(state, asked=asked, failed=_failed(state, asked, request))


def _failed(state: Session, asked: str, request: Mapping[str, Any]) -> bool | None:
    """What the request says of the step before: its tools failed, or its user asks the very same again."""
    messages = cast("list[dict[str, Any]]", request["messages"])
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] not in {"tool", "function"}:
            break
        results.append(text_of(message.get("content")))
    if results:
        return any(map(_is_error, results))
    if messages[-1]["role"] != "user" or not state.asked:
        return None
    return bool(asked) and asked == state.asked


def _is_error(result: str) -> bool:
    """Whether a tool's result tells of an error: by its first word, or by OpenAI's and MCP's own fields."""
    if _ERROR.match(result):
        return True
    if not result.lstrip().startswith("{"):
        return False
    try:
        told = orjson.loads(result)
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and bool(told.get("error") or told.get("is_error") or told.get("isError"))


def _mark(text: str) -> str:
    """Equal for equal turns; "" for one that says too little to be a repetition."""
    words = text.strip()
    if len(words) < LEAST_REPEATED:
        return ""
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def left(state: Session, model: str, usage: Usage, finish: str | None, now_s: float) -> bytes:
    """The session as it is kept after an answer."""
    output = usage.output or 0
    starved = finish == "length" and bool(usage.reasoning) and output - (usage.reasoning or 0) < STARVED_TOKENS
    after = served(
        state,
        model,
        input_tokens=usage.input or 0,
        cached_read=usage.cached_read,
        starved=starved,
        now_s=now_s,
    )
    return dump(after)


def dump(state: Session) -> bytes:
    """As bytes for the store; money is counted there apart."""
    kept = {name: value for name, value in asdict(state).items() if name not in {"budget_nano", "spent_nano"}}
    return orjson.dumps(kept, default=sorted)


def _load(stored: bytes) -> Session:
    if not stored:
        return Session()
    kept: dict[str, Any] = orjson.loads(stored)
    cached = {model: (int(tokens), float(since)) for model, (tokens, since) in kept.pop("cached").items()}
    uncached: frozenset[str] = frozenset(kept.pop("uncached"))
    return Session(cached=cached, uncached=uncached, **kept)
