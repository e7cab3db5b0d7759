"""The shadow's opinion of live queries: off the request's path, sampled, and counted against what was decided."""

from __future__ import annotations

import logging
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from classifier.types import Classifier
from policies.errors import PolicyError
from router.estimation.estimator import Estimator, forecast_of
from router.inputs import decided
from router.service.turn import Turn
from router.telemetry import Metrics
from router.wire.reading import query_of

log = logging.getLogger("rung.classifiers")

WAITING = 32  # beyond, the machine is busy enough


class Shadowing:
    """Lets the shadow judge and decide what was just decided. One per process.

    Args:
        estimator: who knows the shadow. metrics: what is counted. sample: the share of queries that it judges.
    """

    def __init__(self, estimator: Estimator, metrics: Metrics, *, sample: float) -> None:
        self._estimator = estimator
        self._metrics = metrics
        self._sample = sample
        self._waiting = 0
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rung-shadow")

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def consider(self, turn: Turn) -> None:
        """Have a decided request judged by the shadow of its tenant, where there is one; never waits."""
        shadow = self._estimator.arrangement.lane(turn.principal.tenant.id).shadow
        if shadow is None or self._waiting >= WAITING or random.random() >= self._sample:  # noqa: S311 - not a secret
            return
        self._waiting += 1
        self._pool.submit(self._judge, shadow, turn)

    def _judge(self, shadow: Classifier, turn: Turn) -> None:
        try:
            self._compare(shadow, turn)
        except Exception:
            log.exception("the shadow %s failed on a query", shadow.version)
            self._metrics.shadow.labels("failed").inc()
        finally:
            self._waiting -= 1

    def _compare(self, shadow: Classifier, turn: Turn) -> None:
        given, decision = turn.inputs, turn.decision
        if given is None or decision is None:
            return
        forecast = forecast_of(shadow.estimate(query_of(turn.request)), turn.config.ladder.models)
        try:
            other = decided(turn.config.ladder.catalog, turn.config.policy, replace(given, forecast=forecast))
        except PolicyError:
            same = False
        else:
            same = (other.chosen.model, other.chosen.allowance) == (decision.chosen.model, decision.chosen.allowance)
        self._metrics.shadow.labels("agrees" if same else "disagrees").inc()
        self._metrics.shadow_difference.observe(abs(forecast.difficulty - given.forecast.difficulty))
