"""Key -> principal: who asks, and what they may do. Deny by default; nothing else reads credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from router.errors import Forbidden, InvalidKey
from router.store import Directory, Principal

# Longer than any key of ours or of a provider; a longer one is refused unread.
MAX_TOKEN_BYTES = 512

_NO_KEY = (
    "No API key. Send `Authorization: Bearer <key>` with a key of this gateway (`rung keys create <tenant>` makes one)."
)
_BAD_KEY = "This API key opens nothing here: check it, or make a new one with `rung keys create`."


async def authenticate(directory: Directory, raw_headers: Iterable[tuple[bytes, bytes]], *, scope: str) -> Principal:
    """Who asks.

    Args:
        directory: where keys are looked up. raw_headers: the request's. scope: what the key must be good for.

    Raises:
        InvalidKey: no key, a malformed one, several, or one that opens nothing.
        Forbidden: the key is not good for this.
        StoreUnavailable: the directory cannot be asked.
    """
    principal = await directory.principal(presented_token(raw_headers))
    if not principal.may(scope):
        raise Forbidden(f"This key may not be used for this: it lacks the scope `{scope}`.")
    return principal


def presented_token(raw_headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The one token in `Authorization: Bearer` or `x-api-key`.

    Raises:
        InvalidKey: none, several, another scheme, or one that cannot be a key.
    """
    found = [(name, token) for name, value in raw_headers if (token := _token_in(name, value)) is not None]
    if not found:
        raise InvalidKey(_NO_KEY)
    if len({name for name, _ in found}) < len(found) or len({token for _, token in found}) > 1:
        raise InvalidKey("More than one API key was sent; send one.")
    token = found[0][1]
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise InvalidKey(_BAD_KEY)
    return token.decode()


def _token_in(name: bytes, value: bytes) -> bytes | None:
    if name == b"x-api-key":
        return value.strip()
    if name != b"authorization":
        return None
    scheme, _, token = value.strip().partition(b" ")
    if scheme.lower() != b"bearer":
        raise InvalidKey("Only `Authorization: Bearer <key>` is understood, no other scheme.")
    return token.strip()


def allowed_models(principal: Principal, known: Mapping[str, object]) -> frozenset[str] | None:
    """The model ids that the principal may use, or None for the whole catalogue."""
    if not principal.key.deny and all(models is None for models in principal.model_lists):
        return None
    return frozenset(model for model in known if principal.may_use(model))


def require_model(principal: Principal, model: str, known: Mapping[str, object]) -> None:
    """Refuse a named model that the principal may not use.

    Raises:
        Forbidden: with the models that it may use.
    """
    if not principal.may_use(model):
        allowed = ", ".join(sorted(allowed_models(principal, known) or ())) or "none"
        raise Forbidden(f"This key may not use `{model}`; it may use: {allowed}.", param="model")
