"""Requests drawn from our own OpenAPI description, sent to a running gateway: what it says must hold, and no 5xx."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import jsonschema_rs
import orjson
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode

SERVER_ERROR = 500
REJECTED = 400


@dataclass(slots=True)
class Fuzzed:
    """What came of it: statuses by operation, and every answer that broke a promise, in words."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    broken: list[str] = field(default_factory=list[str])

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def with_status(self, least: int) -> int:
        """How many answers have this status or a higher one."""
        return sum(count for (_, status), count in self.statuses.items() if status >= least)


def fuzz(url: str, headers: dict[str, str], *, examples: int) -> Fuzzed:
    """Send `examples` requests that fit the description and as many that do not, to each operation."""
    description: dict[str, Any] = httpx.get(f"{url}/openapi.json", timeout=30).json()
    listed = httpx.get(f"{url}/v1/models", headers=headers, timeout=30).json()["data"]
    for schema in ("ChatCompletionRequest", "RouteRequest"):  # any text is a model's name, and hardly any is one
        description["components"]["schemas"][schema]["properties"]["model"] = {"enum": [m["id"] for m in listed]}
    error = jsonschema_rs.validator_for(description["components"]["schemas"]["Error"])
    found = Fuzzed()
    with requests.Session() as session:
        for made in schemathesis.openapi.from_dict(description).get_all_operations():
            operation: Any = made.ok()  # pyright: ignore[reportAttributeAccessIssue] # its other kind has none, and raises

            def judge(case: Case[Any]) -> None:
                _judge(case, url, session, headers, error, found)

            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _drive(operation, mode, judge, examples)
    return found


def _drive(operation: Any, mode: GenerationMode, judge: Any, examples: int) -> None:
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: Case[Any]) -> None:
        judge(case)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the generators, about what they cannot negate
        try:
            each()
        except Exception as error:
            if type(error).__name__ not in {"Unsatisfiable", "SkipTest"}:  # nothing about it can be wrong
                raise


def _judge(
    case: Case[Any], url: str, session: requests.Session, headers: dict[str, str], error: Any, found: Fuzzed
) -> None:
    try:
        reply = case.call(base_url=url, session=session, headers=headers, timeout=30)
    except UnicodeError:  # a header that no client can write
        return
    label = f"{case.method} {case.operation.path}"
    found.statuses[label, reply.status_code] += 1
    what = f"{label} -> {reply.status_code} {reply.content[:300]!r} to {str(case.body)[:300]!r}"
    if reply.status_code >= SERVER_ERROR:
        found.broken.append(f"a server error: {what}")
    elif reply.status_code >= REJECTED and not _is_error(reply.content, error):
        found.broken.append(f"an error of another shape: {what}")


def _is_error(content: bytes, error: Any) -> bool:
    try:
        return bool(error.is_valid(orjson.loads(content)))
    except ValueError:
        return False
