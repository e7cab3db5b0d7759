"""What a request says, within what its key allows: a turn of all that can be known before its query is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.layers import within
from router import errors
from router.auth import allowed_models, require_model
from router.configuration.ladder import Ladder
from router.configuration.live import Live
from router.decision_log.entry import Logging
from router.service.semantics import Semantics
from router.service.sitting import session_of
from router.service.turn import Turn
from router.store import Principal, answer_key, rules
from router.tenants.policy import rules_of
from router.wire.chat import check_chat, unknown_fields
from router.wire.reading import Headers, cacheable, canonical, demand_of, extensions_of, wishes_of

# Answers are shared inside a tenant, and never beyond.
_CACHE_SCOPE = "tenant"


class Intake:
    """Reads requests. One per process.

    Args:
        live: the configuration in force.
        pepper: of the keyed hashes of sessions and questions.
        semantics: what a question means to the semantic cache.
        logging: what the decision log keeps of a request, by whether its tenant allows texts; empty without a log.
    """

    def __init__(self, *, live: Live, pepper: bytes, semantics: Semantics, logging: Mapping[bool, Logging]) -> None:
        self._live = live
        self._pepper = pepper
        self._semantics = semantics
        self._logging = logging

    def read(self, principal: Principal, body: dict[str, Any], headers: Headers, request_id: str) -> Turn:
        """The request, checked.

        Raises:
            RungError: what is wrong with it, or beyond its key.
        """
        config = self._live.current
        settings, ladder = config.settings, config.ladder
        request = check_chat(body)
        demand = demand_of(request)
        if demand.model is not None:
            _require_known(demand.model, ladder)
            require_model(principal, demand.model, ladder.targets)
        extensions = extensions_of(request, headers)
        unknown = unknown_fields(request)
        own = rules_of(principal.tenant)
        asked = wishes_of(
            request,
            extensions,
            default_quality=settings.quality if own.quality is None else own.quality,
            allow=allowed_models(principal, ladder.targets),
            deny=_refusing(unknown, ladder),
        )
        wishes = within(own.limits, asked)
        turn = Turn(
            config=config,
            principal=principal,
            own=own,
            request=request,
            request_id=request_id,
            extensions=extensions,
            demand=demand,
            wishes=wishes,
            session=session_of(self._pepper, principal, settings, extensions, request),
            rules=rules(("", principal.tenant.limits), (principal.scope, principal.key.limits)),
            logging=self._logging.get(own.log_text),
        )
        cache = settings.cache
        if cache.enabled and extensions.cache != "off" and cacheable(request, unknown, cache.max_temperature):
            turn.cache = "miss"
            question = canonical(request, wishes, ladder.catalog.version)
            turn.answer_key = answer_key(self._pepper, principal.tenant.id, _CACHE_SCOPE, question)
            mode = own.semantic_cache or cache.semantic
            turn.near = None if mode == "off" else self._semantics.question(turn, mode, _CACHE_SCOPE)
        return turn


def _require_known(model: str, ladder: Ladder) -> None:
    if model not in ladder.targets:
        known = ", ".join(["auto", *ladder.targets][:20])
        raise errors.ModelNotFound(
            f"There is no model `{model[:100]}` here; there are: {known}. GET /v1/models lists all.",
            param="model",
        )


def _refusing(unknown: list[str], ladder: Ladder) -> frozenset[str]:
    """The models that do not take fields which OpenAI's format does not have.

    Raises:
        InvalidRequest: none takes them.
    """
    if not unknown:
        return frozenset()
    targets = ladder.targets
    refusing = frozenset(name for name, target in targets.items() if not target.extra_params.issuperset(unknown))
    if len(refusing) == len(targets):
        raise errors.InvalidRequest(
            f"`{unknown[0]}` is not a field of OpenAI's chat format, and no model here is configured to take it "
            "(`extra_fields` in rung.yaml); remove it or mend its spelling.",
            param=unknown[0],
        )
    return refusing
