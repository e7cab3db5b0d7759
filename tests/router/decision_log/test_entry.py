"""What of a request is told to the log, for each kind of tenant."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from policies.word_runs import HEAD_CHARS, MOST, read_runs
from router.decision_log.entry import Logging

QUESTION = "Which river runs through Riga? It is zebra protocol seven."
LONG = 200_000  # characters


def asked(text: str) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({"keep_text": True}, {"text"}),
        ({"keep_text": False}, {"word_runs"}),
        ({"keep_text": False, "hash_runs": False}, set[str]()),
    ],
    ids=["text allowed", "not allowed", "not even hashes"],
)
def test_a_text_or_its_word_runs_or_neither_is_told(how: dict[str, bool], kept: set[str]) -> None:
    told = Logging(pepper=b"secret", **how).about("acme", asked(QUESTION))
    assert told.keys() & {"text", "word_runs"} == kept


def test_without_leave_no_word_of_the_text_is_told() -> None:
    told = orjson.dumps(Logging(pepper=b"secret").about("acme", asked(QUESTION))).decode().lower()
    assert not [word for word in ("river", "riga", "zebra", "protocol", "seven") if word in told]


def test_of_the_longest_texts_no_more_is_told_than_of_others() -> None:
    text = "".join(f"word{number} " for number in range(LONG // 9))
    told = Logging(pepper=b"secret").about("acme", asked(text))
    assert len(text) > 10 * HEAD_CHARS
    assert len(read_runs(told["word_runs"])) == MOST
