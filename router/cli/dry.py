"""A decision without a gateway: the configuration, the classifier and the policy of this folder, and no call."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from time import perf_counter

import classifier
from classifier.second_look import Second
from classifier.types import Classifier, Estimate, Query
from policies.catalog import Catalog
from policies.decide import decide
from policies.second_look import Looked, SecondLook
from policies.types import Decision, Demand, Forecast, Purse, Wishes
from router.configuration import settings as configuration
from router.configuration.ladder import Ladder
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
        chosen = self.config.settings.classifier.second_look
        first, decision = self.at_first_sight(question, quality=quality, max_cost_usd=max_cost_usd)
        if chosen is None or decision.doubt is None or decision.doubt.distance >= chosen.margin:
            return decision
        return self.again(question, first, decision)

    def with_all_callable(self) -> DryRun:
        """The same as if every model of the ladder could be called."""
        return replace(self, config=replace(self.config, ladder=_all_callable(self.config.ladder)))

    def at_first_sight(
        self, question: str, *, quality: float | None = None, max_cost_usd: float | None = None
    ) -> tuple[Estimate, Decision]:
        """What the classifier says, and the decision by that alone. Raises PolicyError."""
        estimate = self.model.estimate(Query(text=question))
        wishes = Wishes(
            quality=self.config.settings.quality if quality is None else quality,
            max_cost_nano=None if max_cost_usd is None else round(max_cost_usd * 1e9),
        )
        return estimate, self._by(question, forecast_of(estimate, self.config.ladder.models), wishes)

    def again(self, question: str, first: Estimate, decision: Decision) -> Decision:
        """The decision after a second look, or as it was where there is none to be had."""
        doubt = decision.doubt
        if self.second is None or doubt is None or decision.wishes is None:
            return decision
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
        return self._by(question, replace(both, second_look=mark), decision.wishes)

    def _by(self, question: str, forecast: Forecast, wishes: Wishes) -> Decision:
        request = {"model": "auto", "messages": [{"role": "user", "content": question}]}
        return decide(
            catalog=self.config.ladder.catalog,
            demand=Demand(input_tokens=input_tokens_bound(request)),
            forecast=forecast,
            wishes=wishes,
            purse=Purse(),
            policy=self.config.policy,
        )


def open_dry_run(*, keys_or_no_keys: bool = False) -> DryRun:
    """Load what decides in this folder.

    Args:
        keys_or_no_keys: decide as if every model of the ladder could be called.

    Raises:
        ConfigError, ArtefactError: which say how to mend it.
    """
    settings = configuration.load()
    chosen, config = settings.classifier, configure(settings, os.environ, None)
    dry = DryRun(
        config=config,
        model=classifier.load(chosen.artefact, encoder=chosen.encoder),
        second=None if chosen.second_look is None else load_second_look(chosen.second_look),
    )
    return dry.with_all_callable() if keys_or_no_keys else dry


def _all_callable(ladder: Ladder) -> Ladder:
    models = {name: replace(model, available=True, unavailable_because="") for name, model in ladder.models.items()}
    return replace(ladder, catalog=Catalog(models.values()), models=models)
