"""All metrics, declared together and described; what is not here is not measured.

Base units, `rung_` prefix. The tenant is a label only where the operator asks for it (`metrics_tenant_label`), because
every tenant multiplies the number of series.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_REMEMBERED = 4096  # series whose child is found without the library's lock and its copy of the labels
_OVERHEAD_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Metrics:
    """The gateway's metrics in a registry of their own, so that two applications in one process do not collide."""

    def __init__(self, *, tenant_label: bool = False, multiprocess_dir: str | None = None) -> None:
        self._tenant_label = tenant_label
        self._multiprocess_dir = multiprocess_dir
        self.registry = CollectorRegistry()
        tenant = ["tenant"] if tenant_label else []
        self.requests = Counter(
            "rung_requests",
            "Requests answered, by surface, tier that served, HTTP status and cache state.",
            ["surface", "tier", "status", "cache", *tenant],
            registry=self.registry,
        )
        self.duration = Histogram(
            "rung_request_duration_seconds",
            "Time from the request's arrival to its reply, for a stream to the reply's first frames.",
            ["surface"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.overhead = Histogram(
            "rung_overhead_seconds",
            "Time that Rung itself added before the upstream call.",
            buckets=_OVERHEAD_SECONDS,
            registry=self.registry,
        )
        self.spend = Counter("rung_spend_usd", "Money settled, in dollars.", ["tier", *tenant], registry=self.registry)
        self.alerts = Counter(
            "rung_budget_alerts",
            "Budgets that reached a threshold of theirs (a share of the limit), once in each window.",
            ["threshold", *tenant],
            registry=self.registry,
        )
        self.past_soft = Counter(
            "rung_soft_limit_requests",
            "Requests that were decided with a budget past its soft limit.",
            tenant,
            registry=self.registry,
        )
        self.saved = Counter(
            "rung_saved_usd",
            "What answers out of the cache had cost when they were bought, in dollars, by cache (hit, semantic).",
            ["cache", *tenant],
            registry=self.registry,
        )
        self.tokens = Counter(
            "rung_tokens",
            "Tokens billed, by kind (input, cached, output, reasoning).",
            ["tier", "kind"],
            registry=self.registry,
        )
        self.upstream_errors = Counter(
            "rung_upstream_errors", "Failed upstream attempts, by model and error code.", ["model", "code"],
            registry=self.registry,
        )  # fmt: skip
        self.breakers = Counter(
            "rung_breaker_openings",
            "Times that a model was put aside for a while because it kept failing, by model.",
            ["model"],
            registry=self.registry,
        )
        self.defaulted = Counter(
            "rung_default_estimates",
            "Decisions made with the marked default because the classifier failed or was late.",
            registry=self.registry,
        )
        self.second_looks = Counter(
            "rung_second_looks",
            "Close decisions that wanted a second look, by what became of it (taken, late, failed, busy, deadline).",
            ["result"],
            registry=self.registry,
        )
        self.second_look_changes = Counter(
            "rung_second_look_changes",
            "Decisions that a second look changed.",
            registry=self.registry,
        )
        self.second_look_seconds = Histogram(
            "rung_second_look_seconds",
            "How long requests waited for a second look, those that came too late included.",
            buckets=_OVERHEAD_SECONDS,
            registry=self.registry,
        )
        self.reloads = Counter(
            "rung_configuration_reloads",
            "Changed configurations, by what became of them (in force, refused).",
            ["result"],
            registry=self.registry,
        )
        self.outcomes = Counter(
            "rung_outcomes",
            "Outcomes, by source and what became of them (recorded, repeated, refused, failed, dropped, lost).",
            ["source", "result"],
            registry=self.registry,
        )
        self.classifier = Gauge(
            "rung_classifier_info",
            "1 for each classifier in force for everyone, by version and role (active, canary, shadow).",
            ["version", "role"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.classifier_sequence = Gauge(
            "rung_classifier_sequence",
            "The registry's state in force; of several processes, the oldest.",
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self.classifier_refusals = Counter(
            "rung_classifier_refusals",
            "Looks at the registry after which a classifier or state was refused, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.classifier_health = Gauge(
            "rung_classifier_health",
            "By version: promised and observed success over the last outcomes, their number, drift and shift.",
            ["version", "what"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.shadow = Counter(
            "rung_shadow_decisions",
            "Live queries that the shadow judged, by whether it decides the same (agrees, disagrees, failed).",
            ["result"],
            registry=self.registry,
        )
        self.shadow_difference = Histogram(
            "rung_shadow_difference",
            "How far the shadow's difficulty lies from the one that decided.",
            buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
            registry=self.registry,
        )
        self._shown: set[tuple[str, str]] = set()
        self._requests_of = lru_cache(_REMEMBERED)(self.requests.labels)
        self._duration_of = lru_cache(_REMEMBERED)(self.duration.labels)
        self._spend_of = lru_cache(_REMEMBERED)(self.spend.labels)
        self._tokens_of = lru_cache(_REMEMBERED)(self.tokens.labels)
        self.tasks = Gauge(
            "rung_tasks",
            "Asynchronous tasks of the processes, as counted every few seconds: flat over time, or something leaks.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.in_flight = Gauge(
            "rung_requests_in_flight",
            "Requests being served.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def show_classifiers(self, in_force: Mapping[str, str], sequence: int) -> None:
        """Show which versions are in force, by role."""
        now = {(version, role) for role, version in in_force.items()}
        for version, role in self._shown | now:
            self.classifier.labels(version, role).set(float((version, role) in now))
        self._shown |= now
        self.classifier_sequence.set(sequence)

    def show_health(self, health: Mapping[str, Any]) -> None:
        """Show how a version does."""
        for what, value in health.items():
            if isinstance(value, int | float):
                self.classifier_health.labels(str(health["version"]), what).set(value)

    def count_alert(self, tenant: str, threshold: float) -> None:
        """One more alert of a budget."""
        self.alerts.labels(f"{threshold:g}", *self._of(tenant)).inc()

    def count_past_soft(self, tenant: str) -> None:
        """One more request past a soft limit."""
        (self.past_soft.labels(tenant) if self._tenant_label else self.past_soft).inc()

    def answered(self, surface: str, *, tier: str, status: int, cache: str, tenant: str, seconds: float) -> None:
        """Count a request that has its reply; `tenant` is "" where nobody knows whose it was."""
        self._requests_of(surface, tier, str(status), cache, *self._of(tenant)).inc()
        self._duration_of(surface).observe(seconds)

    def billed(self, *, tier: str, tenant: str, cost_nano: int, tokens: Mapping[str, int | None]) -> None:
        """Count what was settled: nano-dollars, and tokens by kind."""
        self._spend_of(tier, *self._of(tenant)).inc(cost_nano / 1e9)
        for kind, number in tokens.items():
            if number:
                self._tokens_of(tier, kind).inc(number)

    def remembered(self, *, cache: str, tenant: str, saved_nano: int) -> None:
        """Count what an answer out of the cache had cost, nano-dollars."""
        self.saved.labels(cache, *self._of(tenant)).inc(saved_nano / 1e9)

    def _of(self, tenant: str) -> tuple[str, ...]:
        return (tenant,) if self._tenant_label else ()

    def render(self) -> tuple[bytes, str]:
        """The exposition (bytes, content type), over all worker processes where there are several."""
        if self._multiprocess_dir is None:
            return generate_latest(self.registry), CONTENT_TYPE_LATEST
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=self._multiprocess_dir)  # pyright: ignore[reportUnknownMemberType] - untyped upstream
        return generate_latest(registry), CONTENT_TYPE_LATEST
