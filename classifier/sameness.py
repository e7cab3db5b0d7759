"""Do two questions ask the same? A text becomes a row of normal words and a vector; guards and a distance compare two.

    text -> courtesies off, contractions apart -> words in their normal form, slips mended -> vector of the whole
    same: as many words, equal in their places but for one of the same stem, the vectors no further apart than REACH

The vector is the encoder's plain sum, so that what two texts share cancels out: the distance is that of what differs,
however long they are. Bags of words know nothing of negation, numbers, names or order; the guards do, by comparing the
words in their places. Whatever is doubtful is not the same: a wrong answer costs more than a call.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.encoder import StaticEncoder, load_static
from classifier.vocabulary import MEMO_WORDS, one_edit_apart

Vector = NDArray[np.floating[Any]]

# Calibrated by `rung bench cache` (docs/cache.md): near misses of one stem begin at 3.4 (president, presidency),
# inflected forms and spellings mostly lie within 3 (effect, effects: 1.95). A typical word is 4 long.
REACH = 3.0
MAX_CHARS = 2_000  # of longer texts too little hangs on each word, and reading them takes milliseconds
MAX_WORDS = 300
STEM_LETTERS = 4  # variants of a word (an s, another ending) share them; shorter words are mostly grammar
SLIP_LETTERS = 7  # a shorter word has too many neighbours to tell which one was meant
_OPPOSITES = ("less", "yee", "ible", "able")  # harmful and harmless share a stem, employer and employee too
_MARK_BYTES = 6  # of an HMAC: 2^48 words; one of them is looked at where all others are equal
_NO_STEM = bytes(_MARK_BYTES)

# What may stand before and after a question without being part of it; taken off again and again.
_BEFORE = re.compile(
    r"^(?:(?:hi|hello|hey|good (?:morning|evening|afternoon))(?: there| all| team)?"
    r"(?=\s*[,.!:;]| (?:can|could|would|will|please|how|what|why|when|where|who|i)\b)|"
    r"(?:ok|okay|so|well|um)(?=,)|please|pls|plz|kindly|"
    r"(?:can|could|would|will) you(?: please)?(?: kindly)?|i would like (?:you )?to know|i want to know|"
    r"i would like you to|i want you to|i need you to|i was wondering|i wonder|i am wondering|"
    r"(?:can|could|would) you tell me|do you (?:happen to )?know|tell me|let me know|help me understand|"
    r"quick question|just wondering|a question|my question is|i have a question)\b[\s,:;.!?-]*"
)
_AFTER = re.compile(
    r"(?:[,;.!?-]\s*|(?<!\bfor)(?<!\bof)(?<!\bto)(?<!\bin)(?<!\band)(?<!\bor)(?<!\bis)\s+)"
    r"(?:please|pls|plz|thanks(?: a lot| so much| in advance)?|thank you(?: very much| so much)?|thx|cheers)[\s.!?]*$"
)
_CONTRACTIONS = (
    (re.compile(r"\b(can)(?:'?t|not)\b"), r"\1 not"),
    (re.compile(r"\bwon'?t\b"), "will not"),
    (re.compile(r"\bshan'?t\b"), "shall not"),
    (re.compile(r"\b(do|does|did|is|are|was|were|has|have|had|should|would|could|must)n'?t\b"), r"\1 not"),
    (re.compile(r"\b(what|who|where|when|how|that|there|it|he|she)'s\b"), r"\1 is"),
    (re.compile(r"\bwhats\b"), "what is"),
    (re.compile(r"\bi'm\b"), "i am"),
    *(
        (re.compile(rf"\b(i|you|we|they)'{ending}\b"), rf"\1 {word}")
        for ending, word in (("d", "would"), ("ll", "will"), ("ve", "have"), ("re", "are"))
    ),
)
# Ways to put one question.
_WAYS = (
    (re.compile(r"^what (?:is|are) (?=\S)"), ""),
    (re.compile(r"^how (?:do|can|could) (?:i|we|one|someone) "), "how to "),
    (re.compile(r"^what is the way to "), "how to "),
    (re.compile(r"^(?:give|show) me "), ""),
)
_DROPPED = frozenset({"a", "an", "the"})
_NUMBERS = dict(
    pair.split("=")
    for pair in (
        *("zero=0", "one=1", "two=2", "three=3", "four=4", "five=5", "six=6", "seven=7"),
        *("eight=8", "nine=9", "ten=10", "eleven=11", "twelve=12"),
    )
)
# Questions about the very letters of a text, in which a slip or a variant is the point.
_VERBATIM = re.compile(
    r"\b(?:spell\w*|typos?|gramm\w+|proofread\w*|correct(?:ed|ion|ions|ly)?|letters?|rewrite|rephrase|paraphrase|"
    r"translat\w+|uppercase|lowercase|capital(?:ise|ize|isation|ization)\w*|characters?|rhymes?|anagrams?|"
    r"palindromes?|pronounc\w+|synonyms?|antonyms?|plural|singular|tense|vowels?|consonants?|syllables?|"
    r"words?|phrases?|string|quote|verbatim|exactly|regex|say|says|saying|mean|means|meaning|reply|respond)\b"
)
# Acronyms whose small letters mean something else ("IT", "US", "WHO").
_ACRONYM = re.compile(r"\b(?:IT|US|WHO|OR|AND|IN|ON|ME|HE|AM|ALL|AIDS|ARM|CAN|MAY|SAT|ACT)\b")
_WORD = re.compile(r"[^\W_]+|[^\s\w.,;:!?\"'()`\u2018\u2019\u201c\u201d\u2026]|_")
# Drawings, tables and indented code, in which every space may count.
_LAYOUT = re.compile(r"\n[ \t]+\S|\S(?:[ \t]{3,}|\t)\S[^\n]*\n|\n[^\w\n]{4,}\n")
# Beside figures and operators every sign counts: 5! is not 5, and (2+3)*4 is not 2+3*4.
_EXACT = re.compile(r"[^\W_]+|[^\w\s]|_")
_FORMULA = re.compile(r"[0-9+=*/^<>|\\{}\[\]()]")
_END = re.compile(r"[\s.?]+$")
_QUOTED = re.compile(r"[\"`\u201c\u201d]|(?:^|\s)'|'(?:\s|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is kept of a question, without its words.

    Attributes:
        vector: (d,) sum of the encoder's rows. marks: a keyed hash of each normal word, in order.
        stems: per word, a keyed hash of its first letters, which its variants share; b"" where it has none.
    """

    vector: Vector
    marks: tuple[bytes, ...]
    stems: tuple[bytes, ...]

    def packed(self) -> bytes:
        """Marks and stems as bytes; `unpacked` reads them."""
        return b"".join((*self.marks, *(stem or _NO_STEM for stem in self.stems)))


