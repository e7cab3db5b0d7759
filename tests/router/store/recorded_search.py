"""A server that searches vectors, simulated where none is installed: what Redis 7.4.1 with RediSearch 2.10 has said.

Each exchange holds the bytes that were sent and those that came back, so that a command that is formed otherwise has no
answer here. Where a real server is installed, `test_near` says all of it again and compares.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import hiredis
import numpy as np

from classifier.sameness import Asked
from router.store.near import NearLook, Question, SearchNear, open_near
from router.store.scripts import Ask, Reply
from tests.store_servers import packed

T = TypeVar("T")
Say = Callable[[bytes], bytes]
FILE = Path(__file__).with_name("recorded_search.json")
DIMENSIONS = 4
GROUP, OTHER_GROUP = "0f" * 32, "f0" * 32


def asked(vector: tuple[float, ...], *marks: str) -> Asked:
    """A question of two words, the second with variants."""
    return Asked(
        vector=np.array(vector, np.float32), marks=tuple(mark.encode() for mark in marks), stems=(b"", b"stem-b")
    )


HERE = asked((1, 0, 0, 0), "word-a", "word-b")
VARIANT = asked((1, 0, 0, 0.5), "word-a", "word-B")
ANOTHER = asked((1, 0, 0, 0), "word-x", "word-b")
# Name -> question, all of one group: as near as can be are another tenant's, and one of the organisation's tenants.
KEPT = {"n:{other}:k9": HERE, "n:{acme}@sub:k8": HERE, "n:{acme}:k2": ANOTHER, "n:{acme}:k1": VARIANT}


def question(of: Asked = HERE, group: str = GROUP) -> Question:
    """In its group."""
    return Question(group=group, asked=of)


def look(tenant: str, asking: Question | None = None) -> NearLook:
    """The look for a question in a server that searches."""
    found = SearchNear().look(tenant, asking or question())
    assert found is not None
    return found


class Recorded:
    """An executor that answers out of the recording, one exchange after the other.

    Args:
        names: of the exchanges that are expected, in order.
    """

    def __init__(self, *names: str) -> None:
        known = exchanges()
        self.left = [known[name] for name in names]

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        """As a connection does."""
        return [self._told(ask) for ask in asks]

    async def ask(self, ask: Ask[T]) -> T:
        """As a connection does."""
        return ask.read(self._told(ask))

    def _told(self, ask: Ask[Any]) -> Reply:
        said, told = self.left.pop(0)
        assert packed(ask.command) == said
        return unpacked(told)


class Recorder:
    """An executor that says everything to servers, and keeps what came of it."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, bytes]] = {}
        self.next: tuple[str, Say] = ("", lambda _said: b"")

    async def run(self, *asks: Ask[Any]) -> list[Reply]:
        """As a connection does."""
        return [self._say(ask) for ask in asks]

    async def ask(self, ask: Ask[T]) -> T:
        """As a connection does."""
        return ask.read(self._say(ask))

    def _say(self, ask: Ask[Any]) -> Reply:
        name, say = self.next
        said = packed(ask.command)
        self.kept[name] = (said, told := say(said))
        return unpacked(told)


async def record(search: Say, plain: Say) -> dict[str, tuple[bytes, bytes]]:
    """All exchanges, with an empty server that searches vectors and one that does not."""
    recorder = Recorder()
    for name, say in (("create", search), ("create again", search), ("create in vain", plain)):
        recorder.next = (name, say)
        await open_near(recorder, DIMENSIONS)
    for name, kept in KEPT.items():
        search(packed(("HSET", name, "g", GROUP, "v", kept.vector.tobytes(), "m", kept.packed())))
    search(packed(("HSET", "n:{acme}:half", "g", GROUP, "v", HERE.vector.tobytes())))
    for name, of in (("look", HERE), ("look in vain", asked((0, 9, 0, 0), "word-a", "word-b"))):
        recorder.next = (name, search)
        await recorder.ask(look("acme", question(of, GROUP if name == "look" else OTHER_GROUP)).ask)
    search(packed(("FT.DROPINDEX", "rung-near")))
    recorder.next = ("look without an index", search)
    await recorder.run(look("acme").ask)
    return recorder.kept


def unpacked(told: bytes) -> Reply:
    """A reply as a connection gives it."""
    reader = hiredis.Reader()
    reader.feed(told)
    return reader.gets()


def exchanges() -> dict[str, tuple[bytes, bytes]]:
    """What was said and told, by name."""
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: (base64.b64decode(said), base64.b64decode(told)) for name, (said, told) in kept.items()}


def write(recorded: dict[str, tuple[bytes, bytes]]) -> None:
    """Keep another recording."""
    kept = {name: [base64.b64encode(part).decode() for part in parts] for name, parts in recorded.items()}
    FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
