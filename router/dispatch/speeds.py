"""How fast models have lately been, against what the catalogue says of them: for deadlines.

Of each answer that needed one call, whole or streamed, the seconds that it took are held against those that the
catalogue's latency and speed give for as many tokens. A model's slowness is the geometric mean of that ratio, fading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.types import Model
from router.recent import Recent

# Fewer answers than this say little of a model; the mean forgets about as many as it holds.
LEAST_SEEN, MEMORY = 5, 20
# Nothing is that much faster or slower for long: a stuck clock or a queue before one call says nothing of the next.
MOST = math.log(20.0)
MODELS = 1_000
# Of a stream's time: what its reader takes beyond says how fast the reader is.
READERS_SHARE = 0.1


@dataclass(frozen=TYPE_CHECKING, slots=True, kw_only=True)
class _Pace:
    """Answers seen, and the mean logarithm of their ratios."""

    seen: int = 0
    log_ratio: float = 0.0

    def after(self, ratio: float) -> _Pace:
        logged = max(-MOST, min(MOST, math.log(max(ratio, 1e-9))))
        seen = min(self.seen + 1, MEMORY)
        return _Pace(seen=seen, log_ratio=self.log_ratio + (logged - self.log_ratio) / seen)


class Speeds:
    """One per process."""

    def __init__(self) -> None:
        self._seen: Recent[str, _Pace] = Recent(MODELS)

    def note(self, model: Model, tokens: int, seconds: float, *, reader_s: float = 0.0) -> None:
        """An answer of so many tokens, thinking included, has taken so long; `reader_s` of it its reader took."""
        expected = model.latency_s + tokens / model.tokens_per_s
        if expected > 0 and reader_s <= READERS_SHARE * seconds:
            self._seen.put(model.id, (self._seen.get(model.id) or _Pace()).after(seconds / expected))

    def slowness(self, models: Mapping[str, Model]) -> dict[str, float]:
        """How many times as long as its catalogue says each model takes; without those that are not known yet."""
        paces = ((name, self._seen.get(name)) for name in models)
        return {name: round(math.exp(p.log_ratio), 3) for name, p in paces if p is not None and p.seen >= LEAST_SEEN}
