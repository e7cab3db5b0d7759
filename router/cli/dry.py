"""A decision without a gateway: the configuration, the classifier and the policy of this folder, and no call."""

from __future__ import annotations

import os
from dataclasses import dataclass

import classifier
from classifier.types import Classifier, Query
from policies.decide import decide
from policies.types import Decision, Demand, Purse, Wishes
from router.configuration import settings as configuration
from router.configuration.live import Configuration, configure
from router.estimation.estimator import forecast_of
from router.wire.reading import input_tokens_bound


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What decides here.

    Attributes:
        config: settings, ladder and policy. model: the difficulty model.
    """

    config: Configuration
    model: Classifier

    def decide(self, question: str, *, quality: float | None = None, max_cost_usd: float | None = None) -> Decision:
        """The decision for a question by a tenant without a budget. Raises PolicyError."""
        ladder = self.config.ladder
        request = {"model": "auto", "messages": [{"role": "user", "content": question}]}
        return decide(
            catalog=ladder.catalog,
            demand=Demand(input_tokens=input_tokens_bound(request)),
            forecast=forecast_of(self.model.estimate(Query(text=question)), ladder.models),
            wishes=Wishes(
                quality=self.config.settings.quality if quality is None else quality,
                max_cost_nano=None if max_cost_usd is None else round(max_cost_usd * 1e9),
            ),
            purse=Purse(),
            policy=self.config.policy,
        )


def open_dry_run() -> DryRun:
    """Load what decides in this folder. Raises ConfigError and ArtefactError."""
    settings = configuration.load()
    chosen = settings.classifier
    return DryRun(
        config=configure(settings, os.environ, None),
        model=classifier.load(chosen.artefact, encoder=chosen.encoder),
    )
