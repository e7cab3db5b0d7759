"""Why a query looks hard or easy, in words: the features that moved the difficulty most."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.features import BYTES, NAMES

_SHAPE_WORDS: Final[dict[str, str]] = {
    "log_chars": "its length",
    "log_words": "its number of words",
    "log_seen": "its length",
    "word_length": "the length of its words",
    "log_sentences": "its number of sentences",
    "words_per_sentence": "the length of its sentences",
    "options": "answer options",
    "log_numbers": "its numbers",
    "longest_number": "its long numbers",
    "distinct_words": "the variety of its words",
    "pieces_per_word": "unusual words",
    "unknown_words": "unreadable words",
    "rank_mean": "how rare its words are",
    "rank_spread": "the mix of rare and common words",
    "rank_max": "its rarest word",
    "rare_words": "how rare its words are",
    "opening_cue_question": "the question word that opens it",
    "opening_cue_task": "the order that opens it",
    "longest_word": "its longest word",
    "first_line_share": "its layout in lines",
}
_BYTE_WORDS: Final[dict[str, str]] = {
    "letters": "its share of letters",
    "capitals": "capital letters",
    "digits": "digits",
    "spaces": "spacing",
    "newlines": "its layout in lines",
    "questions": "question marks",
    "exclamations": "exclamation marks",
    "commas": "commas",
    "stops": "full stops",
    "colons": "colons",
    "quotes": "quotation marks",
    "round": "parentheses",
    "brackets": "brackets",
    "braces": "braces",
    "equals": "equations",
    "operators": "operators",
    "minus": "minus signs",
    "dollars": "formulae",
    "backslashes": "formulae",
    "underscores": "underscores",
    "pipes": "markup",
    "latin_marks": "accented letters",
    "greek": "Greek letters",
    "cyrillic": "Cyrillic text",
    "semitic": "Hebrew or Arabic text",
    "symbols": "symbols",
    "east_asian": "East Asian text",
    "rare_planes": "emoji",
}


def phrase(name: str) -> str:
    """A feature's name in words.

    >>> phrase("cue_prove")
    'words of the class "prove"'
    """
    if name in _SHAPE_WORDS:
        return _SHAPE_WORDS[name]
    kind, _, rest = name.removeprefix("log_").removeprefix("share_").partition("cue_")
    return f'words of the class "{rest.replace("_", " ")}"' if rest else _BYTE_WORDS[kind]


PHRASES: Final[tuple[str, ...]] = tuple(phrase(name) for name in NAMES)
assert len(_BYTE_WORDS) == len(BYTES)  # noqa: S101 - a feature without words is a programming error, found at import


def top_reasons(pushes: NDArray[np.float32], count: int = 3) -> tuple[str, ...]:
    """The strongest pushes on the difficulty as sentences' ends, most important first.

    Args:
        pushes: (len(NAMES),) by how much each feature moved the logit of failure.
        count: how many to name at most.
    """
    said: dict[str, str] = {}
    sizes = np.abs(pushes)
    likely = np.argpartition(sizes, -3 * count)[-3 * count :]  # some share their words with others
    for index in likely[np.argsort(-sizes[likely])].tolist():
        words = PHRASES[index]
        if words not in said and len(said) < count and pushes[index] != 0:
            said[words] = f"{'harder' if pushes[index] > 0 else 'easier'}: {words}"
    return tuple(said.values())
