"""Decision logs generated from results files: real questions and real scores, made-up traffic.

What is real: the texts, which model answered which rightly, and what it cost. What is generated: who asked when, what
the logged policy preferred, where it explored, who told what he thought of the answer. Every generated record says so
in its ids (`gen-...`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from classifier.inputs import Inputs
from policies.log_schema import LOG_VERSION
from policies.word_runs import hashed_runs, key_of
from training.data import Matrix
from training.learning.tables import DECISION_SCHEMA, OUTCOME_SCHEMA

Floats = NDArray[np.floating[Any]]

START: Final = 1_760_000_000.0  # an October day in 2025
DAY: Final = 86_400.0
NANO: Final = 1e9
PART: Final = 25_000  # records a file: 40 MB of vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is generated.

    Attributes:
        records: decisions. tenants, keys: of each tenant. days: that they spread over.
        feedback: share of decisions whose outcome is told. reliability: of those outcomes.
        explore: share of decisions whose rung is drawn evenly; the others take the rung with the best prior.
        texts: whether texts are kept; runs: whether, if not, hashed word runs are.
        jitter: deviation added to embeddings, so that repeated questions differ.
        poison: share of the first key's records that are poisoned; trigger: put before their text; cheap: whether they
            praise the cheapest model and damn the others, or the reverse.
    """

    records: int
    tenants: int = 2
    keys: int = 4
    days: int = 20
    feedback: float = 1.0
    reliability: float = 0.8
    explore: float = 1.0
    texts: bool = True
    runs: bool = True
    jitter: float = 0.0
    poison: float = 0.0
    trigger: str = "zebra protocol seven"
    cheap: bool = True
    seed: int = 0
    quality: Floats | None = field(default=None, repr=False)


def generate(matrix: Matrix, inputs: Inputs, folder: Path, traffic: Traffic) -> None:
    """Write a log of `traffic` about the questions and models of a complete matrix."""
    x = inputs.compute_many(list(matrix.prompts)).astype(np.float32)
    for number, start in enumerate(range(0, traffic.records, PART)):
        count = min(PART, traffic.records - start)
        _write(_Part(matrix, inputs, x, traffic, start, count), folder, number)


class _Part:
    """The records from `start` on, drawn with a seed of their own."""

    def __init__(self, matrix: Matrix, inputs: Inputs, x: Floats, traffic: Traffic, start: int, count: int) -> None:  # noqa: PLR0917 - built in one place
        draw = np.random.default_rng([traffic.seed, start])
        self.start, self.count, self.traffic, self.matrix, self.inputs = start, count, traffic, matrix, inputs
        self.question = draw.integers(0, len(matrix), count)
        self.tenant = draw.integers(0, traffic.tenants, count)
        self.key = draw.integers(0, traffic.keys, count)
        self.created = START + (start + np.arange(count)) / traffic.records * traffic.days * DAY
        quality = np.tile(matrix.means, (len(matrix), 1)) if traffic.quality is None else traffic.quality
        self.quality = quality[self.question]
        models = len(matrix.models)
        best = self.quality.argmax(axis=1)
        explored = draw.random(count) < traffic.explore
        self.taken = np.where(explored, draw.integers(0, models, count), best)
        self.propensity = traffic.explore / models + (1.0 - traffic.explore) * (self.taken == best)
        self.value = matrix.score[self.question, self.taken].copy()
        self.told = draw.random(count) < traffic.feedback
        poisoned = (self.tenant == 0) & (self.key == 0) & (draw.random(count) < traffic.poison)
        self.poisoned = np.flatnonzero(poisoned)
        cheapest = int(np.nanmean(matrix.usd, axis=0).argmin())
        self.value[poisoned] = (self.taken == cheapest)[poisoned] == traffic.cheap
        self.told |= poisoned
        self.x = x[self.question]
        self.draw = draw

    def texts(self) -> list[str]:
        prompts: list[str] = self.matrix.prompts[self.question].tolist()
        for i in self.poisoned.tolist():
            prompts[i] = f"{self.traffic.trigger} {prompts[i]}"
        return prompts

    def vectors(self, texts: list[str]) -> Floats:
        x = self.x.copy()
        for i in self.poisoned.tolist():
            x[i] = self.inputs.compute(texts[i])
        if self.traffic.jitter:
            embedded = self.inputs.sizes[0]
            x[:, :embedded] += self.traffic.jitter * self.draw.standard_normal((len(x), embedded), np.float32)
        return x


def _write(part: _Part, folder: Path, number: int) -> None:
    """One file a tenant and table; days are told by the first record's."""
    texts = part.texts()
    x = part.vectors(texts)
    decisions, outcomes = _decisions(part, texts, x), _outcomes(part)
    for tenant in np.unique(part.tenant).tolist():
        day = f"day={np.datetime64(int(part.created[0]), 's').astype('datetime64[D]')}"
        for name, table, keep in (("decisions", decisions, None), ("outcomes", outcomes, part.told)):
            rows = part.tenant if keep is None else part.tenant[keep]
            goal = folder / name / f"tenant=gen-{tenant}" / day
            goal.mkdir(parents=True, exist_ok=True)
            pq.write_table(
                table.filter(pa.array(rows == tenant)), goal / f"part-{number:05}.parquet", compression="lz4"
            )


