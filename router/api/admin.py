"""`/v1/admin/classifier`: which classifiers are in force, their promotion and rollback; for the operator's key only."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from classifier.artefact import ArtefactError
from classifier.assignments import Assignment, MoveError, State
from classifier.registry_writer import RegistryWriter
from classifier.signing import SignatureError, Signer
from router.api.access import gateway_of, json_object, json_reply
from router.auth import presented_token
from router.configuration.serving import RegistrySettings
from router.errors import DRAINING as SHUTTING_DOWN
from router.errors import Conflict, Draining, Forbidden, InvalidRequest
from router.estimation.swap import ClassifierWatch

MAX_BODY_BYTES = 16 * 1024
BY = "the admin API"
_Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
_Tenant = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}(@[a-z0-9][a-z0-9_.-]{0,62})?$")]
_Why = Annotated[str, Field(max_length=500)]


@with_config(ConfigDict(strict=True, extra="forbid"))
class PromoteFields(TypedDict):
    """What shall decide, for everyone or for one tenant, and why (it stays in the audit trail)."""

    version: _Version
    tenant: NotRequired[_Tenant | None]
    why: NotRequired[_Why | None]


@with_config(ConfigDict(strict=True, extra="forbid"))
class RollbackFields(TypedDict):
    """Whose last promotion is undone, and why (it stays in the audit trail)."""

    tenant: NotRequired[_Tenant | None]
    why: NotRequired[_Why | None]


promote_adapter: TypeAdapter[PromoteFields] = TypeAdapter(PromoteFields)
rollback_adapter: TypeAdapter[RollbackFields] = TypeAdapter(RollbackFields)


async def get_classifier(request: Request) -> Response:
    """What is in force in this process, what the registry says, and the last moves."""
    require_admin(request)
    gateway = gateway_of(request)
    book, watch = gateway.store.classifiers, gateway.classifiers
    state = None if watch is None else watch.state
    lane = gateway.estimator.arrangement.everyone
    return json_reply(
        {
            "object": "rung.classifier",
            "active": gateway.estimator.version,
            "canary": None if lane.canary is None else {"version": lane.canary.version, "share": lane.share},
            "shadow": None if lane.shadow is None else lane.shadow.version,
            "tenants": {
                tenant: None if own.active is None else own.active.version
                for tenant, own in gateway.estimator.arrangement.tenants.items()
            },
            "registry": None if state is None else _told(state),
            "refused": None if watch is None else watch.refused or None,
            "swapped_at": None if watch is None else watch.swapped_at or None,
            "barred": [asdict(bar) for bar in (await book.barred()).values()],
            "health": await book.health(),
            "audit": await book.audit(20),
        }
    )


def _told(state: State) -> dict[str, Any]:
    return {
        "sequence": state.sequence,
        "everyone": asdict(state.everyone),
        "tenants": {tenant: asdict(own) for tenant, own in state.tenants.items()},
        "versions": {version: state.stage(version) for version in state.manifests},
    }


async def promote(request: Request) -> Response:
    """Let a version of the registry decide. Needs `registry.signing_key`, but where it only lifts a bar.

    Raises:
        InvalidRequest: the body is wrong. Conflict: the registry does not admit the move, or there is no signing key.
    """
    require_admin(request)
    gateway = gateway_of(request)
    fields = _checked(promote_adapter, await json_object(request, max_bytes=MAX_BODY_BYTES))
    watch, settings = _watch(gateway.classifiers), gateway.settings.registry
    tenant, version, why = fields.get("tenant"), fields["version"], fields.get("why") or ""
    own = _of_the_state(watch, tenant)
    only_barred = own is not None and own.active == version and version in await gateway.store.classifiers.barred()
    if not only_barred:  # what the signed state names already needs no signature, only its bar lifted
        await _move(settings, lambda writer: writer.promote(version, tenant=tenant, why=why))
    await gateway.store.classifiers.unbar(version, by=BY, why=why or "promoted again")
    await gateway.store.classifiers.note(
        {"action": "promote", "version": version, "tenant": tenant, "by": BY, "why": why}
    )
    await watch.look()
    return await get_classifier(request)


async def rollback(request: Request) -> Response:
    """Undo the last promotion: in the registry where this gateway has its key, else by a bar that all gateways honour.

    Raises:
        InvalidRequest: the body is wrong. Conflict: there is nothing to roll back to.
    """
    require_admin(request)
    gateway = gateway_of(request)
    fields = _checked(rollback_adapter, await json_object(request, max_bytes=MAX_BODY_BYTES))
    watch, settings = _watch(gateway.classifiers), gateway.settings.registry
    tenant, why = fields.get("tenant"), fields.get("why") or ""
    if settings.signing_key is not None:
        await _move(settings, lambda writer: writer.roll_back(tenant=tenant, why=why))
        entry = {"action": "rollback", "tenant": tenant, "by": BY, "why": why}
        await gateway.store.classifiers.note(entry)
    else:
        await gateway.store.classifiers.bar(_active(watch, tenant), by=BY, why=why)
    await watch.look()
    return await get_classifier(request)


def require_admin(request: Request) -> None:
    """Let the operator's key pass only. Raises InvalidKey, Forbidden, Draining."""
    gateway = gateway_of(request)
    if gateway.draining:
        raise Draining(SHUTTING_DOWN, retry_after_s=1)
    given, wanted = presented_token(request.scope["headers"]), gateway.settings.server.admin_key
    if wanted is None:
        raise Forbidden("There is no admin key here: set RUNG_SERVER__ADMIN_KEY, and send it as the API key.")
    if not hmac.compare_digest(given.encode(), wanted.get_secret_value().encode()):
        raise Forbidden("This key is not the operator's (setting `server.admin_key`).")


def _watch(watch: ClassifierWatch | None) -> ClassifierWatch:
    if watch is None:
        raise Conflict("There is no registry here: set `registry.folder` and `registry.public_keys`.")
    return watch


def _active(watch: ClassifierWatch, tenant: str | None) -> str:
    """The version that a rollback bars."""
    own = _of_the_state(watch, tenant)
    if own is None or own.active is None or own.active in watch.barred or own.previous is None:
        raise Conflict("There is nothing to roll back: nothing was promoted since.")
    return own.active


def _of_the_state(watch: ClassifierWatch, tenant: str | None) -> Assignment | None:
    """Who decides for everyone or for a tenant, as the signed state says."""
    if watch.state is None:
        return None
    return watch.state.everyone if tenant is None else watch.state.tenants.get(tenant)


async def _move(settings: RegistrySettings, move: Callable[[RegistryWriter], State]) -> None:
    if settings.folder is None or settings.signing_key is None:
        raise Conflict(
            "This gateway has no key to sign with: set `registry.signing_key`, or promote where the key is, with "
            "`rung-train registry promote`."
        )
    try:
        writer = RegistryWriter(settings.folder, Signer.read(settings.signing_key), by=BY)
        await asyncio.to_thread(move, writer)
    except (MoveError, ArtefactError) as error:
        raise Conflict(str(error)) from None
    except (SignatureError, OSError) as error:
        raise Conflict(f"The registry could not be moved: {error}") from None


def _checked(adapter: TypeAdapter[Any], body: dict[str, Any]) -> Any:  # noqa: ANN401 - the adapter's type
    try:
        return adapter.validate_python(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = str(first["loc"][0])[:100] if first["loc"] else "version"
        raise InvalidRequest(f"`{param}`: {first['msg']}.", param=param) from None
