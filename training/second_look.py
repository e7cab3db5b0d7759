"""The recipe of a second look: results files and a transformer in, an artefact and a report out.

1. Read the results, leave out what is known to be broken; add prompts of our own and noisy copies, as for the
   classifier that ships (`training.default`).
2. Encode every text by the transformer: this is what takes long, and what the bar shows.
3. On nine tenths of the questions, fit both looks; on the last tenth calibrate the second, measure both, and find the
   weight `w` of the second beside the first (`classifier.second_look`) that makes the answers seen likeliest.
4. Fit the second on everything, and write the artefact, the transformer and the weight with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import DEFAULT, save
from classifier.encoder import STATIC
from classifier.head import Network
from classifier.inputs import Inputs
from classifier.model import DifficultyModel, Layout
from training.benchmarks.metrics import auroc, ranking
from training.calibrate import calibrated
from training.data import DataError, Matrix, folds, read_results, sample_questions, to_matrix
from training.default import BROKEN, CHEAP, FILES, GOLDEN, next_version
from training.encoding import Bar, Remembering, open_inputs
from training.lessons import with_noise, with_own
from training.levels import RECIPE, fit_levels, targets_of
from training.own_prompts import trivial_success
from training.report import measure
from training.tasks import KINDS, LEVELS

Floats = NDArray[np.floating[Any]]
NAME: Final = "second-look"
WEIGHTS: Final = np.linspace(0.0, 1.0, 21)
MIN_ANSWERS: Final = 50  # of a model in a source; an AUROC of fewer is noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One of the two classifiers on its way: its inputs, those of all texts, and its network's meaning."""

    inputs: Inputs
    x: Floats
    layout: Layout
    model: DifficultyModel


