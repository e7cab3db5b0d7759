"""Nobody makes this machine fetch a URL by writing it into a message.

Some of LiteLLM's configurations download pictures and documents themselves, from wherever a client says: the
metadata service of a cloud, a neighbour on the same network. A URL may only pass where it is the provider
that fetches it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from router.errors import UpstreamRejected
from router.upstream.types import UpstreamCall

_REMOTE = ("http://", "https://", "www.", "gs://", "s3://", "file:")


def refuse_fetching(call: UpstreamCall, *, provider_fetches: bool) -> None:
    """Raise UpstreamRejected where LiteLLM would fetch something that the client names.

    `provider_fetches`: pictures' https URLs go on to the provider as they are. A document's URL never does.
    """
    for kind, url in _urls(call.body.get("messages") or ()):
        passed_on = provider_fetches and kind == "image_url" and url.startswith("https://")
        if url.strip().lower().startswith(_REMOTE) and not passed_on:
            raise UpstreamRejected(
                f"{call.model.name} cannot be sent a URL as {kind}: send the content itself, as a data: URL",
                param="messages",
            )


def _urls(messages: object) -> Iterator[tuple[str, str]]:
    """Every place of the messages that LiteLLM might take for a URL, with the kind of its part."""
    for message in messages if isinstance(messages, list | tuple) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, Mapping):
                yield from _of_part(part)


def _of_part(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind = str(part.get("type"))
    if kind in {"text", "refusal"}:
        return
    for value in part.values():
        inner = value.values() if isinstance(value, Mapping) else (value,)
        yield from ((kind, text) for text in inner if isinstance(text, str))
