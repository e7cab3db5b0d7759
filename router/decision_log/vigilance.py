"""The writer's second task: it sees every outcome, so it watches the classifier in force, and bars one that fails.

What it finds goes into the store, where every gateway reads it: the figures for their metrics, a bar at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from classifier.artefact import ArtefactError
from classifier.assignments import SHIPPED, State
from classifier.registry import Registry
from policies.errors import PolicyError
from router.configuration.serving import RegistrySettings
from router.errors import NotFound
from router.inputs import decide_again
from router.outcomes.watching import Bounds, LiveWatch, is_trusted
from router.store import Store

log = logging.getLogger("rung.classifiers")

BY = "the gateway's own watch"


class Vigilance:
    """Shown what the log's writer writes; judges after each pass.

    Args:
        store: where records are looked up and bars are put.
        settings: with the bounds; without a registry's folder, figures are kept and nothing is barred.
    """

    def __init__(self, store: Store, settings: RegistrySettings) -> None:
        self._store = store
        self._settings = settings
        bounds = settings.rollback
        self._bounds = Bounds(
            outcomes=bounds.outcomes, calibration=bounds.calibration, drop=bounds.drop, sigmas=bounds.sigmas
        )
        self._watch = LiveWatch()
        self._rules: dict[str, bytes | None] = {}

    def decided(self, record: Mapping[str, Any], vector: Any) -> None:  # noqa: ANN401 - numpy's array, or None
        """A decision was written."""
        forecast = (record["inputs"] or {}).get("forecast")
        if forecast is not None and not forecast["is_default"]:
            self._watch.decided(forecast["version"], forecast["difficulty"], vector)

    async def told(self, outcome: Mapping[str, Any]) -> None:
        """An outcome was written. Raises StoreUnavailable."""
        if outcome.get("model") is not None or not is_trusted(outcome["source"]):
            return
        try:
            record: dict[str, Any] = orjson.loads(
                await self._store.decisions.get(outcome["tenant"], outcome["decision_id"])
            )
        except NotFound:  # told so late that the store has forgotten the decision
            return
        promised = await self._promised(record)
        if promised is not None:
            self._watch.told(record["inputs"]["forecast"]["version"], promised, outcome["value"])

    async def _promised(self, record: Mapping[str, Any]) -> float | None:
        """The success that was predicted of the rung that served; None where nothing was, or another one served."""
        decided, served = record["decided"], record["served"]
        if decided is None or record["inputs"]["forecast"]["is_default"]:
            return None
        chosen = decided["chosen"]
        if (chosen["model"], chosen["allowance"]) != (served["model"], served.get("allowance")):
            return None
        rules_id = record["rules"]
        if self._rules.get(rules_id) is None:
            self._rules[rules_id] = await self._store.decisions.rules(rules_id)
        rules = self._rules[rules_id]
        try:
            again = None if rules is None else decide_again(rules, record["inputs"])
        except PolicyError:
            return None
        return None if again is None else again.chosen.quality

    async def judge(self) -> None:
        """Publish the figures, and bar an active version that is out of bounds. Raises StoreUnavailable."""
        book = self._store.classifiers
        for version in self._watch.versions:
            await book.publish(self._watch.health(version))
        state = self._state()
        if state is None or not self._settings.rollback.enabled:
            return
        barred = await book.barred()
        for lane in (state.everyone, *state.tenants.values()):
            version, before = lane.active, lane.previous
            if version in {None, SHIPPED} or version in barred or version is None:
                continue
            why = self._watch.verdict(version, before, self._bounds)
            if why is not None:
                log.error("the classifier %s is rolled back: %s", version, why)
                await book.bar(version, by=BY, why=why)

    def _state(self) -> State | None:
        if self._settings.folder is None:
            return None
        try:
            return Registry(self._settings.folder, self._settings.public_keys).state()
        except (ArtefactError, OSError) as error:
            log.warning("the registry cannot be read by the log's writer: %s", error)
            return None
