"""What processes tell each other of failing models: one hash with a row for each model that is kept away from."""

from __future__ import annotations

from collections.abc import Mapping

from router.store import names
from router.store.connection import Executor
from router.store.scripts import Ask, Reply, text

# Longer than the longest pause, which is a provider's Retry-After of an hour at most; then the row is history.
KEEP_S = 7200


class HealthBoard:
    """The open breakers of all processes."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def exchange(self, opened: Mapping[str, bytes], closed: tuple[str, ...]) -> dict[str, bytes]:
        """Tell what has opened and closed here, and hear what is open anywhere, in one round trip.

        Args:
            opened: by model id, opaque rows. closed: model ids.

        Raises:
            StoreUnavailable: nobody was told.
        """
        asks: list[Ask[int]] = []
        for model, row in opened.items():
            asks.append(Ask(("HSET", names.HEALTH, model, row), int))
        if closed:
            asks.append(Ask(("HDEL", names.HEALTH, *closed), int))
        if opened:
            asks.append(Ask(("EXPIRE", names.HEALTH, KEEP_S), int))
        read = Ask(("HGETALL", names.HEALTH), _rows)
        *_, reply = await self._executor.run(*asks, read)
        return read.read(reply)


def _rows(reply: Reply) -> dict[str, bytes]:
    pairs = iter(reply)
    return {text(model): bytes(row) for model, row in zip(pairs, pairs, strict=True)}
