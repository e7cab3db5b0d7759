"""`rung-train fit`: a log -> a candidate in the registry, global or a tenant's own. Deterministic by data and seed.

1. ingest: rows once, outcomes joined          training.learning.ingest
2. quarantine: poison out, shares bounded      training.learning.quarantine
3. split by time: the newest part is held out  training.learning.dataset
4. heads on the base's inputs and landmarks    training.learning.heads
5. an artefact with its manifest               here
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import DEFAULT, load, save
from classifier.model import DifficultyModel
from training.default import GOLDEN
from training.engine import Engine, LocalEngine
from training.learning.basis import UNITS
from training.learning.dataset import EXPLORE, LEAST_LABELS, Rows, data_hash, rows_of, split, too_few
from training.learning.heads import learn
from training.learning.ingest import Log
from training.learning.quarantine import Found, Limits, quarantine
from training.learning.ridge import FOLDS

HOLDOUT: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to fit.

    Attributes:
        base: artefact whose network the heads stand on: a folder, or `default`.
        holdout: share of the labelled time that is kept for the proof. seed: of samples and landmarks.
        units: landmarks of each sort (training.learning.basis).
        limits: of the quarantine.
    """

    base: str = "default"
    holdout: float = HOLDOUT
    seed: int = 0
    units: int = UNITS
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fitted candidate.

    Attributes:
        model: as it will be served. folder: its artefact. models: that have heads.
        held: (h,) decisions of the log that nothing was fitted to. log: with the labels that passed the quarantine.
        found: what the quarantine did. about: for the manifest and the report.
    """

    model: DifficultyModel
    folder: Path
    models: tuple[str, ...]
    held: NDArray[np.int64]
    log: Log
    found: Found
    about: dict[str, Any]


def fit(
    log: Log,
    out: Path,
    *,
    name: str,
    version: int,
    recipe: Recipe | None = None,
    engine: Engine | None = None,
    parent: str | None = None,
    start: DifficultyModel | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Fitted:
    """Fit heads to a log and write an artefact.

    Args:
        log: as `read_log` gives it.
        out: the artefact's folder.
        name, version: what it is called.
        recipe: how to fit.
        engine: where the log's parts are worked on.
        parent: the version that decides now, for the manifest.
        start: a classifier whose heads are started from; by default the recipe's base, which has none.
        say: told each phase.

    Raises:
        DataError: too few labels, or no vectors.
    """
    recipe, engine = recipe or Recipe(), engine or LocalEngine()
    base = load(recipe.base)
    say("looking for poison")
    if start is not None and start.inputs.schema != base.inputs.schema:
        start = None  # its heads read other numbers
    found = quarantine(log, base, recipe.base, recipe.limits)
    clean = log.with_labels(found.labels)
    older, held = split(clean, recipe.holdout)
    rows = rows_of(clean, older, FOLDS)
    for words in _who_learns(rows, too_few(clean, older)):
        say(words)
    learnt = learn(
        clean,
        rows,
        artefact=recipe.base,
        engine=engine,
        without=found.at,
        seed=recipe.seed,
        units=recipe.units,
        start=start,
    )
    about: dict[str, Any] = {
        "data": [{"source": "decision log", "decisions": len(log), "labels": len(rows), "sha256": data_hash(log)}],
        "seed": recipe.seed,
        "recipe": {key: value for key, value in asdict(recipe).items() if key != "seed"},
        "learning": {
            "parent": parent,
            "base": base.version,
            "started_from": (start or base).version,
            "models": dict(zip(rows.models, np.bincount(rows.model, minlength=len(rows.models)).tolist(), strict=True)),
            "shared_penalty": learnt.solution.shared,
            "own_penalty": learnt.solution.apart,
            "fitted_until": _end_of(clean, rows.at),
            "left_out_squared_error": round(learnt.solution.loss, 5),
            "quarantine": found.as_json(log),
        },
    }
    model = save(
        out,
        name=name,
        version=version,
        inputs=base.inputs,
        encoder_files=DEFAULT if recipe.base == "default" else Path(recipe.base),
        network=learnt.network,
        layout=replace(base.layout, heads=learnt.models),
        golden=GOLDEN,
        about=about,
    )
    return Fitted(model=model, folder=out, models=learnt.models, held=held, log=clean, found=found, about=about)


def _who_learns(rows: Rows, few: dict[str, int]) -> list[str]:
    """Which models get a head, and what stands in the way of the others."""
    heads = "1 head" if len(rows.models) == 1 else f"{len(rows.models)} heads"
    told = [f"fitting {heads} to {len(rows):,} labels"]
    if few:
        told.append(f"no head for want of {LEAST_LABELS} labels: {', '.join(f'{m} ({n})' for m, n in few.items())}")
    if len(rows.models) == 1:
        told.append(f"only {rows.models[0]} has labels enough, so there is nothing to choose between: {EXPLORE}")
    return told


def _end_of(log: Log, at: NDArray[np.int64]) -> float:
    """The first moment, in Unix seconds, after the newest of these decisions."""
    return float(np.nextafter(log.created[at].max(), np.inf))


def scope_name(tenant: str | None) -> str:
    """What models of a tenant, or of everyone, are called in the registry."""
    return "global" if tenant is None else "tenant-" + re.sub(r"[^A-Za-z0-9_]", "_", tenant)[:60]
