"""What the classifier reads of a request, and what it says about it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

ResponseFormat = Literal["text", "json_object", "json_schema"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The last user turn, and structured features of the rest; never flattened text.

    Attributes:
        text: the last user turn, unabridged.
        turns: number of messages in the conversation, the last user turn included.
        system_chars: characters of system and developer messages.
        context_chars: characters of all other earlier messages.
        tools: number of tools offered. images: number of images in the last turn.
        response_format: what shape of answer was asked for.
    """

    text: str
    turns: int = 1
    system_chars: int = 0
    context_chars: int = 0
    tools: int = 0
    images: int = 0
    response_format: ResponseFormat = "text"


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class TokenForecast:
    """Completion tokens without thinking: the expectation, and a conformal quantile with its level (0.9)."""

    expected: int
    high: int
    level: float = 0.9


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class Estimate:
    """What the classifier says about one query.

    Attributes:
        difficulty: 0..1, calibrated: the probability that a cheap model fails. uncertainty: its standard error.
        kind: the most likely kind of task; kinds: probability per kind.
        abilities: (L,) rising ability levels, on MMLU-Pro's accuracy scale, 0..1.
        success: (L,) probability of a right answer at each level; non-decreasing.
        heads: success probability per model that has a head of its own.
        tokens: completion tokens without thinking.
        reasons: the features that moved the difficulty, in words, most important first.
        version: the artefact's version.
        reading: the input that was judged, as `classifier.inputs.pack` writes it, for the decision log; b"" where the
            classifier gives none.
    """

    difficulty: float
    uncertainty: float
    kind: str
    kinds: dict[str, float]
    abilities: tuple[float, ...]
    success: tuple[float, ...]
    heads: dict[str, float]
    tokens: TokenForecast
    reasons: tuple[str, ...]
    version: str
    reading: bytes = field(default=b"", repr=False)

    def success_at(self, ability: float) -> float:
        """Probability of a right answer by a model of this ability (0..1), interpolated between the levels."""
        levels, success = self.abilities, self.success
        above = bisect_right(levels, ability)
        if above == 0 or above == len(levels):
            return success[0] if above == 0 else success[-1]
        # As numpy's interp, to the bit, in a tenth of the time.
        slope = (success[above] - success[above - 1]) / (levels[above] - levels[above - 1])
        return slope * (ability - levels[above - 1]) + success[above - 1]


class Classifier(Protocol):
    """Anything that judges queries: the shipped artefact, a tenant's own, a test's."""

    @property
    def version(self) -> str:
        """The artefact's version, shown in receipts."""
        ...

    @property
    def quick_chars(self) -> int:
        """Texts of up to so many characters are judged in less than a millisecond, hostile ones in a few; 0: none."""
        ...

    def estimate(self, query: Query) -> Estimate:
        """Judge one query. Pure CPU; called in a worker thread."""
        ...

    def estimate_many(self, queries: Sequence[Query]) -> list[Estimate]:
        """Judge a few queries of at most `quick_chars` characters; called on the event loop."""
        ...
