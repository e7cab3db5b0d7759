"""Why a query looks hard or easy, as a person would say it: what it asks for and what it looks like.

A hundred features move the difficulty. Those that mean the same to a reader are added up, and what is not there is no
reason: a text is not called easy for asking no proof.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.cues import CLASSES
from classifier.features import NAMES

Floats = NDArray[np.floating]
COUNT: Final = 3  # reasons given
SURE: Final = 0.5  # from this probability of triviality on, it is the reason
WORTH_SAYING: Final = 0.02  # logits; what moved the difficulty less is no reason

# What a person says: the phrase where the telling feature is at least `high`, that where it is below `low` (empty:
# nothing is said), that feature and its bounds, and all features that mean the same.
_LOOKS: Final[tuple[tuple[str, str, str, float, float, tuple[str, ...]], ...]] = (
    ("a long text", "a short text", "log_words", np.log1p(20), np.log1p(60),
     ("log_chars", "log_words", "log_seen", "log_stem", "log_sentences", "log_letters", "log_spaces", "log_stops",
      "log_commas")),
    ("rare or technical words", "everyday words", "rank_mean", 7.4, 7.75,
     ("rank_mean", "rank_spread", "rank_max", "rare_words", "word_length", "longest_word", "pieces_per_word")),
    ("long sentences", "short sentences", "words_per_sentence", 9, 18, ("words_per_sentence",)),
    ("varied wording", "repeated words", "distinct_words", 0.5, 0.9, ("distinct_words",)),
    ("plain prose", "symbols rather than prose", "share_letters", 0.68, 0.78, ("share_letters", "share_spaces")),
    ("several questions", "", "log_questions", 0, np.log1p(2), ("log_questions", "share_questions")),
    ("answer options to choose from", "", "options", 0, 1, ("options",)),
    ("many numbers", "", "log_numbers", 0, np.log1p(4), ("log_numbers", "log_digits", "share_digits",
                                                          "longest_number")),
    ("formulae", "", "log_operators", 0, np.log1p(1),
     ("share_equals", "log_equals", "share_operators", "log_operators", "share_minus", "log_minus")),
    ("formulae", "", "log_backslashes", 0, np.log1p(2),
     ("share_dollars", "log_dollars", "share_backslashes", "log_backslashes", "share_round", "log_round")),
    ("code", "", "log_cue_code", 0, np.log1p(3),
     ("cue_code", "log_cue_code", "share_underscores", "log_underscores", "share_braces", "log_braces",
      "share_brackets", "log_brackets")),
    ("several lines", "", "log_newlines", 0, np.log1p(2),
     ("log_newlines", "share_newlines", "first_line_share", "share_colons", "log_colons")),
    ("quotations", "", "log_quotes", 0, np.log1p(2), ("share_quotes", "log_quotes")),
    ("names and capitals", "", "share_capitals", 0, 0.06, ("share_capitals", "log_capitals")),
    ("exclamations", "", "log_exclamations", 0, np.log1p(1), ("share_exclamations", "log_exclamations")),
    ("unreadable words", "", "unknown_words", 0, 0.05, ("unknown_words",)),
    ("Cyrillic text", "", "share_cyrillic", 0, 0.2, ("share_cyrillic", "log_cyrillic")),
    ("Hebrew or Arabic text", "", "share_semitic", 0, 0.2, ("share_semitic", "log_semitic")),
    ("East Asian text", "", "share_east_asian", 0, 0.2, ("share_east_asian", "log_east_asian")),
    ("Greek letters", "", "log_greek", 0, np.log1p(1), ("share_greek", "log_greek")),
    ("accented letters", "", "log_latin_marks", 0, np.log1p(1), ("share_latin_marks", "log_latin_marks")),
)  # fmt: skip
_ASKS: Final[dict[str, str]] = {
    "who_when_where": "asks who, when or where",
    "what_which": "asks what or which",
    "how_why": "asks how or why",
    "prove": "asks for a proof",
    "compute": "asks for a calculation",
    "write": "asks for a piece of writing",
    "rewrite": "asks to rework a text",
    "explain": "asks for an explanation",
    "small_talk": "small talk",
    "condition": "conditions to keep to",
    "negation": "a negation",
    "quantity": "quantities",
    "order": "an order or steps",
    "geometry": "geometry",
    "algebra": "algebra",
    "physics": "physics",
    "chemistry": "chemistry",
    "biology": "biology",
    "medicine": "medicine",
    "law": "law",
    "economics": "economics",
    "mind": "ethics or psychology",
    "history": "history",
    "entertainment": "film, music, books or sport",
    "puzzle": "the words of a puzzle",
    "format": "a prescribed form of answer",
    "effort": "words of effort",
}
_KINDS: Final[dict[str, str]] = {
    "small talk": "small talk",
    "knowledge": "a question of knowledge",
    "commonsense": "a question of common sense",
    "science": "a question of science",
    "mathematics": "a mathematical question",
    "code": "a programming task",
    "puzzle": "a puzzle",
    "professional": "a question for professionals",
    "writing": "a writing task",
}

_GROUPS: Final = (
    *_LOOKS,
    *((phrase, "", f"log_cue_{cue}", 0.0, 0.5, (f"cue_{cue}", f"log_cue_{cue}")) for cue, phrase in _ASKS.items()),
)
_INDEX: Final = {name: position for position, name in enumerate(NAMES)}
_TELLS: Final = [_INDEX[tell] for _, _, tell, *_ in _GROUPS]
_LOW: Final = [float(np.float32(low)) for *_, low, _, _ in _GROUPS]  # features are in single precision
_HIGH: Final = [float(np.float32(high)) for *_, high, _ in _GROUPS]
_MEMBERS: Final = np.zeros((len(_GROUPS), len(NAMES)), np.float32)
for _row, (*_, _names) in enumerate(_GROUPS):
    _MEMBERS[_row, [_INDEX[name] for name in _names]] = 1.0
_PHRASES: Final = [(high, low) for high, low, *_ in _GROUPS]
assert set(_ASKS) <= set(CLASSES)  # noqa: S101 - a word class that is gone is a programming error, found at import


def top_reasons(
    pushes: Floats, by_vector: float, features: Floats, kind: str, triviality: float = 0.0
) -> tuple[str, ...]:
    """What moved the difficulty, as `harder: ...` or `easier: ...`, most important first.

    Args:
        pushes: (len(NAMES),) by how much each feature moved the logit of failure; by_vector: the same of the encoder's
            vector, which stands for the subject.
        features: (len(NAMES),) the features as counted.
        kind: of task.
        triviality: probability that anyone can answer this.
    """
    total = _MEMBERS @ pushes
    sizes: dict[str, float] = {}
    for row in np.abs(total).argsort()[: -4 * COUNT - 1 : -1].tolist():  # some have no words, some share theirs
        phrase = _phrase(row, features.item(_TELLS[row]))
        if phrase:
            sizes[phrase] = sizes.get(phrase, 0.0) + total.item(row)
    subject = _KINDS.get(kind, kind)
    sizes[subject] = sizes.get(subject, 0.0) + by_vector
    said = sorted(sizes.items(), key=lambda item: -abs(item[1]))
    trivial = ("easier: " + _trivial(features),) if triviality >= SURE else ()
    wanted = (*trivial, *(_signed(*item) for item in said[: COUNT + 1] if abs(item[1]) >= WORTH_SAYING))
    return tuple(dict.fromkeys(wanted))[:COUNT]


def _phrase(row: int, tell: float) -> str:
    high, low = _PHRASES[row]
    return high if tell >= _HIGH[row] else low if tell < _LOW[row] else ""


def _signed(phrase: str, push: float) -> str:
    return f"{'harder' if push > 0 else 'easier'}: {phrase}"


def _trivial(features: Floats) -> str:
    digits = features[_INDEX["log_digits"]] > 0
    return "small arithmetic" if digits else "a greeting, or a question that anyone can answer"
