"""What can be seen of an answer itself: JSON that is none, arguments of tool calls that do not fit. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

# How refusals begin, in the words of the models that are in use. What merely contains such words is no refusal.
_REFUSALS = (
    "i can't help with", "i cannot help with", "i can't assist with", "i cannot assist with", "i'm sorry, but i can't",
    "i'm sorry, but i cannot", "i am sorry, but i cannot", "i won't be able to help with", "i'm unable to help with",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Said:
    """An answer, of one choice. `calls`: (tool, arguments as they came)."""

    text: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    finish: str | None = None


def read_completion(body: bytes) -> Said | None:
    """The first choice of a whole answer, or None where it is none that can be read."""
    try:
        choice = orjson.loads(body)["choices"][0]
        message = choice["message"]
        functions = [call["function"] for call in message.get("tool_calls") or ()]
        calls = [(str(one["name"]), str(one["arguments"])) for one in functions]
        return Said(text=_text(message.get("content")), calls=calls, finish=choice.get("finish_reason"))
    except (orjson.JSONDecodeError, AttributeError, KeyError, IndexError, TypeError):
        return None


def read_stream(frames: bytes) -> Said | None:
    """Likewise of a stream's frames."""
    said, calls = Said(), cast("dict[int, list[str]]", {})
    try:
        for choice in _first_choices(frames):
            delta = choice.get("delta") or {}
            said.text += _text(delta.get("content"))
            said.finish = choice.get("finish_reason") or said.finish
            for call in delta.get("tool_calls") or ():
                known = calls.setdefault(call.get("index", 0), ["", ""])
                known[0] += call.get("function", {}).get("name") or ""
                known[1] += call.get("function", {}).get("arguments") or ""
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        return None
    said.calls = [(name, arguments) for name, arguments in calls.values()]
    return said


def _first_choices(frames: bytes) -> Iterator[dict[str, Any]]:
    for event in frames.split(b"\n\n"):
        if event.startswith(b"data: {"):
            for choice in orjson.loads(event[6:]).get("choices") or ():
                if choice.get("index", 0) == 0:
                    yield choice


def _text(content: object) -> str:
    return content if isinstance(content, str) else ""


def faults(request: Mapping[str, Any], said: Said) -> Iterator[str]:
    """What is wrong with an answer, in the words of `implicit.<what>`."""
    if said.finish == "length":
        return  # cut off: the record says so already
    kind = (request.get("response_format") or {}).get("type", "text")
    if kind != "text" and not said.calls and not _is_json(said.text):
        yield "json_invalid"
    offered = {tool["function"]["name"]: tool["function"] for tool in _functions(request)}
    if offered and any(not _call_fits(offered, name, arguments) for name, arguments in said.calls):
        yield "tool_call_invalid"
    if said.text.lstrip().lower().replace("\u2019", "'").startswith(_REFUSALS):
        yield "refused"


def _functions(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    tools = cast("Sequence[dict[str, Any]]", request.get("tools") or ())
    return [tool for tool in tools if tool.get("type", "function") == "function" and "function" in tool]


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _call_fits(offered: Mapping[str, Mapping[str, Any]], name: str, arguments: str) -> bool:
    """Whether a call names an offered tool, with JSON that has what the tool requires and nothing of a wrong type."""
    if name not in offered:
        return False
    try:
        given = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return False
    schema = offered[name].get("parameters") or {}
    if not isinstance(given, dict):
        return False
    known = cast("dict[str, Any]", given)
    properties = cast("Mapping[str, Any]", schema.get("properties") or {})
    if any(required not in known for required in schema.get("required") or ()):
        return False
    return all(_type_fits(value, properties.get(field_name)) for field_name, value in known.items())


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _type_fits(value: object, schema: object) -> bool:
    """Whether a value is of the one type that its schema names; what the schema says otherwise is not judged here."""
    kind = cast("dict[str, Any]", schema).get("type") if isinstance(schema, dict) else None
    if not isinstance(kind, str) or kind not in _TYPES:
        return True
    if isinstance(value, bool) and kind in {"integer", "number"}:
        return False
    return isinstance(value, _TYPES[kind])
