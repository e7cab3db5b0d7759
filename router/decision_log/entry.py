"""What the log needs of a request beside the decision: what the query was like, who asked, its text where allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from classifier.types import Query
from policies.word_runs import hashed_runs, key_of
from router.wire.reading import query_of

# What the classifier reads of a text is 8,000 characters (classifier.text); a hash of so much tells texts apart.
HASHED_CHARS = 8_000
KEPT_CHARS = 20_000  # a longer text is kept in part: it teaches no more, and fills the store
USER_CHARS = 256
_KEY_BYTES = 64  # the longest key that BLAKE2b takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """How a request is logged.

    Attributes:
        pepper: keys the hash of texts, so that nobody can try likely texts against it. keep_text: whether the tenant
            allows the text itself. hash_runs: whether, where he does not, its word runs are kept as keyed hashes.
    """

    pepper: bytes
    keep_text: bool = False
    hash_runs: bool = True

    def about(self, tenant: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The record's part for the log: JSON, and never shown by the API."""
        query = query_of(request)
        told: dict[str, Any] = {
            "text_hash": text_hash(self.pepper, tenant, query.text),
            "characters": len(query.text),
            "turns": query.turns,
            "tools": query.tools,
            "images": query.images,
            "system": query.system_chars,
            "context": query.context_chars,
            "format": query.response_format,
        }
        user = request.get("user") or request.get("safety_identifier")
        if user:
            told["user"] = str(user)[:USER_CHARS]
        if self.keep_text:
            told["text"] = _kept(query)
        elif self.hash_runs:
            told["word_runs"] = hashed_runs(query.text, key_of(self.pepper, tenant))
        return told


def text_hash(pepper: bytes, tenant: str, text: str) -> str:
    """Equal for texts that differ in case and white space only, different for each tenant; 24 hexadecimal digits."""
    plain = " ".join(text[:HASHED_CHARS].split()).lower()
    keyed = blake2b(plain.encode("utf-8", "replace"), digest_size=12, key=pepper[:_KEY_BYTES], usedforsecurity=True)
    keyed.update(b"\x00" + tenant.encode())
    return keyed.hexdigest()


def _kept(query: Query) -> str:
    """The text as UTF-8 can hold it."""
    return query.text[:KEPT_CHARS].encode("utf-8", "replace").decode()
