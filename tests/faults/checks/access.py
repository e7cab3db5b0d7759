"""Promises 14 and 15: who may do what, and where secrets must not be."""

from __future__ import annotations

import itertools
import json
import zlib
from typing import Any

from router.store.packing import unpack
from router.store.scripts import Ask, text
from tests.faults.report import Finding
from tests.faults.rig import Rig, promise
from tests.faults.stage import PEPPER, Stage, question, staged
from tests.gateway import fake_ladder

SHUT = {401}
ADMIN_SHUT = {401, 403}  # a good key at the operator's door is known, and sent away
FORBIDDEN = 403
LITTLE = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
UNREADABLE = b"not even JSON"


@promise(14)
async def every_route_denies_by_default(rig: Rig) -> list[Finding]:
    """Every route of the description, and some that are none, with every kind of key."""
    stage = await rig.stage()
    own, other = await stage.tenant(rig.fresh("own")), await stage.tenant(rig.fresh("other"))
    _, _, headers = await stage.post(own, question("Whose decision?"))
    decision = headers["x-rung-decision-id"]
    bearer = {tenant: stage.headers(tenant)["authorization"] for tenant in (own, other)}
    revoked = (await stage.store.directory.create_key(own))[1]
    await stage.store.directory.revoke_key(revoked.split("_")[1])
    expired = (await stage.store.directory.create_key(own, expires_at=1.0))[1]
    shut = {
        "no key": {},
        "a stranger's": {"authorization": "Bearer rk_aaaaaaaaaaaa_" + "b" * 43},
        "revoked": {"authorization": f"Bearer {revoked}"},
        "expired": {"authorization": f"Bearer {expired}"},
        "truncated": {"authorization": bearer[own][:27]},
        "another secret": {"authorization": bearer[own][:-4] + "aaaa"},
        "quoted": {"authorization": "Bearer ' OR 1=1 --"},
        "another scheme": {"authorization": "Basic dXNlcjpwYXNz"},
    }
    routes = await _routes(stage)
    opened = [
        f"{who} {method} {path}"
        for (method, path), (who, named) in itertools.product(routes, shut.items())
        if await _status(stage, method, _filled(path, decision, own), named) not in _shut(path)
    ]
    opened += [
        f"a tenant {method} {path}"
        for method, path in routes
        if path.startswith("/v1/admin")
        and await _status(stage, method, _filled(path, decision, own), {"authorization": bearer[own]}) != FORBIDDEN
    ]
    wanted = {
        "own decision": (await _status(stage, "GET", f"/v1/decisions/{decision}", {"authorization": bearer[own]}), 200),
        "another tenant's decision": (
            await _status(stage, "GET", f"/v1/decisions/{decision}", {"authorization": bearer[other]}),
            404,
        ),
        "a key for feedback that asks": (
            await _status(
                stage, "POST", "/v1/chat/completions", {"authorization": f"Bearer {await stage.feedback_key(own)}"}
            ),
            403,
        ),
    }
    wrong = [f"{what}: {got}" for what, (got, must) in wanted.items() if got != must]
    return [
        Finding(
            number=14,
            name="deny by default",
            done=f"{len(routes)} routes with {len(shut)} bad keys each, a body that is no JSON; and three good"
            " keys where they do not belong",
            figure=f"{len(opened)} doors open, {len(wrong)} of {len(wanted)} wrong " + ", ".join([*opened, *wrong][:3]),
            bound="0, 0",
            holds=not opened and not wrong and len(routes) >= 5,
        )
    ]


def _filled(path: str, decision: str, tenant: str) -> str:
    """A path of the description with something in its places."""
    return path.format(model="small", decision_id=decision, tenant=tenant)


def _shut(path: str) -> set[int]:
    return ADMIN_SHUT if path.startswith("/v1/admin") else SHUT


async def _routes(stage: Stage) -> list[tuple[str, str]]:
    """Every operation of the description that is not open to all on purpose."""
    async with stage.session.get(f"{stage.process.url}/openapi.json") as reply:
        paths = (await reply.json())["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "security" in operation
    ]


