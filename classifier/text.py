"""What of a text is looked at: the bound on its length, its bytes and its words.

Every later step (encoder, features) works on the `Reading` made here, so the text is scanned once, and the work is
bounded whatever a client sends: of a long text the beginning and the end are read, where a request says what it wants.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

HEAD_CHARS = 4_000  # 600 English words are some 3,600 characters: common prompts are read whole
TAIL_CHARS = 4_000

_UPPER_TO_LOWER = bytes(range(ord("A"), ord("Z") + 1)), bytes(range(ord("a"), ord("z") + 1))
_SEPARATORS = bytes(b for b in range(128) if not chr(b).isalnum())
_TO_WORDS = bytes.maketrans(_UPPER_TO_LOWER[0] + _SEPARATORS, _UPPER_TO_LOWER[1] + b" " * len(_SEPARATORS))


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Reading:
    """One text, scanned.

    Attributes:
        chars: length of the whole text in characters.
        raw: UTF-8 bytes of what is read of it, as it was written.
        words: its words in lower case without accents, as UTF-8; punctuation separates and is left out.
        histogram: (256,) how often each byte occurs in `raw`.
    """

    chars: int
    raw: bytes
    words: list[bytes]
    histogram: NDArray[np.float32]


def read(text: str) -> Reading:
    """Scan a text; O(HEAD_CHARS + TAIL_CHARS) however long it is."""
    seen = text if len(text) <= HEAD_CHARS + TAIL_CHARS else f"{text[:HEAD_CHARS]}\n{text[-TAIL_CHARS:]}"
    raw = seen.encode("utf-8", "replace")
    plain = raw if seen.isascii() else _plain(seen)
    counts = np.bincount(np.frombuffer(raw, np.uint8), minlength=256).astype(np.float32)
    return Reading(chars=len(text), raw=raw, words=plain.translate(_TO_WORDS).split(), histogram=counts)


def _plain(text: str) -> bytes:
    """Lower case, compatibility forms, no combining marks; symbols and foreign punctuation become spaces."""
    folded = unicodedata.normalize("NFKD", text).lower()
    return "".join(map(_kept, folded)).encode("utf-8", "replace")


def _kept(char: str) -> str:
    """The character itself, nothing for a combining mark, a space for what is not a letter or digit.

    Ideographs and kana stand alone: they are words of one character to the encoder's vocabulary.
    """
    if char.isascii():
        return char
    if unicodedata.combining(char):
        return ""
    if "\u3040" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff":
        return f" {char} "
    return char if char.isalnum() else " "