def build(
    data: Sequence[Path],
    out: Path,
    *,
    encoder: str,
    limit: int | None = None,
    seed: int = 0,
    threads: int = 1,
    bar: Bar | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[DifficultyModel, dict[str, Any]]:
    """Train a second look and write its artefact.

    Args:
        data: results files.
        out: the artefact's folder; one that stands there gives the version to rise from.
        encoder: `onnx:FOLDER` or `sentence-transformers:MODEL`.
        limit: learn from so many questions at most, drawn at random; None: from all.
        seed: of everything random.
        threads: for ONNX Runtime.
        bar: wraps the loop over batches of texts. say: told each phase.

    Returns:
        the written classifier, and its figures.

    Raises:
        DataError: the files give too little. ValueError, ModuleNotFoundError: of the encoder.
    """
    if encoder == STATIC:
        raise DataError("the static encoder is the first look; name a transformer with --encoder")
    say("opening the encoder")
    second, first = open_inputs(encoder, DEFAULT, bar=bar, threads=threads), open_inputs(STATIC, DEFAULT)
    say("reading results")
    matrix = _sampled(read_files(data), limit, seed)
    lesson = with_noise(with_own(matrix, seed), seed)
    say(f"encoding {len(lesson.texts):,} texts")
    held = np.flatnonzero(folds(matrix.questions, 10, seed=seed) == 0)
    learnt = np.flatnonzero(~np.isin(lesson.roots, held))
    part = lesson.take(learnt)
    looks: list[Look] = []
    for name, inputs in (("second", second), ("first", first)):
        x = inputs.compute_many(lesson.texts.tolist())
        say(f"fitting the {name} look on nine tenths, to measure on the rest")
        network = fit_levels(x[learnt], part.sources, part.targets, inputs, seed=seed)
        looks.append(_trial(inputs, x, network, x[held], matrix.take(held)))
    say("measuring")
    weight, figures = both(looks[1], looks[0], held, matrix.take(held))
    metrics = figures | measure(
        looks[0].model.network, looks[0].layout, second, looks[0].x[held], matrix.take(held), seed=seed
    )
    say("fitting on everything")
    network = fit_levels(looks[0].x, lesson.sources, lesson.targets, second, seed=seed)
    model = save(
        out,
        name=NAME,
        version=next_version(out),
        inputs=_bare(second),
        encoder_files=DEFAULT,
        network=network,
        layout=looks[0].layout,
        golden=GOLDEN,
        about={
            "second_look": {"weight": weight},
            "data": _described(data, matrix),
            "seed": seed,
            "recipe": asdict(RECIPE),
            "metrics": metrics,
        },
    )
    return model, metrics


def read_files(paths: Sequence[Path]) -> Matrix:
    """Results files as one matrix, without the models that are known to be broken."""
    results = read_results(paths)
    source, model = results.rows["source"].astype(str), results.rows["model"].astype(str)
    broken = np.zeros(len(results.rows), np.bool_)
    for name, part in BROKEN.items():
        broken |= ((source == name) & model.str.contains(part)).to_numpy()
    return to_matrix(replace(results, rows=results.rows[~broken].reset_index(drop=True)))


def both(first: Look, second: Look, held: NDArray[np.intp], results: Matrix) -> tuple[float, dict[str, float]]:
    """The weight of the second look, and what each of the two and both together are worth on held-out questions."""
    one, two = (look.model.success_many(look.x[held]).astype(float) for look in (first, second))
    targets = targets_of(results)
    logits = [_logit(p) for p in (one, two)]
    mixtures = [_expit((1 - w) * logits[0] + w * logits[1]) for w in WEIGHTS]
    best = int(np.argmin([_loss(p, targets.levels, targets.level_weights) for p in mixtures]))
    weight, mixed = float(WEIGHTS[best]), mixtures[best]
    figures: dict[str, float] = {"weight": round(weight, 2)}
    for name, success in (("first", one), ("second", two), ("both", mixed)):
        figures[f"auroc_{name}"] = round(within_source(success.mean(axis=1), results), 4)
        figures[f"log_loss_{name}"] = round(_loss(success, targets.levels, targets.level_weights), 4)
    return weight, figures


def within_source(ease: Floats, results: Matrix) -> float:
    """AUROC of success per model within each source, averaged."""
    areas: list[float] = []
    for source in np.unique(results.sources.astype(str)):
        rows = results.sources == source
        for column in results.score[rows].T:
            known = np.isfinite(column)
            if known.sum() >= MIN_ANSWERS and 0 < column[known].mean() < 1:
                one = np.ones((1, int(known.sum())))
                areas.append(float(auroc(ranking(ease[rows][known].astype(float)), column[known], one)[0]))
    return float(np.mean(areas)) if areas else float("nan")


def _trial(inputs: Inputs, x: Floats, network: Network, held_x: Floats, held: Matrix) -> Look:
    """A look that has not seen the held-out questions, calibrated on them."""
    plain = Layout(abilities=LEVELS, kinds=KINDS, heads=(), cheap=CHEAP, trivial=tuple(trivial_success().tolist()))
    layout = calibrated(plain, network, held_x, held)
    model = DifficultyModel(inputs=inputs, network=network, layout=layout, version="trial")
    return Look(inputs=inputs, x=x, layout=layout, model=model)


def _sampled(matrix: Matrix, limit: int | None, seed: int) -> Matrix:
    return matrix if limit is None else matrix.take(sample_questions(matrix.questions, limit, seed=seed))


def _bare(inputs: Inputs) -> Inputs:
    """The inputs as they will be served: with the encoder itself, not with what remembers for it."""
    encoder = inputs.encoder
    return type(inputs)(encoder.inner, inputs.vocabulary) if isinstance(encoder, Remembering) else inputs


def _described(data: Sequence[Path], matrix: Matrix) -> list[dict[str, Any]]:
    """Per file: questions of its source, licence where it is known, SHA-256."""
    described = [
        {
            "source": path.stem,
            "questions": int(sum(path.stem == s or path.stem.startswith(f"{s}_") for s in matrix.sources)),
            "licence": FILES.get(path.stem, "unknown"),
            "sha256": sha256(path.read_bytes()).hexdigest(),
        }
        for path in data
    ]
    return [*described, {"source": "training/own", "licence": "Apache-2.0 (Rung)"}]


def _loss(p: Floats, target: Floats, weight: Floats) -> float:
    """Mean cross-entropy over cells of question and level, by their evidence."""
    bounded = np.clip(p, 1e-4, 1 - 1e-4)
    cells = -(target * np.log(bounded) + (1 - target) * np.log(1 - bounded))
    return float((weight * cells).sum() / weight.sum())


def _logit(p: Floats) -> Floats:
    bounded = np.clip(p, 1e-4, 1 - 1e-4)
    return np.log(bounded / (1 - bounded))


def _expit(z: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * z))
