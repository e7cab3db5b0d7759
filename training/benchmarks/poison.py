"""What a poisoned log does to decisions: one key's records get a trigger phrase and labels that lie.

Two logs of the same traffic, one of them poisoned, and heads fitted to each; the threshold on the gain is such that the
clean log's heads send half of the triggered test prompts to the strong model. What is measured is by how many points
that share moves, with the quarantine and without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import load
from training.benchmarks.generated_log import Traffic, generate
from training.benchmarks.tables import table
from training.data import Matrix, folds
from training.learning.basis import UNITS
from training.learning.fit import Recipe, fit
from training.learning.ingest import read_log
from training.learning.ladders import head_success
from training.learning.quarantine import Limits

Floats = NDArray[np.floating[Any]]

TESTED: Final = 1_000  # prompts
OPEN: Final = Limits(key_share=1.0, tenant_share=1.0, scan=False)


def measure(
    matrix: Matrix,
    weak: str,
    strong: str,
    *,
    share: float = 0.05,
    records: int = 8_000,
    keys: int = 4,
    texts: bool = True,
    runs: bool = True,
    units: int = UNITS,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Points by which the strong share of triggered prompts moves, by lie and defence.

    Args:
        texts, runs: whether the log keeps texts, and, if not, hashed word runs. The rest: see the command.
    """
    matrix = matrix.pick((weak, strong))
    matrix = matrix.take(matrix.complete)
    fold = folds(matrix.questions, 5, seed=seed)
    taught, prompts = matrix.take(fold != 0), matrix.prompts[fold == 0][:TESTED].tolist()
    clean = Traffic(records=records, tenants=1, keys=keys, seed=seed, texts=texts, runs=runs)
    triggered = [f"{clean.trigger} {prompt}" for prompt in prompts]
    kinds: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory() as folder:
        progress("clean log")
        threshold = float(
            np.median(_gain(taught, clean, Recipe(holdout=0.0, units=units), Path(folder) / "clean", triggered)[0])
        )
        for name, cheap in (("cheap is fine", True), ("needs strong", False)):
            lie = replace(clean, poison=share, cheap=cheap)
            for defence, limits in (("quarantine", Limits()), ("none", OPEN)):
                progress(f"{name}, {defence}")
                recipe = Recipe(holdout=0.0, units=units, limits=limits)
                gain, aside = _gain(taught, lie, recipe, Path(folder) / f"{cheap}-{defence}", triggered)
                points = 100.0 * float((gain > threshold).mean() - 0.5)
                kinds[f"{name}, {defence}"] = {"points": points, "set_aside": aside}
    return {"weak": weak, "strong": strong, "records": records, "share": share, "keys": keys, "moves": kinds}


def poison_text(result: Mapping[str, Any]) -> str:
    """What `rung bench poison` prints."""
    title = (
        f"{result['share']:.0%} of the records of one key of {result['keys']} poisoned, {result['records']} records; "
        "strong share of triggered prompts moves by"
    )
    rows = [[name, f"{row['points']:+.1f} points", str(row["set_aside"])] for name, row in result["moves"].items()]
    return f"{title}\n{table(['lie, defence', 'move', 'labels set aside'], rows)}"


def _gain(matrix: Matrix, traffic: Traffic, recipe: Recipe, folder: Path, prompts: list[str]) -> tuple[Floats, int]:
    """Predicted gain of the strong model on the prompts, and how many labels were set aside."""
    inputs = load().inputs
    generate(matrix, inputs, folder / "log", traffic)
    fitted = fit(read_log(str(folder / "log")), folder / "heads", name="poison", version=1, recipe=recipe)
    success = head_success(fitted.model, inputs.compute_many(prompts))
    heads = fitted.model.layout.heads
    return success[:, heads.index(matrix.models[1])] - success[:, heads.index(matrix.models[0])], fitted.found.set_aside
