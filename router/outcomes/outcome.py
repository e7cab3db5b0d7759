"""One outcome, as the store keeps it until the log has it; and how far each source is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from policies.log_schema import CHECKER, IMPLICIT, is_source

# How far a source is to be believed: the weight of its label. What is checked is nearly certain; what is guessed from
# how people behave is often wrong (a question asked again may be a new thought). `log.reliability` overrides.
RELIABILITY: Final[Mapping[str, float]] = {
    "feedback.score": 0.9,
    "feedback.thumbs": 0.8,
    "feedback.label": 0.9,
    "feedback.correction": 0.85,
    "implicit.starved": 0.95,
    "implicit.json_invalid": 0.95,
    "implicit.tool_call_invalid": 0.95,
    "implicit.truncated": 0.5,
    "implicit.refused": 0.6,
    "implicit.escalated": 0.6,
    "implicit.retried": 0.4,
    "implicit.rephrased": 0.3,
    "judge": 0.7,
}
UNLISTED: Final = 0.5
# How good an answer was, by what was seen of it.
VALUE: Final[Mapping[str, float]] = {
    "implicit.starved": 0.0,
    "implicit.json_invalid": 0.0,
    "implicit.tool_call_invalid": 0.0,
    "implicit.truncated": 0.2,
    "implicit.refused": 0.0,
    "implicit.escalated": 0.1,
    "implicit.retried": 0.2,
    "implicit.rephrased": 0.3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """See `policies.log_schema.OUTCOME_COLUMNS`; the same names, but for `written`, which the log adds."""

    outcome_id: str
    decision_id: str
    tenant: str
    key: str
    created: float
    source: str
    value: float
    reliability: float
    label: str | None = None
    model: str | None = None
    tier: str | None = None
    allowance: int | None = None
    note: str | None = None

    def dump(self) -> bytes:
        """As JSON."""
        return orjson.dumps(asdict(self))

    @property
    def says(self) -> bytes:
        """What makes it another outcome when it differs: everything but its time."""
        return orjson.dumps({**asdict(self), "created": 0.0}, option=orjson.OPT_SORT_KEYS)


def outcome_id(*parts: str) -> str:
    """The same for the same parts; 32 hexadecimal digits."""
    return blake2b("\x00".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()


def reliability(source: str, declared: Mapping[str, float]) -> float:
    """How far a source is believed, 0..1."""
    return declared.get(source, RELIABILITY.get(source, UNLISTED))


def unknown_sources(declared: Mapping[str, float]) -> list[str]:
    """The names that are no source's."""
    return [name for name in declared if not is_source(name)]


def observed(what: str, record: Mapping[str, Any], declared: Mapping[str, float], *, created: float) -> Outcome:
    """Something that Rung saw by itself of the answer to a recorded decision."""
    source = f"{IMPLICIT}.{what}"
    return _of(record, source, VALUE[source], reliability(source, declared), created=created)


def checked(
    checker: str, record: Mapping[str, Any], score: float, believed: float, *, created: float, note: str = ""
) -> Outcome:
    """What an operator's checker said of an answer."""
    return _of(record, f"{CHECKER}.{checker}", score, believed, created=created, note=note)


def _of(
    record: Mapping[str, Any], source: str, value: float, believed: float, *, created: float, note: str = ""
) -> Outcome:
    """One a source and decision: said again, it is the same."""
    return Outcome(
        outcome_id=outcome_id(record["id"], source),
        decision_id=record["id"],
        tenant=record["tenant"],
        key=record["key"],
        created=created,
        source=source,
        value=value,
        reliability=believed,
        note=note or None,
    )
