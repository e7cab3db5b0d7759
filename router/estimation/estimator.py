"""The classifier beside the event loop: time-out, marked default on failure, hot swap, a memory of recent scores."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from classifier.types import Classifier, Estimate, Query
from policies.types import Forecast, Model
from router.estimation.classifiers import Arrangement, Lane
from router.estimation.together import Together
from router.recent import Recent

log = logging.getLogger("rung.estimation")

# Where nothing is known of a query: as likely easy as hard, with the spread of a uniform guess.
UNKNOWN_DIFFICULTY = 0.5
UNKNOWN_UNCERTAINTY = 0.29
UNKNOWN_ANSWER_TOKENS = 250
UNKNOWN_ANSWER_TOKENS_HIGH = 1_000
# A kind that is less likely moves no decision, and would lie in every record.
LEAST_SHARE = 0.02
# One line a minute is enough to know that the classifier fails; the metric counts every time.
WARNING_INTERVAL_S = 60.0


class Estimator:
    """Judges queries in a worker thread; never fails, never holds the loop up.

    Texts that the classifier vouches for (`quick_chars`) are judged at once, with those that wait beside them: handing
    one over and waking twice would take longer than the judgement (docs/adr/0052-short-texts-are-judged-at-once.md).

    Args:
        classifier: the difficulty model, or None while there is none: every forecast is then the marked default.
        timeout_s: seconds after which the default is taken.
        recent: number of recent scores that are remembered.

    Attributes:
        arrangement: who judges whose queries.
    """

    def __init__(self, classifier: Classifier | None, *, timeout_s: float, recent: int) -> None:
        self.arrangement = Arrangement(everyone=Lane(active=classifier))
        self._timeout_s = timeout_s
        self._recent: Recent[tuple[Classifier, Query], Estimate] = Recent(recent)
        # One thread: the classifier is pure CPU, and a second one would only fight over the interpreter's lock.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rung-classifier")
        self._together = Together()
        self._warned_at = float("-inf")
        self.failures = 0

    @property
    def version(self) -> str:
        """The version of the classifier in force for everyone."""
        active = self.arrangement.everyone.active
        return active.version if active is not None else "none"

    def swap(self, classifier: Classifier) -> None:
        """Put another classifier in force for everyone; requests in flight finish with the old one."""
        self.arrange(Arrangement(everyone=Lane(active=classifier)))

    def arrange(self, arrangement: Arrangement) -> None:
        """Put other classifiers in force, all at once."""
        self.arrangement = arrangement
        self._recent.clear()

    def close(self) -> None:
        """Stop the worker thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def estimate(self, query: Query, tenant: str = "", who: str = "") -> Estimate | None:
        """What the classifier says, or None where it failed or took too long.

        Args:
            query: what is asked. tenant: whose question, for classifiers of tenants' own.
            who: the session's or decision's id, for a canary.
        """
        arrangement = self.arrangement
        classifier = arrangement.lane(tenant).of(who)
        if classifier is None:
            return None
        place = (classifier, query)
        known = self._recent.get(place)
        if known is not None:
            return known
        try:
            if len(query.text) <= classifier.quick_chars:
                estimate = await self._together.estimate(classifier, query)
            else:
                estimate = await self._in_thread(classifier, query)
        except Exception as error:  # noqa: BLE001 - a failed estimate is a marked default, never the client's problem
            self._note_failure(error, time.monotonic())
            return None
        if arrangement is self.arrangement:
            self._recent.put(place, estimate)
        return estimate

    async def _in_thread(self, classifier: Classifier, query: Query) -> Estimate:
        async with asyncio.timeout(self._timeout_s):
            return await asyncio.get_running_loop().run_in_executor(self._pool, classifier.estimate, query)

    def _note_failure(self, error: Exception, now: float) -> None:
        self.failures += 1
        if now - self._warned_at >= WARNING_INTERVAL_S:
            self._warned_at = now
            what = "took too long" if isinstance(error, TimeoutError) else f"failed: {type(error).__name__}: {error}"
            log.warning("the classifier %s (%d times so far); defaults are used and marked", what, self.failures)


def forecast_of(estimate: Estimate | None, models: Mapping[str, Model]) -> Forecast:
    """The policy's numbers: success per model, from a head of its own or from its ability.

    Args:
        estimate: the classifier's, or None for the marked default, where success is the model's ability.
        models: the catalogue's models by id.
    """
    if estimate is None:
        return Forecast(
            difficulty=UNKNOWN_DIFFICULTY,
            uncertainty=UNKNOWN_UNCERTAINTY,
            success={name: model.ability for name, model in models.items()},
            answer_tokens=UNKNOWN_ANSWER_TOKENS,
            answer_tokens_high=UNKNOWN_ANSWER_TOKENS_HIGH,
            reasons=("the classifier gave no estimate in time: defaults are used",),
            is_default=True,
        )
    heads = estimate.heads
    return Forecast(
        difficulty=estimate.difficulty,
        uncertainty=estimate.uncertainty,
        kind=estimate.kind,
        kinds={kind: round(share, 2) for kind, share in estimate.kinds.items() if share >= LEAST_SHARE},
        success={
            name: heads[name] if name in heads else estimate.success_at(model.ability) for name, model in models.items()
        },
        answer_tokens=estimate.tokens.expected,
        answer_tokens_high=estimate.tokens.high,
        reasons=estimate.reasons,
        version=estimate.version,
    )
