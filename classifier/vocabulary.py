"""From a word to rows of the encoder's table.

A word is looked up in this order:

1. as a whole in the vocabulary;
2. one edit away from a frequent word (a typing slip: insertion, deletion, substitution, transposition);
3. split into WordPieces, longest match first (Wu et al. 2016, arXiv 1609.08144);
4. dropped when the pieces are so short that the word is noise: it would only drag the mean about.

Looking up edits by deletion only (every word within one edit shares a string with one deletion at most) is
the symmetric-delete method of SymSpell; the table of hashes is built once, at training.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MIN_NOISE = 5  # letters: shorter words are too short to tell from abbreviations
MEMO_WORDS = 50_000  # some 8 MB; hostile input that invents words empties the memo, it cannot grow it
MIN_REPAIR = 5  # letters: shorter words have too many neighbours
MAX_PIECED = 40  # letters: longer "words" are base64, hashes or keyboard noise
MIN_PIECE_LENGTH = 1.9  # letters a piece on average; real rare words have 2 to 4 ("al-ken-e"), random letters 1.3

Ids = tuple[int, ...]


class Vocabulary:
    """The tokens of the encoder, the most frequent first among whole words.

    Args:
        tokens: one per row of the table; a piece that continues a word starts with `##`.
        hashes: (D,) sorted CRC-32 of frequent words and of their single deletions; owners: (D,) the word's row.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        hashes: NDArray[np.uint32] | None = None,
        owners: NDArray[np.uint16] | None = None,
    ) -> None:
        self.tokens = tuple(tokens)
        self._rows = {token.encode(): row for row, token in enumerate(tokens)}
        self._whole: dict[bytes, Ids] = {
            token: (row,) for token, row in self._rows.items() if not token.startswith(b"##")
        }
        self._memo: dict[bytes, Ids] = {}
        self._hashes = np.empty(0, np.uint32) if hashes is None else hashes
        self._owners = np.empty(0, np.uint16) if owners is None else owners

    def rows(self, word: bytes) -> Ids:
        """The rows that stand for one word; empty for noise."""
        found = self._whole.get(word)
        if found is None:
            found = self._memo.get(word)
        return self._resolve(word) if found is None else found

    def knows(self, word: bytes) -> bool:
        """Whether the word has a row of its own."""
        return word in self._whole

    def look_up(self, words: Sequence[bytes]) -> NDArray[np.intp]:
        """The rows of many words, in order, as one flat array."""
        whole, rows = self._whole.get, self.rows
        return np.array([row for word in words for row in (whole(word) or rows(word))], dtype=np.intp)

    def _resolve(self, word: bytes) -> Ids:
        found = self._repaired(word) or self._pieces(word)
        if len(self._memo) >= MEMO_WORDS:
            self._memo.clear()
        self._memo[word] = found
        return found

    def _repaired(self, word: bytes) -> Ids:
        """The most frequent word that is one edit away, if there is one."""
        if not (MIN_REPAIR <= len(word) <= MAX_PIECED and word.isalpha() and self._hashes.size):
            return ()
        keys = np.array([zlib.crc32(variant) for variant in variants(word)], np.uint32)
        start, stop = np.searchsorted(self._hashes, keys), np.searchsorted(self._hashes, keys, side="right")
        owners = sorted({int(o) for a, b in zip(start, stop, strict=True) for o in self._owners[a:b]})
        near = (row for row in owners if one_edit_apart(word, self.tokens[row].encode()))
        return next(((row,) for row in near), ())

    def _pieces(self, word: bytes) -> Ids:
        if len(word) > MAX_PIECED:
            return ()
        pieces = self._longest_matches(word)
        noise = len(word) >= MIN_NOISE and word.isalpha() and len(word) < MIN_PIECE_LENGTH * len(pieces)
        return () if noise else tuple(pieces)

    def _longest_matches(self, word: bytes) -> list[int]:
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = b"##" if start else b""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if prefix + word[start:e] in self._rows), None)
            if end is None:
                return []
            pieces.append(self._rows[prefix + word[start:end]])
            start = end
        return pieces


def variants(word: bytes) -> set[bytes]:
    """The word and what remains of it when one letter is left out."""
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def one_edit_apart(a: bytes, b: bytes) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours (or nothing) makes `a` into `b`."""
    if abs(len(a) - len(b)) > 1:
        return False
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest, other = a[same:], b[same:]
    swapped = len(rest) == len(other) and rest[1::-1] == other[:2] and rest[2:] == other[2:]
    return swapped or rest[1:] == other[1:] or rest[1:] == other or rest == other[1:]


def repair_table(tokens: Sequence[str], *, words: int) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Sorted hashes (D,) and rows (D,) of the `words` most frequent words of MIN_REPAIR - 1 letters up."""
    eligible = [
        (row, token.encode())
        for row, token in enumerate(tokens)
        if token.isascii() and token.isalpha() and len(token) >= MIN_REPAIR - 1
    ][:words]
    pairs = sorted({(zlib.crc32(variant), row) for row, token in eligible for variant in variants(token)})
    return np.array([h for h, _ in pairs], np.uint32), np.array([row for _, row in pairs], np.uint16)
