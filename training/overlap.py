"""Which questions of one set stand in another, wholly or in part, so that nobody trains on the examination.

Two questions overlap when they share nine words in a row, or when their stems (the text before the answer
options) are the same. The relation is symmetric, so that removing one side's members is enough. Word runs
that recur in many questions of a set are a template of its prompts ("You are given a Python function and
..."), not a question, and do not count. Word runs follow the decontamination of language models' training
sets (Brown et al. 2020, arXiv 2005.14165, appendix C: 13 words; nine are stricter).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

NGRAM = 9
TEMPLATE_COUNT = 20  # no question was found copied more often than this within one set; templates recur in the hundreds
STEM_WORDS = 4  # shorter stems ("Which is true?") say nothing about the question

_OPTION = re.compile(r"^\s*\(?[A-J][.):]\s", re.MULTILINE)
_NOT_WORD = re.compile(r"[\W_]+")
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: an odd multiplier that spreads consecutive words

Hashes = NDArray[np.uint64]


def normalise(text: str) -> str:
    """The question reduced to its words: compatibility forms, lower case, no punctuation, single spaces.

    Text without a single word (symbols, emoji) keeps its characters, so that two such questions stay apart.

    >>> normalise("What  is 2+2?")
    'what is 2 2'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORD.sub(" ", folded).strip() or " ".join(folded.split())


def stem(text: str) -> str:
    """The normalised question without its answer options ("A. ..."); whole where too little would remain."""
    options = _OPTION.search(text)
    short = normalise(text[: options.start()]) if options else ""
    return short if len(short.split()) >= STEM_WORDS else normalise(text)


def overlapping(questions: Sequence[str], others: Sequence[str], *, n: int = NGRAM) -> NDArray[np.bool_]:
    """Which of `questions` overlap with any of `others`.

    Returns:
        (len(questions),) True where one of `others` shares a run of `n` words or the stem.
    """
    stems = set(map(stem, others))
    same_stem = np.fromiter((stem(q) in stems for q in questions), dtype=np.bool_, count=len(questions))
    grams, owners = _grams(questions, n)
    shared = np.isin(grams, _distinctive(_grams(others, n)[0])) & np.isin(grams, _distinctive(grams))
    return same_stem | (np.bincount(owners[shared], minlength=len(questions)) > 0)


def _grams(texts: Sequence[str], n: int) -> tuple[Hashes, NDArray[np.intp]]:
    """Hashes of the distinct word n-grams of each text, and the text that each belongs to."""
    number = cache(_hash_word)
    runs = [np.unique(_rolling([number(word) for word in normalise(text).split()], n)) for text in texts]
    owners = np.repeat(np.arange(len(runs)), [run.size for run in runs])
    return (np.concatenate(runs) if runs else np.empty(0, np.uint64)), owners


def _hash_word(word: str) -> int:
    """64 bits of a word, the same in every process (Python's own `hash` is salted)."""
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _rolling(words: Sequence[int], n: int) -> Hashes:
    """Polynomial hashes modulo 2^64 of every run of `n` words."""
    if len(words) < n:
        return np.empty(0, np.uint64)
    numbers = np.array(words, np.uint64)
    powers = np.cumprod(np.full(n, _MIX, np.uint64))
    windows = np.lib.stride_tricks.sliding_window_view(numbers, n)
    return (windows * powers).sum(axis=1, dtype=np.uint64)


def _distinctive(grams: Hashes) -> Hashes:
    """The n-grams that stand in at most TEMPLATE_COUNT texts (each text holds a gram once)."""
    values, counts = np.unique(grams, return_counts=True)
    return values[counts <= TEMPLATE_COUNT]