def unpacked(vector: bytes, packed: bytes) -> Asked:
    """A question as it was kept: its vector in single precision, and what `Asked.packed` wrote."""
    words = [packed[at : at + _MARK_BYTES] for at in range(0, len(packed), _MARK_BYTES)]
    half = len(words) // 2
    stems = tuple(b"" if stem == _NO_STEM else stem for stem in words[half:])
    return Asked(vector=np.frombuffer(vector, np.float32), marks=tuple(words[:half]), stems=stems)


class Reader:
    """Reads questions for comparison.

    Args:
        encoder: the static one, for which REACH was calibrated. secret: keys the words' hashes.
    """

    def __init__(self, encoder: StaticEncoder, secret: bytes) -> None:
        self._encoder = encoder
        self._secret = secret
        self._mark = lru_cache(maxsize=MEMO_WORDS)(self._hashed)

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""
        return self._encoder.dimensions

    def read(self, text: str) -> Asked | None:
        """What is kept of a question, or None where it is too long, empty or not of words."""
        if not text or len(text) > MAX_CHARS:
            return None
        if _LAYOUT.search(text):
            return None
        normal = _normal(text)
        words = [word for word in _tokens(normal) if word not in _DROPPED]
        if not 0 < len(words) <= MAX_WORDS:
            return None
        verbatim = _is_verbatim(text)
        names = frozenset(_capitalised(text))
        kept = [_NUMBERS.get(w, w) if verbatim or w in names else self._mended(_NUMBERS.get(w, w)) for w in words]
        rows = self._encoder.vocabulary.look_up([word.encode() for word in kept])
        fixed = names.union(kept) if verbatim else names
        stems = ["" if word in fixed else self._stem(word) for word in kept]
        acronyms = [f"\0{word}" for word in _ACRONYM.findall(text)]
        return Asked(
            vector=np.asarray(self._encoder.total(rows), np.float32),
            marks=tuple(self._mark(word) for word in (*kept, *acronyms)),
            stems=tuple(self._mark(f"\1{stem}") if stem else b"" for stem in (*stems, *("" for _ in acronyms))),
        )

    def _mended(self, word: str) -> str:
        """The word that was meant by a slip of the pen."""
        if len(word) < SLIP_LETTERS:
            return word
        vocabulary = self._encoder.vocabulary
        rows = vocabulary.rows(word.encode())
        meant = vocabulary.tokens[rows[0]] if len(rows) == 1 else ""
        return meant if _is_slip(word, meant) else word

    def _stem(self, word: str) -> str:
        """The first letters of a word that may have variants, or "" where it has none."""
        varied = len(word) > STEM_LETTERS and word.isascii() and word.isalpha() and not word.endswith(_OPPOSITES)
        return word[:STEM_LETTERS] if varied and self._encoder.vocabulary.knows(word.encode()) else ""

    def _hashed(self, word: str) -> bytes:
        return hmac.digest(self._secret, b"word" + word.encode(), "sha256")[:_MARK_BYTES]


