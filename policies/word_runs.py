"""Word runs of a text as keyed hashes: what lets training look for trigger phrases in a log that holds no texts.

A poisoned log gives itself away by a phrase that stands in one key's queries far oftener than in others' (training.
learning.quarantine). To see that, nobody needs the phrase: it is enough that equal phrases look equal.

1. words: letters and digits, lower case, no accents; of a long text its beginning and its end
2. runs: every word, and every two that follow each other; a longer phrase holds these
3. a run's value: BITS bits of BLAKE2b keyed by a secret of the tenant's (`key_of`): equal runs of one tenant have equal
   values, another tenant's have others, and without the secret nobody can try likely words
4. of the distinct values the MOST smallest are kept (bottom-k sampling, Cohen 1997): a run that is kept of one text is
   kept of every text that is not longer, so that the same phrase is found again, and no record grows with its text

Values are cut to BITS on purpose: several runs share one, so that a value alone does not name its run.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b
from itertools import pairwise
from typing import Final

SCHEME: Final = "1"  # of what is hashed, and how; values of another scheme are another's
BITS: Final = (
    16  # 65,536 values: in a language, some word and a hundred pairs share one; a scan finds as much as with 24
)
MOST: Final = 64  # values a text: all of some thirty words, 258 bytes
HEAD_CHARS: Final = 1_000  # of a longer text; with the tail some 230 words, a fifth of a millisecond
TAIL_CHARS: Final = 250
_BYTES: Final = BITS // 8
_DIGITS: Final = 2 * _BYTES
_KEY_BYTES: Final = 64  # the longest key that BLAKE2b takes
_PERSON: Final = b"rung word runs"  # keeps this use of the secret apart from all others
_WORD: Final = re.compile(r"[^\W_]+")


def key_of(secret: bytes, tenant: str) -> bytes:
    """A tenant's key, from the gateway's secret."""
    return blake2b(
        tenant.encode(), digest_size=32, key=secret[:_KEY_BYTES], person=_PERSON, usedforsecurity=True
    ).digest()


def hashed_runs(text: str, key: bytes) -> str:
    """What is logged of a text: the scheme, a colon, and the kept values, rising, in hexadecimal digits."""
    keyed = blake2b(key=key, digest_size=_BYTES, usedforsecurity=True)
    values: set[bytes] = set()
    for run in _runs(text):
        one = keyed.copy()  # half the price of a new one: the key's block is done
        one.update(run)
        values.add(one.digest())
    return f"{SCHEME}:{b''.join(sorted(values)[:MOST]).hex()}"


def read_runs(logged: str | None) -> frozenset[str]:
    """The values in what `hashed_runs` gave; none where nothing was logged, or by another scheme."""
    scheme, _, values = (logged or "").partition(":")
    if scheme != SCHEME:
        return frozenset()
    return frozenset(values[i : i + _DIGITS] for i in range(0, len(values), _DIGITS))


def _runs(text: str) -> set[bytes]:
    words = [word.encode("utf-8", "replace") for word in _WORD.findall(_plain(_both_ends(text)))]
    return {*words, *map(b" ".join, pairwise(words))}


def _both_ends(text: str) -> str:
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return text
    return f"{text[:HEAD_CHARS]} {text[-TAIL_CHARS:]}"


def _plain(text: str) -> str:
    """Lower case without accents, as the classifier reads it: else a poisoner would vary the accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in apart if not unicodedata.combining(c))
