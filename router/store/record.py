"""The durable record: alone reads and writes the entries of the stream `b:{tenant}:led`.

One entry stands for each thing that moved money or set a budget; the counters can be computed from it at any
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from router.store import names
from router.store.ledger import SEPARATOR
from router.store.scripts import Ask, Reply, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the durable record.

    Attributes:
        cursor: its place in the stream. kind: `settled`, `void`, `reaped`, `late`, `adjust`, `budget`,
            `unbudget`, `roll`.
        id: of the hold, the adjustment or the budget. cost_nano: what it adds to the spend; negative for a
            refund.
        held_nano: what it released; of a `roll`, what it carried over. windows, scopes: where it is booked.
        at: seconds since 1970.
    """

    cursor: str
    kind: str
    id: str
    cost_nano: int
    held_nano: int
    windows: tuple[str, ...]
    scopes: tuple[str, ...]
    estimated: bool
    facts: bytes
    at: float

    def dump(self) -> bytes:
        """As one JSON object, for an export; `load` reads it back."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return orjson.dumps({**fields, "facts": self.facts.decode("utf-8", "replace")})

    @classmethod
    def load(cls, line: bytes) -> Entry:
        """From `dump`."""
        fields: dict[str, Any] = orjson.loads(line)
        fields |= {"facts": fields["facts"].encode()}
        fields |= {name: tuple(fields[name]) for name in ("windows", "scopes")}
        return cls(**fields)


def entries_ask(tenant: str, after: str, count: int) -> Ask[list[Entry]]:
    """The entries after a cursor, oldest first."""
    return Ask(("XRANGE", names.of(tenant, "led"), f"({after}", "+", "COUNT", count), read_entries)


def again_ask(tenant: str, entry: Entry) -> Ask[str]:
    """Put an exported entry back at its place, which must lie after all others."""
    words: dict[str, str | bytes | int] = {
        "k": entry.kind,
        "i": entry.id,
        "c": entry.cost_nano,
        "a": entry.held_nano,
        "w": ",".join(entry.windows),
        "s": SEPARATOR.join(entry.scopes),
        "e": int(entry.estimated),
        "f": entry.facts,
        "t": round(entry.at * 1000),
    }
    flat = [word for pair in words.items() for word in pair]
    return Ask(("XADD", names.of(tenant, "led"), entry.cursor, *flat), text)


def read_entries(reply: Reply) -> list[Entry]:
    """Entries from a stream's reply."""
    return [_entry(text(cursor), dict(zip(words[::2], words[1::2], strict=True))) for cursor, words in reply]


def _entry(cursor: str, words: dict[bytes, bytes]) -> Entry:
    windows = text(words[b"w"])
    return Entry(
        cursor=cursor,
        kind=text(words[b"k"]),
        id=text(words[b"i"]),
        cost_nano=int(words[b"c"]),
        held_nano=int(words[b"a"]),
        windows=tuple(windows.split(",")) if windows else (),
        scopes=tuple(text(words[b"s"]).split(SEPARATOR)),
        estimated=words[b"e"] == b"1",
        facts=words[b"f"],
        at=int(words[b"t"]) / 1000,
    )


def place(cursor: str) -> tuple[int, int]:
    """A cursor as something that compares: milliseconds since 1970, and a number within."""
    first, _, second = cursor.partition("-")
    return int(first), int(second)