async def _status(stage: Stage, method: str, path: str, headers: dict[str, str]) -> int:
    url = f"{stage.process.url}{path}"
    async with stage.session.request(method, url, headers=headers, data=UNREADABLE) as reply:
        return reply.status


PROVIDER_KEY = "sk-planted-provider-key-7f3a9c1e5b"
PROMPT = "planted-prompt-4b1d8e"
ANSWER = "planted-answer-92c7f0"


def _planted(base_url: str) -> list[dict[str, Any]]:
    return [{**model, "api_key": PROVIDER_KEY} for model in fake_ladder(base_url)]


@promise(15)
async def planted_secrets_appear_nowhere(rig: Rig) -> list[Finding]:
    from router.testing import Answer

    async with staged(rig.place("planted"), workers=1, models=_planted) as stage:
        tenant = await stage.tenant("acme")
        replies: list[str] = []
        stage.upstream.say(
            Answer(text=ANSWER),
            Answer(status=401, error={"message": f"Incorrect API key provided: {PROVIDER_KEY}", "code": "invalid"}),
            Answer(status=400, error={"message": f"bad {PROVIDER_KEY} Bearer {PROVIDER_KEY}", "type": "x"}),
            Answer(status=500, error={"message": PROVIDER_KEY}),
        )
        for number in range(4):
            status, body, headers = await stage.post(tenant, question(f"{PROMPT} {number}", rung={"cache": "off"}))
            if status != 200:
                replies.append(json.dumps(body))
            replies.append(str(dict(headers)))
        bad = {"authorization": f"Bearer {stage.tokens[tenant]}x"}
        async with stage.session.post(stage.chat_url, json=LITTLE, headers=bad) as reply:
            replies.append(await reply.text())
        async with stage.session.post(
            stage.chat_url, data=f'{{"{PROMPT}": '.encode(), headers=stage.headers(tenant)
        ) as reply:
            replies.append(await reply.text())
        async with stage.session.get(f"{stage.process.url}/metrics") as reply:
            replies.append(await reply.text())
        places = {"replies": "\n".join(replies), "log": stage.process.log, "store": await _everything(stage)}
        secrets = {
            "provider key": PROVIDER_KEY,
            "API key": stage.tokens[tenant],
            "its secret": stage.tokens[tenant].split("_")[-1],
            "pepper": PEPPER,
            "prompt": PROMPT,
            "answer": ANSWER,
        }
        found = [f"{name} in {place}" for name, secret in secrets.items() for place, t in places.items() if secret in t]
    sizes = {place: len(content) for place, content in places.items()}
    return [
        Finding(
            number=15,
            name="planted secrets appear nowhere",
            done=f"{len(secrets)} secrets planted in keys, prompts, answers and providers' errors, uncached; looked"
            f" for in {sizes} characters",
            figure=", ".join(found) or "found nowhere",
            bound="nowhere",
            holds=not found and min(sizes.values()) > 0,
        )
    ]


async def _everything(stage: Stage) -> str:
    """All keys and values of the store, unpacked."""
    connection = stage.store.connection
    keys = await connection.ask(Ask(("KEYS", "*"), lambda reply: [text(key) for key in reply]))
    reads = {
        "string": ("GET",),
        "hash": ("HGETALL",),
        "set": ("SMEMBERS",),
        "zset": ("ZRANGE", 0, -1),
        "stream": ("XRANGE", "-", "+"),
    }
    parts: list[str] = []
    for key in keys:
        kind = await connection.ask(Ask(("TYPE", key), text))
        command, *rest = reads[kind]
        parts.append(f"{key} {_legible(await connection.ask(Ask((command, key, *rest), lambda reply: reply)))}")
    return "\n".join(parts)


def _legible(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_legible, value))
    if not isinstance(value, bytes):
        return str(value)
    for start in (0, 1):
        try:
            return unpack(value[start:])[0].decode(errors="replace")
        except zlib.error:
            continue
    return value.decode(errors="replace")
