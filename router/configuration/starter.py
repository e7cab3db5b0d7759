"""The ladder of whoever has written no configuration: sensible tiers for exactly what the environment opens.

With keys or URLs, the current models of those providers. With nothing, the example ladder: the bundled local model as
its lowest rung, and two rungs that wait for a key.
"""

from __future__ import annotations

import json
import logging
import re
import urllib.request
from collections.abc import Mapping

from router.configuration.models import ModelSettings
from router.configuration.provider_keys import without_ours
from router.upstream import discover
from router.upstream.discover import Found, Provider
from router.upstream.local_model import MODEL_ID, UPSTREAM

log = logging.getLogger("rung.starter")

# A server on the same machine or network answers at once or not at all.
PROBE_TIMEOUT_S = 2.0
# Our own rough priors for open models by size: (billions of parameters, ability on MMLU-Pro's scale).
_ABILITY_BY_SIZE = ((1.5, 0.20), (4.0, 0.38), (9.0, 0.48), (16.0, 0.58), (40.0, 0.68), (130.0, 0.75))
_LARGEST_ABILITY = 0.8
_UNSIZED_ABILITY = 0.5


def models(environ: Mapping[str, str]) -> list[ModelSettings]:
    """The models of the starter ladder, without duplicates of an id."""
    found = discover.discover(without_ours(environ))
    listed = [entry for provider in found for entry in _of(provider)] or example()
    return list({entry.id: entry for entry in listed}.values())


def example() -> list[ModelSettings]:
    """The example ladder: the bundled model, and what would stand above it."""
    openai, anthropic = (_provider(name) for name in ("openai", "anthropic"))
    local = ModelSettings(id=MODEL_ID, upstream=UPSTREAM, tier="economy")
    return [local, _hosted(openai)[1], _hosted(anthropic)[2]]


def _provider(name: str) -> Provider:
    return next(provider for provider in discover.PROVIDERS if provider.name == name)


def _of(found: Found) -> list[ModelSettings]:
    if found.provider.ladder:
        return _hosted(found.provider)
    return [_own(found, name) for name in served_models(found)]


def _hosted(provider: Provider) -> list[ModelSettings]:
    return [
        ModelSettings(
            id=model.id,
            upstream=model.upstream,
            tier=model.tier,
            ability=model.ability,
            api_key_env=provider.key_env,
        )
        for model in discover.ladder(provider)
    ]


def _own(found: Found, served: str) -> ModelSettings:
    ability = ability_by_size(served)
    tier = "economy" if ability < _UNSIZED_ABILITY else "standard"
    return ModelSettings(
        id=re.sub(r"[^A-Za-z0-9._:/@+-]", "-", served)[:128],
        upstream=f"{found.provider.name}/{served}",
        tier=tier,
        ability=ability,
        api_base=found.api_base,
        api_key_env=found.key_env,
    )


def ability_by_size(name: str) -> float:
    """A prior for an open model's ability from the size in its name, for example `llama3.1:8b`."""
    match = re.search(r"(\d+(?:\.\d+)?)\s*b(?![a-z])", name.lower())
    if match is None:
        return _UNSIZED_ABILITY
    size = float(match[1])
    return next((ability for limit, ability in _ABILITY_BY_SIZE if size <= limit), _LARGEST_ABILITY)


def served_models(found: Found) -> list[str]:
    """What one's own server says that it serves; nothing, with a warning, where it does not answer."""
    base = (found.api_base or "").removesuffix("/v1")
    path, rows, field = (
        ("/api/tags", "models", "name") if found.provider.name == "ollama_chat" else ("/v1/models", "data", "id")
    )
    try:
        with urllib.request.urlopen(base + path, timeout=PROBE_TIMEOUT_S) as reply:  # noqa: S310 - the operator's own URL
            return [str(row[field]) for row in json.load(reply)[rows]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        log.warning("%s does not list its models (%s); start it, or name them in rung.yaml", base, error)
        return []
