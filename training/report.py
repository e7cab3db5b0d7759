"""What a freshly trained classifier is worth on questions that it has not seen: the numbers of its manifest.

These are in-domain figures of the shipped recipe, to compare one version with the next. The comparison with other
routers, transfer and intervals are `rung bench routing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.head import Network
from classifier.inputs import Inputs
from classifier.model import DifficultyModel, Layout
from classifier.types import Query
from training.benchmarks.metrics import auroc, ece, ranking
from training.calibrate import token_excess
from training.data import Matrix
from training.levels import targets_of
from training.noise import gibberish, typos
from training.own_prompts import trivial

Floats = NDArray[np.floating[Any]]
MIN_ANSWERS = 50  # of a model in a source; an AUROC of fewer is noise
SAMPLE = 1_000  # questions for the flips; their standard error is then .013


def measure(network: Network, layout: Layout, inputs: Inputs, x: Floats, held: Matrix, *, seed: int) -> dict[str, Any]:
    """Figures on held-out questions (n, D), and on prompts of our own that were not trained on."""
    model = DifficultyModel(inputs=inputs, network=network, layout=layout, version="trial")
    difficulty = 1.0 - model.success_many(x) @ model.cheap_weights
    return {
        "held_out_questions": len(held),
        **_success(model, x, held),
        **_tokens(network, layout, x, held),
        **trivial_percentiles(model, difficulty),
        **flips(model, _sample(held.prompts, seed), seed=seed),
    }


def _sample(prompts: NDArray[Any], seed: int) -> list[str]:
    drawn = np.random.default_rng(seed).permutation(len(prompts))[:SAMPLE]
    return [str(text) for text in prompts[drawn]]


def trivial_percentiles(model: DifficultyModel, reference: Floats) -> dict[str, float]:
    """Where unseen trivial prompts fall among real questions' difficulties (n,), in percent."""
    small = np.array([model.estimate(Query(text=text)).difficulty for text in trivial("test")])
    percentile = 100.0 * (small[:, None] > reference).mean(axis=1)
    return {
        "trivial_percentile_median": round(float(np.median(percentile)), 2),
        "trivial_percentile_worst": round(float(percentile.max()), 2),
    }


def flips(model: DifficultyModel, texts: list[str], *, seed: int) -> dict[str, float]:
    """Share of texts that noise moves across the median difficulty."""
    random = np.random.default_rng(seed)
    kinds: Mapping[str, Callable[[str], str]] = {
        "typos": lambda text: typos(text, 0.05, random),
        "gibberish": lambda text: f"{gibberish(60, random)} {text}",
        "effort": lambda text: f"This is very hard, think step by step. {text}",
    }
    clean = _difficulties(model, texts)
    above = clean > np.median(clean)
    return {
        f"flips_{name}": round(
            float(((_difficulties(model, list(map(noise, texts))) > np.median(clean)) != above).mean()), 4
        )
        for name, noise in kinds.items()
    }


def _difficulties(model: DifficultyModel, texts: list[str]) -> Floats:
    return 1.0 - model.success_many(model.inputs.compute_many(texts)) @ model.cheap_weights


def _success(model: DifficultyModel, x: Floats, held: Matrix) -> dict[str, float]:
    """AUROC per model within each source, averaged; ECE over levels."""
    ease = model.success_many(x).mean(axis=1).astype(float)
    areas: list[float] = []
    for source in np.unique(held.sources.astype(str)):
        rows = held.sources == source
        for column in held.score[rows].T:
            known = np.isfinite(column)
            if known.sum() >= MIN_ANSWERS and 0 < column[known].mean() < 1:
                one = np.ones((1, int(known.sum())))
                areas.append(float(auroc(ranking(ease[rows][known]), column[known], one)[0]))
    figures = {"ece_levels": round(_level_ece(model, x, held), 4)}
    return {"auroc_within_source": round(float(np.mean(areas)), 4), **figures} if areas else figures


def _level_ece(model: DifficultyModel, x: Floats, held: Matrix) -> float:
    """Expected calibration error over all cells of question and level that have evidence."""
    targets = targets_of(held)
    known = targets.level_weights > 0
    predicted = model.success_many(x)[known].astype(float)
    return float(
        ece(predicted, targets.levels[known].astype(float), targets.level_weights[known][None].astype(float))[0]
    )


def _tokens(network: Network, layout: Layout, x: Floats, held: Matrix) -> dict[str, float]:
    levels, kinds = len(layout.abilities), len(layout.kinds)
    outputs = network.outputs_many(x).mean(axis=1)
    centre = outputs[:, levels + kinds]
    excess, owner = token_excess(centre, held)
    margin = np.array(layout.token_margins)[outputs[:, levels : levels + kinds].argmax(axis=1)][owner]
    used, high = np.exp(excess + centre[owner]), np.exp(centre[owner] + margin)
    return {
        "token_coverage": round(float((excess <= margin).mean()), 4),
        "token_reserve_over_mean": round(float(high.sum() / used.sum()), 3),
    }
