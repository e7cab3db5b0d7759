"""What a record, and the one before it in the same session, say of an answer without anybody being asked. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.outcomes.outcome import Outcome, observed
from router.wire.reading import AUTO_QUALITY

# Tokens of visible answer: less than a sentence is none.
STARVED_TOKENS = 16
# Who was not content asks again soon; later it is another matter.
AGAIN_WITHIN_S = 600.0
# Cosine of two questions' vectors. On pairs of paraphrases the static encoder gives .8 to .95, on questions of one
# subject .3 to .7.
ALIKE = 0.85
SESSIONS = 50_000  # remembered at once; some 100 MB with their vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    record: Mapping[str, Any]
    vector: NDArray[np.floating[Any]] | None


def of_record(record: Mapping[str, Any], declared: Mapping[str, float]) -> Iterator[Outcome]:
    """What one record says of its own answer."""
    served = record["served"]
    finish = served.get("finish_reason")
    if finish == "length":
        what = "starved" if _starved(served["usage"]) else "truncated" if _unbounded(record) else None
        if what is not None:
            yield observed(what, record, declared, created=record["created"])
    elif finish == "content_filter":
        yield observed("refused", record, declared, created=record["created"])


def _starved(usage: Mapping[str, Any]) -> bool:
    """Whether thinking ate the answer."""
    thinking, output = usage.get("reasoning"), usage.get("output")
    return bool(thinking) and output is not None and output - thinking < STARVED_TOKENS


def _unbounded(record: Mapping[str, Any]) -> bool:
    """Whether Rung cut the answer, rather than the client's own `max_tokens`."""
    inputs = record.get("inputs")
    return inputs is None or inputs["demand"]["max_output_tokens"] is None


class Sessions:
    """Remembers the last question of each session, to see it asked again."""

    def __init__(self, declared: Mapping[str, float]) -> None:
        self._declared = declared
        self._last: OrderedDict[tuple[str, str], _Asked] = OrderedDict()

    def follow(self, record: Mapping[str, Any], vector: NDArray[np.floating[Any]] | None) -> Outcome | None:
        """What this record says of the answer to the session's former question, if anything."""
        session = record["session"]
        if session is None:
            return None
        place, now = (record["tenant"], session), _Asked(record=record, vector=vector)
        before = self._last.get(place)
        if before is not None and before.record["created"] >= record["created"]:
            return None  # a part that is written again
        self._last[place] = now
        self._last.move_to_end(place)
        if len(self._last) > SESSIONS:
            self._last.popitem(last=False)
        what = None if before is None else _what(before, now)
        if before is None or what is None:
            return None
        return observed(what, before.record, self._declared, created=record["created"])


def _what(before: _Asked, now: _Asked) -> str | None:
    former, later = before.record, now.record
    if former["error"] is not None or later["created"] - former["created"] > AGAIN_WITHIN_S:
        return None
    same = _hash(former) is not None and _hash(former) == _hash(later)
    if not same and not _alike(before.vector, now.vector):
        return None
    if _asked_for_more(former, later):
        return "escalated"
    return "retried" if same else "rephrased"


def _hash(record: Mapping[str, Any]) -> str | None:
    return (record.get("log") or {}).get("text_hash")


def _alike(a: NDArray[np.floating[Any]] | None, b: NDArray[np.floating[Any]] | None) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return False
    size = float(np.sqrt((a @ a) * (b @ b)))
    return size > 0 and float(a @ b) >= ALIKE * size


def _asked_for_more(former: Mapping[str, Any], later: Mapping[str, Any]) -> bool:
    """Whether the client turned to another model by name, or to a dial that leans to the better rung."""
    asked = later["requested_model"]
    if asked == former["requested_model"]:
        return False
    if asked in AUTO_QUALITY:
        return asked == "auto:quality"
    return asked != former["served"].get("model")
