"""A close decision is taken again after a second look; the only place that says when, and what becomes of the decision.

The first decision stands wherever the second look is not to be had: too many wait for one, the caller's deadline
leaves no room, it comes too late, it fails, or nothing on the ladder fits by what it says.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from classifier.types import Estimate
from policies.errors import PolicyError
from policies.second_look import Doubt, Looked, SecondLook, wanted
from policies.types import Decision
from router.estimation.estimator import forecast_of
from router.estimation.second_look import SecondLooks
from router.inputs import decided
from router.service.turn import Turn
from router.telemetry import Metrics
from router.wire.reading import query_of


class Looking:
    """Takes close decisions again. One per process.

    Args:
        looks: the second classifier. margin: standard errors; decisions at this distance or beyond are clear.
        metrics: what is counted.

    Attributes:
        looks: as given.
    """

    def __init__(self, looks: SecondLooks, metrics: Metrics, *, margin: float) -> None:
        self.looks = looks
        self._metrics = metrics
        self._margin = margin

    def is_close(self, turn: Turn, decision: Decision) -> bool:
        """Whether a decided request wants a second look, to be had or not."""
        return self._wish(turn, decision)[0] is not None

    async def look(self, turn: Turn, decision: Decision) -> Decision:
        """The decision after a second look, or as it was; the turn then says what became of the wish for one."""
        wish, doubt = self._wish(turn, decision)
        if wish is None or doubt is None or turn.estimate is None:
            return decision
        started, told = perf_counter(), None
        if wish is Looked.TAKEN:
            wish, told = await self.looks.take(query_of(turn.request))
            self._metrics.second_look_seconds.observe(perf_counter() - started)
        mark = SecondLook(
            result=wish,
            doubt=doubt,
            model=decision.chosen.model,
            allowance=decision.chosen.allowance,
            difficulty=turn.estimate.difficulty,
            version=self.looks.version,
            took_ms=round(1000 * (perf_counter() - started), 2),
        )
        return self._by(turn, decision, mark, told)

    def _wish(self, turn: Turn, decision: Decision) -> tuple[Looked | None, Doubt | None]:
        if turn.estimate is None:  # the marked default is no estimate that a second one could be set beside
            return None, None
        doubt, limit = decision.doubt, turn.wishes.max_latency_s
        slack = None if limit is None else limit - turn.elapsed_s() - decision.chosen.expected_latency_s
        wish = wanted(
            doubt,
            margin=self._margin,
            within_s=self.looks.within_s,
            expected_s=self.looks.expected_s(),
            slack_s=slack,
        )
        return wish, doubt

    def _by(self, turn: Turn, decision: Decision, mark: SecondLook, told: Estimate | None) -> Decision:
        """The decision by both estimates where the second is there, else the first one, marked."""
        given = turn.inputs
        assert given is not None  # noqa: S101 - the turn is decided
        if told is not None and turn.estimate is not None:
            both = self.looks.second.combined(turn.estimate, told)
            forecast = replace(forecast_of(both, turn.config.ladder.models), second_look=mark)
            try:
                again = decided(turn.config.ladder.catalog, turn.config.policy, replace(given, forecast=forecast))
            except PolicyError:  # the caller's floors leave nothing by these numbers: better the first answer than none
                mark = replace(mark, result=Looked.FAILED)
            else:
                turn.forecast, turn.inputs, turn.decision = forecast, replace(given, forecast=forecast), again
                self._count(mark, changed=again.chosen.model != mark.model or again.chosen.allowance != mark.allowance)
                return again
        forecast = replace(given.forecast, second_look=mark)
        turn.forecast, turn.inputs = forecast, replace(given, forecast=forecast)
        turn.decision = replace(decision, forecast=forecast)
        self._count(mark, changed=False)
        return turn.decision

    def _count(self, mark: SecondLook, *, changed: bool) -> None:
        self._metrics.second_looks.labels(mark.result.value).inc()
        if changed:
            self._metrics.second_look_changes.inc()
