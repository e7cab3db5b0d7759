"""Every error that Rung raises, in one tree; `router.wire.errors` alone turns one into a reply.

RungError
├── InvalidRequest            400  what the client sent is wrong; `param` names the field
│   ├── InvalidJSON           400
│   ├── ContextTooLong        400
│   ├── BodyTooLarge          413
│   ├── UnsupportedMedia      415
│   └── BodyTooSlow           408
├── InvalidKey                401  no key, or one that does not (or no longer) open anything
├── Forbidden                 403  the key is good, but not for this
├── NotFound                  404
│   └── ModelNotFound         404
├── Conflict                  409  what is there does not admit it; the message says how it would
│   └── IdempotencyInFlight   409  a request with this idempotency key is under way
├── IdempotencyMismatch       422  an idempotency key was used with another body
├── RateLimited               429  come back after `retry_after_s`
├── BudgetExhausted           429  the money is gone; retrying at once is useless
├── NothingFits               400  every rung is rejected by the caller's own constraints
├── NotPriced                 503  a model without a price is never called
├── NotAvailable              503  no model that could serve this has a key
├── StoreUnavailable          503  Redis is away: money fails closed
├── Draining                  503  the process is shutting down
└── UpstreamError             502  the provider failed; `retryable` and `status` say how
    ├── UpstreamRejected      400  the provider refuses this request (its 400, 404, 413, 422)
    │   └── UpstreamTooLong   400  the prompt is longer than this model's window: another's may hold it
    ├── UpstreamModelMissing  502  the provider does not know the model: the operator must mend its name
    ├── UpstreamCredentials   502  the provider refuses our key: the operator must mend it
    ├── UpstreamRateLimited   503  the provider's 429, with its Retry-After
    ├── UpstreamTimeout       504
    └── UpstreamUnreachable   502  no connection, a reset, or garbage instead of an answer
"""

from __future__ import annotations

from typing import ClassVar


class RungError(Exception):
    """Base of all errors that a client may see. Messages say what happened and how to mend it; they carry no secrets.

    Attributes:
        status: the HTTP status. type, code: OpenAI's error vocabulary. param: the request's field at fault.
        retry_after_s: seconds after which a retry may help; sent as `Retry-After`.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidRequest(RungError):
    """The client's request is wrong in one named place."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class InvalidJSON(InvalidRequest):
    """The body is not one JSON object in UTF-8."""

    code = "invalid_json"


class ContextTooLong(InvalidRequest):
    """The prompt is longer than every allowed model's context window."""

    code = "context_length_exceeded"


class BodyTooLarge(InvalidRequest):
    """The body is larger than the limit."""

    status = 413
    code = "request_too_large"


class UnsupportedMedia(InvalidRequest):
    """The body is not `application/json`, or is compressed."""

    status = 415
    code = "unsupported_media_type"


class BodyTooSlow(InvalidRequest):
    """The body did not arrive in time."""

    status = 408
    code = "request_timeout"


class InvalidKey(RungError):
    """No API key, or one that opens nothing."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class Forbidden(RungError):
    """The key is valid but may not do this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class NotFound(RungError):
    """No such route or object (or none that this key may see)."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFound(NotFound):
    """The named model is not in the catalogue."""

    code = "model_not_found"


class Conflict(RungError):
    """What is there does not admit what was asked: it exists already, has ended, or something is not set up."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class IdempotencyInFlight(Conflict):
    """A request with this idempotency key is under way."""

    code = "idempotency_key_in_use"


class IdempotencyMismatch(RungError):
    """The idempotency key was used with another body."""

    status = 422
    type = "invalid_request_error"
    code = "idempotency_key_reused"


class RateLimited(RungError):
    """Too many requests or tokens; a retry after `retry_after_s` may pass."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class BudgetExhausted(RungError):
    """The tenant's money does not cover the worst case of any admissible rung. Money in nano-dollars."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(
        self,
        message: str,
        *,
        needed_nano: int = 0,
        remaining_nano: int = 0,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.needed_nano = needed_nano
        self.remaining_nano = remaining_nano


class NothingFits(InvalidRequest):
    """Every rung is rejected by the caller's own constraints; the message lists why."""

    code = "no_admissible_model"


class NotPriced(RungError):
    """A model without a price is refused before dispatch, never counted as free."""

    status = 503
    code = "model_not_priced"


class NotAvailable(RungError):
    """Nothing that could serve the request is configured with a key."""

    status = 503
    code = "model_not_available"


class StoreUnavailable(RungError):
    """Redis does not answer: money fails closed."""

    status = 503
    code = "store_unavailable"


DRAINING = "This process is shutting down; ask again, another one will answer."


class Overloaded(RungError):
    """So many bytes of bodies are on their way to this process that it takes no more for the moment."""

    status = 503
    code = "overloaded"


class Draining(RungError):
    """The process is shutting down and takes no new work."""

    status = 503
    code = "draining"


class UpstreamError(RungError):
    """The provider failed.

    Attributes:
        upstream_status: the provider's HTTP status, or None where there was none.
        retryable: whether another attempt (here or on a fallback) may succeed.
        answered: whether an answer had begun, or may have: the provider may bill for it.
    """

    status = 502
    code = "upstream_error"
    retryable: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.upstream_status = upstream_status
        self.answered = False


class UpstreamRejected(UpstreamError):
    """The provider refuses this very request: another attempt with the same body would fail too."""

    status = 400
    type = "invalid_request_error"
    code = "upstream_rejected"
    retryable = False


class UpstreamTooLong(UpstreamRejected):
    """The provider finds the prompt longer than this model's window; a fallback with a longer one may serve."""

    code = "context_length_exceeded"
    retryable = True


class UpstreamModelMissing(UpstreamError):
    """The provider does not know the model, or does not let our key use it: a fallback may serve."""

    code = "upstream_model_not_found"


class UpstreamCredentials(UpstreamError):
    """The provider refuses the operator's key: a fallback on another provider may serve."""

    code = "upstream_credentials"


class UpstreamRateLimited(UpstreamError):
    """The provider's own rate limit."""

    status = 503
    code = "upstream_rate_limited"


class UpstreamTimeout(UpstreamError):
    """The provider did not answer within the deadline."""

    status = 504
    code = "upstream_timeout"


class UpstreamUnreachable(UpstreamError):
    """No connection, a broken one, or an answer that is not one."""

    code = "upstream_unreachable"
