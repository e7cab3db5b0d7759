"""The recipe of the classifier that ships: data directory in, artefact and report out.

1. Read the results, leave out what is known to be broken, bring all files on one scale.
2. Add prompts of our own (trivial, rated) and noisy copies of a part of everything.
3. Fit on nine tenths of the questions; on the last tenth calibrate success (Platt), the error's spread and the token
   quantile (split conformal, per kind of task), and measure.
4. Fit again on everything, keep the calibration, write the artefact with its manifest and golden texts.
5. Learn the metric that `rung-train fit` sees a log by (training.learning.metric), and put it beside.

Equal data, code and seed give the same artefact on one machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import DEFAULT, save
from classifier.encoder import PREFIX, STATIC, SentenceTransformerEncoder, load_static
from classifier.head import Network
from classifier.inputs import Inputs
from classifier.model import DifficultyModel, Layout
from training.calibrate import calibrated
from training.data import DataError, Matrix, folds, read_results, to_matrix
from training.learning.metric import SOURCE, learn_metric, save_metric
from training.lessons import Lesson, with_noise, with_own
from training.levels import RECIPE, fit_levels
from training.network import Progress
from training.own_prompts import trivial_success
from training.report import measure
from training.tasks import KINDS, LEVELS

FILES: Final = {
    "mmlu_pro": "Apache-2.0 (TIGER-AI-Lab/MMLU-Pro)",
    "ulab_llmrouter": "MIT (ulab-uiuc/LLMRouter)",
    "zeroeval_math5_crux": "Apache-2.0 (WildEval/ZeroEval)",
    "reasoning_gym": "Apache-2.0 (open-thought/reasoning-gym-eval)",
    "routellm_mmlu_dev": "Apache-2.0 (lm-sys/RouteLLM)",
    "misguided_attention": "CC0 (cpldcpu/MisguidedAttention)",
}
BROKEN: Final = {"ulab_llmrouter": "chatqa"}  # score 0 on MMLU and GPQA: a parser's failure, says the data's README
CHEAP: Final = 0.45  # ability of the small models of 2024, on which difficulty is defined
GOLDEN: Final = (
    "",
    "Hi",
    "What is 2+2?",
    "Merci beaucoup !",
    "What is the capital of Mongolia?",
    "Write a function that merges two sorted lists.",
    "Prove that there are infinitely many primes congruent to 3 modulo 4.",
    "你好，请介绍一下量子力学。",  # noqa: RUF001 - Chinese has its own comma
    "def f(x):\n    return [y for y in x if y % 2]\n\nWhat does f([1, 2, 3]) return?",
)


def build(
    data: Path,
    out: Path = DEFAULT,
    *,
    encoder: str = STATIC,
    encoder_files: Path = DEFAULT,
    seed: int = 0,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[DifficultyModel, dict[str, Any]]:
    """Train and write an artefact.

    Args:
        data: the directory with the results files.
        out: the artefact's folder; an artefact that stands there gives the version to rise from.
        encoder: `static` or `sentence-transformers:<model>`.
        encoder_files: the folder with the static table and vocabulary.
        seed: of everything random.
        progress: wraps the loop over the networks, to show a bar.
        say: told each phase.

    Returns:
        the loaded artefact and its metrics.

    Raises:
        DataError: a results file is missing or unusable.
    """
    say("reading results")
    matrix = read_all(data)
    inputs = make_inputs(encoder, encoder_files)
    lesson = with_noise(with_own(matrix, seed), seed)
    say(f"reading {len(lesson.texts)} texts")
    x = inputs.compute_many(lesson.texts.tolist())
    held = np.flatnonzero(folds(matrix.questions, 10, seed=seed) == 0)
    learnt = np.flatnonzero(~np.isin(lesson.roots, held))
    say("fitting on nine tenths, to calibrate on the rest")
    trial = _fit(x[learnt], lesson.take(learnt), inputs, seed, progress)
    plain = Layout(abilities=LEVELS, kinds=KINDS, heads=(), cheap=CHEAP, trivial=tuple(trivial_success().tolist()))
    layout = calibrated(plain, trial, x[held], matrix.take(held))
    metrics = measure(trial, layout, inputs, x[held], matrix.take(held), seed=seed)
    say("fitting on everything")
    network = _fit(x, lesson, inputs, seed, progress)
    model = save(
        out,
        name="default",
        version=next_version(out),
        inputs=inputs,
        encoder_files=encoder_files,
        network=network,
        layout=layout,
        golden=GOLDEN,
        about={"data": described(data, matrix), "seed": seed, "recipe": asdict(RECIPE), "metrics": metrics},
    )
    say("learning what tells questions apart")
    write_metric(data, out, inputs)
    return model, metrics


def write_metric(data: Path, out: Path, inputs: Inputs) -> None:
    """Learn the metric that heads are fitted with, and put it beside the artefact. Raises DataError."""
    if not (data / f"{SOURCE}.parquet").is_file():
        raise DataError(f"{data} lacks {SOURCE}.parquet; give the data directory")
    matrix = to_matrix(read_results([data / f"{SOURCE}.parquet"]))
    x = inputs.compute_many(matrix.prompts.tolist())
    save_metric(out, learn_metric(x, matrix, inputs.sizes[0]), inputs.schema)


def read_all(data: Path) -> Matrix:
    """All training files as one matrix, without the models that are known to be broken."""
    missing = [name for name in FILES if not (data / f"{name}.parquet").is_file()]
    if missing:
        raise DataError(f"{data} lacks {', '.join(f'{name}.parquet' for name in missing)}; give the data directory")
    results = read_results([data / f"{name}.parquet" for name in FILES])
    source, model = results.rows["source"].astype(str), results.rows["model"].astype(str)
    broken = np.zeros(len(results.rows), np.bool_)
    for name, part in BROKEN.items():
        broken |= ((source == name) & model.str.contains(part)).to_numpy()
    return to_matrix(replace(results, rows=results.rows[~broken].reset_index(drop=True)))


def make_inputs(encoder: str, files: Path) -> Inputs:
    """Encoder and features by configuration."""
    static = load_static(files)
    if encoder == STATIC:
        return Inputs(static, static.vocabulary)
    return Inputs(SentenceTransformerEncoder(encoder.removeprefix(PREFIX)), static.vocabulary)


def described(data: Path, matrix: Matrix) -> list[dict[str, Any]]:
    """Per training file: its source name, questions, licence and SHA-256, for the manifest."""
    own = {"source": "training/own", "licence": "Apache-2.0 (Rung)"}
    return [
        {
            "source": name,
            "questions": int(sum(name == source or name.startswith(f"{source}_") for source in matrix.sources)),
            "licence": licence,
            "sha256": sha256((data / f"{name}.parquet").read_bytes()).hexdigest(),
        }
        for name, licence in FILES.items()
    ] + [own]


def _fit(x: NDArray[Any], lesson: Lesson, inputs: Inputs, seed: int, progress: Progress | None) -> Network:
    return fit_levels(x, lesson.sources, lesson.targets, inputs, seed=seed, progress=progress)


def next_version(out: Path) -> int:
    """One more than the artefact that stands there has, whatever else is wrong with it."""
    try:
        return int(json.loads((out / "manifest.json").read_text(encoding="utf-8"))["version"]) + 1
    except (FileNotFoundError, ValueError, KeyError):
        return 1
