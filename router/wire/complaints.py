"""Pydantic's complaints in OpenAI's words: what is wrong, and `param` for where, as the client wrote it."""

from __future__ import annotations

from pydantic import ValidationError

from router.errors import InvalidRequest

_PYDANTIC_TAGS = frozenset(
    {
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "function",
        "text",
        "parts",
        "image_url",
        "input_audio",
    }
)


def as_invalid_request(error: ValidationError) -> InvalidRequest:
    """Pydantic's first complaint in OpenAI's words: `messages[0].content: ...`."""
    first = error.errors(include_url=False, include_context=True)[0]
    param = _path(first["loc"])
    kind = first["type"]
    if kind == "missing":
        message = f"`{param}` is missing."
    elif kind == "extra_forbidden":
        message = f"`{param}` is not a field that Rung knows; remove it or mend its spelling."
    elif kind == "too_short" and first.get("ctx", {}).get("min_length") == 1:
        message = f"`{param}` must not be empty."
    elif kind.startswith("union_tag"):
        tag = "role" if param.startswith("messages[") and param.endswith("]") and ".content" not in param else "type"
        param = f"{param}.{tag}"
        message = f"`{param}` is missing or not one of those that are known."
    else:
        message = f"`{param}`: {first['msg'].removeprefix('Value error, ')}."
    return InvalidRequest(message, param=param)


def _path(location: tuple[int | str, ...]) -> str:
    """`('messages', 0, 'user', 'content', 'text')` -> `messages[0].content`: union tags are not the client's words."""
    parts: list[str] = []
    previous: int | str = ""
    for part in location:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif not _is_tag(part, previous):
            parts.append(f".{part}" if parts else part)
        previous = part
    return "".join(parts)


def _is_tag(part: str, previous: int | str) -> bool:
    after_list_item = isinstance(previous, int) and part in _PYDANTIC_TAGS
    after_content = previous == "content" and part in {"text", "parts"}
    union_member = "[" in part or part in {"str", "list", "dict", "function-after", "float", "int", "bool"}
    return after_list_item or after_content or union_member
