"""What `rung serve` says at its start: the ladder, what waits for a key, and the lines to paste."""

from __future__ import annotations

import os

from policies.types import Model
from router import __version__
from router.configuration.careful import doubts
from router.configuration.ladder import build_ladder
from router.configuration.settings import Settings
from router.resources.resources import Resources
from router.store.address import Address

_EXAMPLE = "What is the capital of France?"


def banner(settings: Settings, resources: Resources) -> str:
    """The lines, ready to print."""
    server = settings.server
    host = "127.0.0.1" if server.host in {"0.0.0.0", "::", ""} else server.host  # noqa: S104 - compared, not bound
    base = f"http://{host}:{server.port}/v1"
    ladder = build_ladder(settings, os.environ, local=resources.local_model)
    lines = [f"Rung {__version__}, serving {base}", "", "ladder, from the lowest rung:"]
    lines += [_rung(model) for model in ladder.catalog.models]
    lines += ["", f"store: {_store(settings)}; workers: {server.workers}"]
    if any(not model.available for model in ladder.catalog.models):
        lines.append(
            "decisions are made over the whole ladder; what waits for a key is served by the best rung that can."
        )
    lines += [f"careful: {doubt}" for doubt in doubts(settings.tenants, ladder.models)]
    if resources.demo_key is None:
        lines += ["", f"make a key: {_how_to_make_a_key(settings)}"]
        return "\n".join(lines)
    as_json = "-H 'content-type: application/json'"
    ask = '{"model": "auto", "messages": [{"role": "user", "content": "' + _EXAMPLE + '"}]}'
    lines += [
        "",
        "paste these two lines where your application runs:",
        f"export OPENAI_BASE_URL={base}",
        f"export OPENAI_API_KEY={resources.demo_key}",
        "",
        "or ask here:",
        f"curl -i {base}/chat/completions -H 'authorization: Bearer {resources.demo_key}' {as_json} -d '{ask}'",
        "",
    ]
    return "\n".join(lines)


def _store(settings: Settings) -> str:
    """Where the books are, without the password that the address may carry."""
    url = settings.store.url
    return f"embedded, in {settings.store.data_dir}" if url is None else Address.parse(url).shown


def _how_to_make_a_key(settings: Settings) -> str:
    if settings.tenants:
        return f"rung keys create {settings.tenants[0].id}"
    return "rung tenants create acme --budget 100 && rung keys create acme"


def _rung(model: Model) -> str:
    prices = f"${model.prices.input / 1e9:g} / ${model.prices.output / 1e9:g} per million tokens"
    state = "ready" if model.available else f"waits: {model.unavailable_because}"
    return f"  {model.tier:<10} {model.id:<24} {prices:<38} {state}"
