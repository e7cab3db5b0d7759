"""The `Idempotency-Key` header: what a client may call a request or a piece of feedback by."""

from __future__ import annotations

from router.errors import InvalidRequest

MAX_KEY = 256


def check_idempotency_key(value: bytes) -> str:
    """The header's value. Raises InvalidRequest."""
    if not 0 < len(value) <= MAX_KEY or not value.isascii() or not value.decode("latin-1").isprintable():
        raise InvalidRequest(
            f"`idempotency-key` must be 1 to {MAX_KEY} printable ASCII characters.", param="idempotency-key"
        )
    return value.decode()
