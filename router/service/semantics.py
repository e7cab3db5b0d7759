"""Which requests may be answered by what was said to a question in other words, and how such a question is read.

Off unless the operator says otherwise; see docs/cache.md. What a request must share with another beside its question is
hashed here (`Question.group`): tenant, scope and everything that the exact cache's key has, but the last user turn.
"""

from __future__ import annotations

from functools import cached_property

from classifier.sameness import Reader, shipped_reader
from router.configuration.settings import Settings
from router.service.turn import Turn
from router.store import answer_key
from router.store.near import Question
from router.wire.reading import apart, canonical

_GROUP = b"group"


def may_be_asked(settings: Settings) -> bool:
    """Whether the configuration turns it on for anybody."""
    modes = {settings.cache.semantic, *(tenant.semantic_cache for tenant in settings.tenants)}
    return not modes <= {"off", None}


class Semantics:
    """One per process."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    @cached_property
    def reader(self) -> Reader:
        """Reads questions; loaded at the first one, or before (some 100 ms)."""
        return shipped_reader(self._pepper)

    def question(self, turn: Turn, mode: str, scope: str) -> Question | None:
        """The question of a request that may be cached; None where an equal one alone has its answer.

        Args:
            mode: the tenant's or the gateway's: `off`, `ask` (where the request says `semantic`) or `on`. scope: of the
                exact cache's key.
        """
        said = turn.extensions.cache
        if mode == "off" or said == "exact" or (mode == "ask" and said != "semantic"):
            return None
        parts = apart(turn.request)
        if parts is None or (asked := self.reader.read(parts[0])) is None:
            return None
        rest = canonical(parts[1], turn.wishes, turn.config.ladder.catalog.version)
        group = answer_key(self._pepper, turn.principal.tenant.id, scope, _GROUP + rest)
        return Question(group=group, asked=asked)
