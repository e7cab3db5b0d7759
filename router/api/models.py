"""`GET /v1/models`: what a client may name as `model`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from policies.types import Model
from router.api.access import gateway_of, json_reply, principal_of
from router.errors import ModelNotFound
from router.wire.reading import AUTO_QUALITY

# OpenAI's clients require the field; a catalogue entry has no birthday.
_CREATED = 0
_ABOUT_AUTO = {
    "auto": "Rung chooses by difficulty, budget and the tenant's quality",
    "auto:economy": "Rung chooses, leaning to the cheaper rung",
    "auto:quality": "Rung chooses, leaning to the better rung",
}


async def list_models(request: Request) -> Response:
    """`auto`, its variants, and the models of the ladder that the key may use."""
    principal = await principal_of(request)
    models = [m for m in gateway_of(request).ladder.catalog.models if principal.may_use(m.id)]
    return json_reply({"object": "list", "data": [*map(_auto, AUTO_QUALITY), *map(_model, models)]})


async def get_model(request: Request) -> Response:
    """One model. Raises ModelNotFound."""
    principal = await principal_of(request)
    name = str(request.path_params["model"])
    ladder = gateway_of(request).ladder
    if name in AUTO_QUALITY:
        return json_reply(_auto(name))
    if name not in ladder.models or not principal.may_use(name):
        raise ModelNotFound(f"There is no model `{name[:100]}` here; GET /v1/models lists all.", param="model")
    return json_reply(_model(ladder.models[name]))


def _auto(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": "rung",
        "rung": {"description": _ABOUT_AUTO[name]},
    }


def _model(model: Model) -> dict[str, Any]:
    prices = model.prices
    return {
        "id": model.id,
        "object": "model",
        "created": _CREATED,
        "owned_by": model.upstream.partition("/")[0],
        "rung": {
            "tier": model.tier,
            "available": model.available,
            "unavailable_because": model.unavailable_because or None,
            "context_window": model.context_window,
            "max_output": model.max_output,
            "ability": model.ability,
            "capabilities": sorted(model.capabilities),
            "usd_per_million_tokens": {"input": prices.input / 1e9, "output": prices.output / 1e9},
            "thinking": model.reasoning.control.value,
        },
    }