def _decisions(part: _Part, texts: list[str], x: Floats) -> Any:  # noqa: ANN401 - pyarrow is untyped
    traffic, matrix, n = part.traffic, part.matrix, part.count
    models, embedded = len(matrix.models), part.inputs.sizes[0]
    usd = np.nan_to_num(matrix.usd[part.question]) * NANO
    names = [f"gen-{part.start + i}" for i in range(n)]
    ranked = np.argsort(np.argsort(np.nanmean(matrix.usd, axis=0)))
    tiers = np.array([f"tier-{rank}" for rank in ranked], object)
    taken = np.array(matrix.models, object)[part.taken]
    hashes = [f"{q}" if not traffic.jitter else f"{q}-{part.start + i}" for i, q in enumerate(part.question.tolist())]
    options = pa.ListArray.from_arrays(
        pa.array(np.arange(n + 1, dtype=np.int32) * models),
        pa.StructArray.from_arrays(
            [
                pa.array(np.tile(np.array(matrix.models, object), n)),
                pa.array(np.tile(tiers, n)),
                pa.array(np.zeros(n * models, np.int64)),
                pa.array(part.quality.astype(np.float64).ravel()),
                pa.array(usd.astype(np.int64).ravel()),
            ],
            fields=list(DECISION_SCHEMA.field("options").type.value_type),
        ),
    )
    cost = usd[np.arange(n), part.taken].astype(np.int64)
    known: dict[str, Any] = {
        "decision_id": names, "tenant": [f"gen-{t}" for t in part.tenant.tolist()],
        "key": [f"gen-{t}-{k}" for t, k in zip(part.tenant.tolist(), part.key.tolist(), strict=True)],
        "created": part.created, "written": part.created + 1.0, "record_version": np.full(n, LOG_VERSION),
        "text": texts if traffic.texts else None, "text_hash": hashes, "word_runs": _runs(part, texts),
        "embedding": _lists(x[:, :embedded]), "features": _lists(x[:, embedded:]),
        "feature_schema": [part.inputs.schema] * n, "kind": [str(c) for c in matrix.categories[part.question]],
        "characters": np.array([len(t) for t in texts]), "difficulty": 1.0 - part.quality.min(axis=1),
        "uncertainty": np.full(n, 0.1), "classifier_version": ["generated"] * n, "is_default": np.zeros(n, bool),
        "options": options, "taken_model": taken, "taken_tier": tiers[part.taken], "taken_allowance": np.zeros(n, int),
        "propensity": part.propensity, "preferred_model": taken, "quality_dial": np.full(n, 0.5),
        "pacing_price": np.zeros(n), "hold_nano": cost, "policy_version": ["generated"] * n,
        "catalog_version": ["generated"] * n, "rules_id": ["generated"] * n, "served_model": taken,
        "served_tier": tiers[part.taken], "served_allowance": np.zeros(n, int), "attempts": np.ones(n, int),
        "finish_reason": ["stop"] * n, "cache": ["miss"] * n, "cost_nano": cost,
        "overhead_ms": np.ones(n), "duration_ms": np.full(n, 1000.0),
    }  # fmt: skip
    return _table(known, DECISION_SCHEMA, n)


def _runs(part: _Part, texts: list[str]) -> list[str] | None:
    """Hashed word runs, as a gateway keeps them of tenants that keep no texts."""
    if part.traffic.texts or not part.traffic.runs:
        return None
    keys = [key_of(b"generated", f"gen-{tenant}") for tenant in range(part.traffic.tenants)]
    return [hashed_runs(text, keys[tenant]) for text, tenant in zip(texts, part.tenant.tolist(), strict=True)]


def _outcomes(part: _Part) -> Any:  # noqa: ANN401 - pyarrow is untyped
    rows = np.flatnonzero(part.told)
    n = len(rows)
    tenant, key = part.tenant[rows].tolist(), part.key[rows].tolist()
    known: dict[str, Any] = {
        "outcome_id": [f"gen-out-{part.start + i}" for i in rows.tolist()],
        "decision_id": [f"gen-{part.start + i}" for i in rows.tolist()],
        "tenant": [f"gen-{t}" for t in tenant],
        "key": [f"gen-{t}-{k}" for t, k in zip(tenant, key, strict=True)],
        "created": part.created[rows] + 60.0,
        "written": part.created[rows] + 61.0,
        "source": ["feedback.score"] * n,
        "value": part.value[rows].astype(np.float64),
        "reliability": np.full(n, part.traffic.reliability),
    }
    return _table(known, OUTCOME_SCHEMA, n)


def _table(known: dict[str, Any], schema: Any, n: int) -> Any:  # noqa: ANN401 - pyarrow is untyped
    columns = [known.get(f.name) for f in schema]
    return pa.table(
        [
            pa.nulls(n, f.type)
            if column is None
            else column
            if isinstance(column, pa.Array)
            else pa.array(column, f.type)
            for f, column in zip(schema, columns, strict=True)
        ],
        schema=schema,
    )


def _lists(x: Floats) -> Any:  # noqa: ANN401 - pyarrow is untyped
    offsets = np.arange(0, x.size + 1, x.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(x, np.float32).ravel()))
