"""Makes the golden bodies: drives the real LiteLLM against a recorder, one file per model.

`python -m tests.router.upstream.golden` writes them anew, after an upgrade of LiteLLM or a change of a mapping. Read
the difference before committing it: every line of it is something that a provider will see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from router.errors import UpstreamError, UpstreamRejected
from router.upstream import delegate, engine
from router.upstream.client import UpstreamClient
from router.upstream.request import Wire, takes_own_transport
from router.upstream.types import Granted, UpstreamCall
from tests.router.upstream import wire_cases
from tests.router.upstream.recorder import Recorder

FOLDER = Path(__file__).parents[2] / "golden" / "upstream"


def file_of(name: str) -> Path:
    return FOLDER / (name.replace("/", "__").replace(":", "_") + ".json")


def stored(name: str) -> dict[str, Any]:
    return orjson.loads(file_of(name).read_bytes())


async def collect(client: UpstreamClient, recorder: Recorder, name: str) -> dict[str, Any]:
    """Every case of one model: what was sent and what became of the allowance, or why it was refused."""
    upstream = wire_cases.model(name, recorder.url)
    wanted = wire_cases.sentinels(name)
    refused = await client.unsupported(upstream, wanted)
    params = {key: value for key, value in wanted.items() if key not in refused}
    found: dict[str, Any] = {"refused parameters": sorted(refused)}
    for case in wire_cases.cases():
        call = wire_cases.call(upstream, case, params)
        found[case.name] = await _one(client, recorder, call)
    return found


async def _one(client: UpstreamClient, recorder: Recorder, call: UpstreamCall) -> dict[str, Any]:
    before = len(recorder.requests)
    try:
        await client.complete(call)
    except UpstreamRejected as error:
        if "recorded" not in error.message:
            return {"refused": error.message}
    except UpstreamError as error:
        return {"failed": error.message}
    sent = recorder.requests[before:]
    assert len(sent) == 1, f"one call made {len(sent)} requests"
    granted = await granted_by(call)
    return {
        "granted": {"tokens": granted.tokens, "hard": granted.hard, "notes": list(granted.notes)},
        "max_tokens": granted.max_tokens,
        "path": sent[0].path,
        "body": sent[0].body,
    }


async def collect_one(
    send: Callable[[UpstreamCall], Awaitable[object]], recorder: Recorder, call: UpstreamCall
) -> Mapping[str, Any]:
    """The body that one way of sending puts on the wire."""
    before = len(recorder.requests)
    with pytest.raises(UpstreamRejected, match="recorded"):
        await send(call)
    (sent,) = recorder.requests[before:]
    return sent.body


async def granted_by(call: UpstreamCall) -> Granted:
    """What the client makes of the allowance for this call."""
    if takes_own_transport(call.model):
        return Wire(call.model).build(call).granted
    return (await delegate.request(call))[1]


async def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with Recorder() as recorder, UpstreamClient() as client:
        await engine.warm()
        for name in wire_cases.MODELS:
            found = await collect(client, recorder, name)
            option = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
            file_of(name).write_bytes(orjson.dumps(found, option=option))


if __name__ == "__main__":
    asyncio.run(main())