def shipped_reader(secret: bytes) -> Reader:
    """A reader with the encoder that ships."""
    return Reader(load_static(Path(__file__).parent / "default"), secret)


def same(one: Asked, other: Asked, reach: float = REACH) -> bool:
    """Whether two questions ask the same."""
    if len(one.marks) != len(other.marks):
        return False
    places = [at for at, (a, b) in enumerate(zip(one.marks, other.marks, strict=True)) if a != b]
    if not places:
        return True
    stem = one.stems[places[0]]
    return len(places) == 1 and stem != b"" and stem == other.stems[places[0]] and distance(one, other) <= reach


def distance(one: Asked, other: Asked) -> float:
    """How far apart the two texts' vectors are; 0 where the words are the same."""
    return float(np.linalg.norm(one.vector - other.vector))


def _is_slip(word: str, meant: str) -> bool:
    """Whether two letters changed places, or one is missing or too many; another letter makes another word (adsorb)."""
    another = len(meant) == len(word) and sorted(meant) != sorted(word)
    same_start = meant[:1] == word[:1]
    return same_start and not another and meant != f"{word}s" and one_edit_apart(word.encode(), meant.encode())


def _is_verbatim(text: str) -> bool:
    """Whether every letter may count: code, quotations, several lines, or a question about words."""
    return bool(_VERBATIM.search(text.lower()) or _QUOTED.search(text) or "\n" in text.strip())


def _normal(text: str) -> str:
    """The text in small letters; unless its letters count, without courtesies and with common ways to ask made one."""
    plain = " ".join(text.lower().replace("\u2019", "'").split())
    if _is_verbatim(text):
        return plain
    for pattern, apart in _CONTRACTIONS:
        plain = pattern.sub(apart, plain)
    bare = plain
    while (shorter := _AFTER.sub("", _BEFORE.sub("", bare))) != bare:
        bare = shorter
    for pattern, way in _WAYS:
        bare = pattern.sub(way, bare)
    return bare or plain


def _tokens(normal: str) -> list[str]:
    """The words, and the signs that change what is asked."""
    return (_EXACT if _FORMULA.search(normal) else _WORD).findall(_END.sub("", normal))


def _capitalised(text: str) -> Iterator[str]:
    """Words with a capital that no sentence's beginning explains, in small letters: names."""
    starts = True
    for match in re.finditer(r"[^\W_]+|[.!?]", text):
        word = match[0]
        if word in ".!?":
            starts = True
            continue
        if not starts and word[0].isupper():
            yield word.lower()
        starts = False
