"""Hand features: what can be counted in a text in a few microseconds.

They come from one histogram of bytes, one pass over the words' vocabulary rows and three regular expressions,
so their cost hardly grows with the text. Counts enter as logarithms or as shares, never raw: a long text must
not drown the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from classifier.cues import CLASSES, cue_table
from classifier.text import Reading

_OPTION = re.compile(rb"\n\s{0,3}\(?[A-Z][.):]\s")
_NUMBER = re.compile(rb"\d+")
_SENTENCE = re.compile(rb"[.!?]\s")

# Which bytes make a character class. Lead bytes of UTF-8 tell the script: 0xD0-0xD2 Cyrillic,
# 0xD7-0xDB Hebrew and Arabic, 0xE0-0xE2 Indic, Thai and symbols, 0xE3-0xED East Asian,
# 0xF0 emoji and rare planes.
BYTES: dict[str, Sequence[int]] = {
    "letters": (*range(65, 91), *range(97, 123), *range(128, 256)),
    "capitals": range(65, 91),
    "digits": range(48, 58),
    "spaces": b" \t",
    "newlines": b"\n",
    "questions": b"?",
    "exclamations": b"!",
    "commas": b",;",
    "stops": b".",
    "colons": b":",
    "quotes": b"\"'",
    "round": b"()",
    "brackets": b"[]",
    "braces": b"{}",
    "equals": b"=",
    "operators": b"+*/^<>%",
    "minus": b"-",
    "dollars": b"$",
    "backslashes": b"\\",
    "underscores": b"_",
    "pipes": b"|#~`@&",
    "latin_marks": range(0xC3, 0xC6),
    "greek": (0xCE, 0xCF),
    "cyrillic": range(0xD0, 0xD3),
    "semitic": range(0xD7, 0xDC),
    "symbols": range(0xE0, 0xE3),
    "east_asian": range(0xE3, 0xEE),
    "rare_planes": (0xF0,),
}
_SHAPE = (
    "log_chars",
    "log_words",
    "log_seen",
    "word_length",
    "log_sentences",
    "words_per_sentence",
    "options",
    "log_numbers",
    "longest_number",
    "distinct_words",
    "pieces_per_word",
    "unknown_words",
    "rank_mean",
    "rank_spread",
    "rank_max",
    "rare_words",
    "opening_cue_question",
    "opening_cue_task",
    "longest_word",
    "first_line_share",
    "log_stem",
)
NAMES: tuple[str, ...] = (
    *_SHAPE,
    *(f"share_{name}" for name in BYTES),
    *(f"log_{name}" for name in BYTES),
    *(f"cue_{name}" for name in CLASSES),
    *(f"log_cue_{name}" for name in CLASSES),
)
# Shares of characters are shrunk as if this many characters of ordinary prose stood before the text: in "2+2" or an
# emoji a single character would else be a third of everything.
SMOOTHING = 12.0
_PROSE = {"letters": 0.8, "spaces": 0.16}
# Bytes from which a question counts as long; beyond, it is a passage to read, which does not make it harder.
LONG_STEM = 200
REVISION = 2  # rises when a name stays but what it counts changes
SCHEMA = sha256("\n".join((str(REVISION), *NAMES)).encode()).hexdigest()[:16]

_QUESTION_CLASSES = frozenset(CLASSES.index(name) for name in ("who_when_where", "what_which", "how_why", "yes_no"))
_TASK_CLASSES = frozenset(map(CLASSES.index, ("prove", "compute", "write", "code", "rewrite", "explain")))
_RARE_RANK = 12_000  # of some 22,000 whole words: what ordinary prose seldom needs


class Features:
    """Counts over a text, given the vocabulary whose rows its words became.

    Args:
        tokens: the vocabulary, most frequent first.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._cue = cue_table(tokens)
        self._cues: list[int] = self._cue.tolist()
        self._log_rank = np.log(np.arange(len(tokens), dtype=np.float32) + 100.0)
        self._rare_from = np.float32(np.log(_RARE_RANK + 100.0))
        self._classes = _class_matrix()
        self._usual = _usual_counts()

    def compute(self, reading: Reading, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """(len(NAMES),) the features of what was read; `rows` are the table rows of its words."""
        classes, cues = len(BYTES), len(CLASSES)
        found = np.empty(len(NAMES), np.float32)
        found[: len(_SHAPE)] = self._shape(reading, rows)
        own = found[len(_SHAPE) :]
        counts = self._classes @ reading.histogram
        share = np.add(counts, self._usual, out=own[:classes])
        share /= np.float32(len(reading.raw) + SMOOTHING)
        np.log1p(counts, out=own[classes : 2 * classes])
        own[-cues:] = np.bincount(self._cue[rows], minlength=cues + 1)[:-1]
        np.divide(own[-cues:], np.float32(max(len(rows), 1)), out=own[-2 * cues : -cues])
        np.log1p(own[-cues:], out=own[-cues:])
        return found

    def _shape(self, reading: Reading, rows: NDArray[np.intp]) -> tuple[float, ...]:
        raw, words = reading.raw, reading.words
        count = max(len(words), 1)
        sentences = len(_SENTENCE.findall(raw)) + 1
        numbers = _NUMBER.findall(raw)
        lengths = list(map(len, words)) or [0]
        opening = self._cues[rows[0]] if rows.size else -1
        first_line = raw.find(b"\n")
        options = _OPTION.findall(raw) if first_line >= 0 else ()
        # A question's length without its answer options, which tell nothing of how hard it is.
        stem = raw.find(options[0]) if len(options) > 1 else len(raw)
        return (
            math.log1p(reading.chars),
            math.log1p(len(words)),
            math.log1p(len(raw)),
            sum(lengths) / count,
            math.log1p(sentences),
            len(words) / sentences,
            len(options),
            math.log1p(len(numbers)),
            min(max(map(len, numbers), default=0), 20),
            len(set(words)) / count,
            len(rows) / count,
            max(len(words) - len(rows), 0) / count,
            *self._rarity(rows),
            opening in _QUESTION_CLASSES,
            opening in _TASK_CLASSES,
            min(max(lengths), 40),
            (first_line + 1 or len(raw) + 1) / (len(raw) + 1),
            math.log1p(min(stem or len(raw), LONG_STEM)),
        )

    def _rarity(self, rows: NDArray[np.intp]) -> tuple[float, float, float, float]:
        """Mean, deviation and maximum of the words' log ranks, and the share of rare ones."""
        ranks = self._log_rank[rows] if rows.size else self._log_rank[:1]
        mean = float(np.add.reduce(ranks)) / len(ranks)
        spread = math.sqrt(max(float(ranks @ ranks) / len(ranks) - mean * mean, 0.0))
        rare = int(np.count_nonzero(ranks > self._rare_from)) / len(ranks)
        return mean, spread, float(np.maximum.reduce(ranks)), rare


def _class_matrix() -> NDArray[np.float32]:
    matrix = np.zeros((len(BYTES), 256), np.float32)
    for row, members in enumerate(BYTES.values()):
        matrix[row, list(members)] = 1.0
    return matrix


def _usual_counts() -> NDArray[np.float32]:
    """How often each class occurs in SMOOTHING characters of prose."""
    return np.array([SMOOTHING * _PROSE.get(name, 0.0) for name in BYTES], np.float32)
