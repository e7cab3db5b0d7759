"""API keys as text: alone makes, reads and checks `rk_<id>_<secret>`. The store never sees a secret."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.errors import InvalidKey

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without l, o, 0 and 1, which people misread
_ID_LENGTH = 12  # 60 bits: an id is drawn once and never collides in practice
_SECRET_BYTES = 32
_TOKEN = re.compile(r"rk_([a-z0-9]{4,32})_([A-Za-z0-9_-]{16,128})", re.ASCII)


@dataclass(frozen=TYPE_CHECKING, slots=True)
class Token:
    """An API key as its holder has it. Its repr hides the secret."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> Token:
        """Draw a key."""
        return cls(
            "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH)),
            secrets.token_urlsafe(_SECRET_BYTES),
        )

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a key.

        Raises:
            InvalidKey: the text is no key of ours, whatever it holds; the message does not repeat it.
        """
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise InvalidKey(
                "That is no API key of this gateway: they look like rk_<id>_<secret>. Make one with `rung keys create`."
            )
        return cls(match[1], match[2])

    def reveal(self) -> str:
        """The whole key, to be shown once."""
        return f"rk_{self.id}_{self.secret}"

    def mac(self, pepper: bytes) -> str:
        """What the store keeps: HMAC-SHA-256 of id and secret under the server's pepper, hexadecimal."""
        return hmac.digest(pepper, f"key {self.id} {self.secret}".encode(), "sha256").hex()

    def opens(self, mac: str, pepper: bytes) -> bool:
        """Whether the secret is the one behind `mac`; in constant time."""
        return hmac.compare_digest(self.mac(pepper), mac)
