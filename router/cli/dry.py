"""A decision without a gateway: the configuration, the classifier and the policy of this folder, and no call."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from time import perf_counter

import classifier
from classifier.second_look import Second
from classifier.types import Classifier, Estimate, Query
from policies.decide import decide
from policies.second_look import Looked, SecondLook
from policies.types import Decision, Demand, Forecast, Purse, Wishes
from router.configuration import settings as configuration
from router.configuration.live import Configuration, configure
from router.estimation.estimator import forecast_of
from router.estimation.second_look import load_second_look
from router.wire.reading import input_tokens_bound


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What decides here.

    Attributes:
        config: settings, ladder and policy. model: the difficulty model.
        second: looks again where the decision is close, or None.
    """

    config: Configuration
    model: Classifier
    second: Second | None = None

    def decide(self, question: str, *, quality: float | None = None, max_cost_usd: float | None = None) -> Decision:
        """The decision for a question by a tenant without a budget. Raises PolicyError."""
        request = {"model": "auto", "messages": [{"role": "user", "content": question}]}
        wishes = Wishes(
            quality=self.config.settings.quality if quality is None else quality,
            max_cost_nano=None if max_cost_usd is None else round(max_cost_usd * 1e9),
        )
        demand = Demand(input_tokens=input_tokens_bound(request))

        def by(forecast: Forecast) -> Decision:
            return decide(
                catalog=self.config.ladder.catalog,
                demand=demand,
                forecast=forecast,
                wishes=wishes,
                purse=Purse(),
                policy=self.config.policy,
            )

        first = self.model.estimate(Query(text=question))
        decision = by(forecast_of(first, self.config.ladder.models))
        again = self._again(question, first, decision)
        return decision if again is None else by(again)

    def _again(self, question: str, first: Estimate, decision: Decision) -> Forecast | None:
        """The forecast after a second look, or None where the decision is clear, or there is no second look."""
        chosen, doubt = self.config.settings.classifier.second_look, decision.doubt
        if self.second is None or chosen is None or doubt is None or doubt.distance >= chosen.margin:
            return None
        started = perf_counter()
        told = self.second.model.estimate(Query(text=question))
        mark = SecondLook(
            result=Looked.TAKEN,
            doubt=doubt,
            model=decision.chosen.model,
            allowance=decision.chosen.allowance,
            difficulty=first.difficulty,
            version=told.version,
            took_ms=round(1000 * (perf_counter() - started), 2),
        )
        both = forecast_of(self.second.combined(first, told), self.config.ladder.models)
        return replace(both, second_look=mark)


def open_dry_run() -> DryRun:
    """Load what decides in this folder. Raises ConfigError and ArtefactError."""
    settings = configuration.load()
    chosen = settings.classifier
    return DryRun(
        config=configure(settings, os.environ, None),
        model=classifier.load(chosen.artefact, encoder=chosen.encoder),
        second=None if chosen.second_look is None else load_second_look(chosen.second_look),
    )
