"""The registry's state, followed: every process swaps its classifiers within a second or two, failing no request.

    read the signed state and the barred versions -> load what is new, checked, off the loop -> swap one reference

What cannot be trusted or loaded changes nothing: the present classifiers stay, the log says why once, and a metric
counts it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from classifier.artefact import ArtefactError
from classifier.assignments import SHIPPED, Assignment, State
from classifier.registry import Registry
from classifier.types import Classifier
from router.configuration.serving import RegistrySettings
from router.errors import StoreUnavailable
from router.estimation.classifiers import Arrangement, Lane
from router.estimation.estimator import Estimator
from router.store import Bar, ClassifierBook
from router.telemetry import Metrics

log = logging.getLogger("rung.classifiers")

HEALTH_S = 15.0  # the writer publishes once a minute


class ClassifierWatch:
    """Keeps the estimator's classifiers what the registry says. One per process.

    Args:
        settings: with a folder. book: what the gateways agree on. estimator: whose classifiers are swapped.
        metrics: what is counted. shipped: what `default` stands for.

    Attributes:
        state: the signed state in force, or None before the first. barred: as of the last look.
        refused: why the newest state or one of its versions is not in force, or "".
        swapped_at: Unix seconds of the last swap, 0 before the first.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        book: ClassifierBook,
        estimator: Estimator,
        metrics: Metrics,
        *,
        shipped: Classifier | None,
    ) -> None:
        self._settings = settings
        self._book = book
        self._estimator = estimator
        self._metrics = metrics
        self._loaded: dict[str, Classifier | None] = {SHIPPED: shipped}
        self._failed: dict[str, str] = {}
        self._registry: Registry | None = None
        self._one_looks = asyncio.Lock()
        self.state: State | None = None
        self.barred: Mapping[str, Bar] = {}
        self.refused = ""
        self.swapped_at = 0.0
        self._shown_at = float("-inf")

    async def run(self) -> None:
        """Follow the registry for as long as this runs."""
        while True:
            await asyncio.sleep(self._settings.poll_s)
            try:
                await self.look()
            except StoreUnavailable:
                continue  # what is in force stays; the store's own watch tells of its absence
            except Exception:
                log.exception("the registry could not be looked at; the present classifiers stay")

    async def look(self) -> bool:
        """Look once; whether anything was swapped. Raises StoreUnavailable."""
        async with self._one_looks:
            return await self._look()

    async def _look(self) -> bool:
        barred = await self._book.barred()
        try:
            state = await asyncio.to_thread(self._read, await self._book.seen(0))
        except (ArtefactError, OSError) as error:
            self._refuse(error)
            return False
        await self._show_health()
        if self.state is not None and state.sequence == self.state.sequence and barred == self.barred:
            if not self._failed:
                self._clear()
                return False
        else:
            await self._book.seen(state.sequence)
        return await self._swap(state, barred)

    def _read(self, least_sequence: int) -> State:
        folder = self._settings.folder or Path()
        if self._registry is None:
            self._registry = Registry(folder, self._settings.public_keys, least_sequence=least_sequence)
        return self._registry.state()

    async def _swap(self, state: State, barred: Mapping[str, Bar]) -> bool:
        self._failed = {}
        everyone = await self._lane(state.everyone, barred, present=self._estimator.arrangement.everyone)
        tenants = {
            tenant: await self._lane(state.serving(tenant), barred, present=self._estimator.arrangement.lane(tenant))
            for tenant in state.tenants
        }
        arrangement = Arrangement(everyone=everyone, tenants=tenants, sequence=state.sequence)
        self.state, self.barred = state, barred
        if not self._failed:
            self._clear()
        if arrangement == self._estimator.arrangement:
            return False
        self._estimator.arrange(arrangement)
        self.swapped_at = time.time()
        self._forget(arrangement)
        self._tell(arrangement)
        return True

    async def _show_health(self) -> None:
        """What the log's writer has found, for this process' metrics; once in a while."""
        if time.monotonic() - self._shown_at >= HEALTH_S:
            self._shown_at = time.monotonic()
            for health in await self._book.health():
                self._metrics.show_health(health)

    async def _lane(self, assignment: Assignment, barred: Mapping[str, Bar], *, present: Lane) -> Lane:
        """The lane of an assignment; where its active version is not to be had, the present lane."""
        active = assignment.active or SHIPPED
        if active in barred:
            previous = assignment.previous or SHIPPED
            active = previous if previous not in barred else SHIPPED
        try:
            decides = await self._get(active)
        except (ArtefactError, OSError) as error:
            self._failed[active] = str(error)
            self._refuse(error)
            return present
        canary = assignment.canary
        return Lane(
            active=decides,
            canary=None if canary is None else await self._trial(canary.version, barred),
            share=0.0 if canary is None else canary.share,
            shadow=await self._trial(assignment.shadow, barred),
        )

    async def _trial(self, version: str | None, barred: Mapping[str, Bar]) -> Classifier | None:
        """A version on trial; one that is not to be had is not tried."""
        if version is None or version in barred:
            return None
        try:
            return await self._get(version)
        except (ArtefactError, OSError) as error:
            self._failed[version] = str(error)
            self._refuse(error)
            return None

    async def _get(self, version: str) -> Classifier | None:
        if version not in self._loaded:
            registry = self._registry
            assert registry is not None  # noqa: S101 - a state has been read by it
            self._loaded[version] = await asyncio.to_thread(registry.load, version)
        return self._loaded[version]

    def _forget(self, arrangement: Arrangement) -> None:
        """Let go of what nobody uses any more, but for what a rollback would bring back."""
        lanes = (arrangement.everyone, *arrangement.tenants.values())
        used = {id(one) for lane in lanes for one in (lane.active, lane.canary, lane.shadow)}
        state = self.state or State()
        kept = {one.previous for one in (state.everyone, *state.tenants.values())} | {SHIPPED}
        self._loaded = {name: one for name, one in self._loaded.items() if name in kept or id(one) in used}

    def _refuse(self, error: Exception) -> None:
        self._metrics.classifier_refusals.labels(type(error).__name__).inc()
        if str(error) != self.refused:
            self.refused = str(error)
            log.error("the present classifiers stay (%s): %s", type(error).__name__, error)

    def _clear(self) -> None:
        if self.refused:
            log.warning("the registry is in order again")
        self.refused = ""

    def _tell(self, arrangement: Arrangement) -> None:
        roles = {"active": arrangement.everyone.active, "canary": arrangement.everyone.canary}
        roles |= {"shadow": arrangement.everyone.shadow}
        named = {role: one.version for role, one in roles.items() if one is not None}
        self._metrics.show_classifiers(named, arrangement.sequence)
        log.warning("classifiers in force: %s (state %d)", named, arrangement.sequence)
