"""Queries that wait in the same turn of the event loop are judged together; one concept: the batch of a turn.

Most of what judging a short text takes is the same for one as for several. Nobody waits for a batch to fill: it holds
what is there when the loop comes to it. See docs/adr/0052-short-texts-are-judged-at-once.md.
"""

from __future__ import annotations

import asyncio
from collections import deque

from classifier.types import Classifier, Estimate, Query

# More gains little, and the loop stands still meanwhile: 8 hostile texts take some 30 ms.
MOST = 8


class Together:
    """Judges on the event loop. One per process."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Classifier, Query, asyncio.Future[Estimate]]] = deque()

    def estimate(self, classifier: Classifier, query: Query) -> asyncio.Future[Estimate]:
        """What the classifier says, in the loop's next turn; its error where it fails for this query."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._judge)
        future: asyncio.Future[Estimate] = loop.create_future()
        self._waiting.append((classifier, query, future))
        return future

    def _judge(self) -> None:
        judge = self._waiting[0][0]
        batch: list[tuple[Query, asyncio.Future[Estimate]]] = []
        while self._waiting and self._waiting[0][0] is judge and len(batch) < MOST:
            _, query, future = self._waiting.popleft()
            if not future.done():  # who asked may have gone
                batch.append((query, future))
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._judge)
        if batch:
            _tell(judge, batch)


def _tell(judge: Classifier, batch: list[tuple[Query, asyncio.Future[Estimate]]]) -> None:
    try:
        told = judge.estimate_many([query for query, _ in batch])
    except Exception as error:  # noqa: BLE001 - whatever a classifier fails with is its caller's to count
        if len(batch) == 1:
            batch[0][1].set_exception(error)
            return
        for one in batch:  # a query that cannot be judged spoils no other's judgement
            _tell(judge, [one])
        return
    for (_, future), estimate in zip(batch, told, strict=True):
        future.set_result(estimate)
