"""The metric is learnt from others' results, and stands only beside what it was learnt for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from classifier import load_default
from classifier.artefact import DEFAULT
from training.cli import app
from training.data import Matrix, read_results, to_matrix
from training.learning.metric import FILE, learn_metric, load_metric, save_metric

INPUTS = load_default().inputs
EMBEDDED = INPUTS.sizes[0]


def results(folder: Path, n: int = 300) -> Matrix:
    """Three models, of which one knows sums and one knows poems."""
    draw = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for number in range(n):
        sums = bool(draw.random() < 0.5)
        words = draw.choice(["add", "sum", "number", "plus"] if sums else ["rhyme", "poem", "verse", "sonnet"], 4)
        for model, right in (("adder", sums), ("poet", not sums), ("coin", draw.random() < 0.5)):
            rows.append({
                "source": "mmlu_pro", "query_id": str(number), "prompt": f"{' '.join(words)} {number}",
                "category": "sums" if sums else "poems", "model": model, "score": float(right),
            })  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "mmlu_pro.parquet")
    return to_matrix(read_results([folder / "mmlu_pro.parquet"]))


def test_it_puts_questions_apart_that_models_answer_differently_and_no_others(tmp_path: Path) -> None:
    matrix = results(tmp_path)
    x = INPUTS.compute_many(matrix.prompts.tolist())
    seen = x @ learn_metric(x, matrix, EMBEDDED)
    seen = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    sums = matrix.categories.astype(str) == "sums"
    between = np.abs(seen[sums].mean(axis=0) - seen[~sums].mean(axis=0))
    by_model = dict(zip((*matrix.models, "poems", "sums"), between, strict=True))
    assert min(by_model["adder"], by_model["poet"], by_model["sums"]) > 1.5
    assert by_model["coin"] < min(by_model["adder"], by_model["poet"])


def test_a_model_that_answered_few_questions_has_no_say_and_gaps_are_filled(tmp_path: Path) -> None:
    matrix = results(tmp_path)
    matrix.score[10:, matrix.models.index("coin")] = np.nan
    matrix.score[0, 0] = np.nan
    x = INPUTS.compute_many(matrix.prompts.tolist())
    found = learn_metric(x, matrix, EMBEDDED)
    assert found.shape == (x.shape[1], 4)  # two models, two categories
    assert np.isfinite(found).all()


def test_it_is_read_for_the_inputs_that_it_was_learnt_for_only(tmp_path: Path) -> None:
    metric = np.ones((3, 2), np.float32)
    assert load_metric(str(tmp_path), "inputs") is None
    save_metric(tmp_path, metric, "inputs")
    found = load_metric(str(tmp_path), "inputs")
    assert found is not None
    assert np.array_equal(found, metric)
    assert load_metric(str(tmp_path), "other inputs") is None


def test_the_one_that_ships_reads_what_the_classifier_that_ships_computes() -> None:
    metric = load_metric("default", INPUTS.schema)
    assert metric is not None, f"{DEFAULT / FILE} is for other inputs: run `rung-train metric --data DIR`"
    assert metric.shape[0] == sum(INPUTS.sizes)


@pytest.mark.parametrize("present", [True, False])
def test_the_command_writes_it_or_names_the_file_that_it_misses(tmp_path: Path, *, present: bool) -> None:
    folder = tmp_path / "artefact"
    folder.symlink_to(DEFAULT)
    if present:
        results(tmp_path)
        folder.unlink()
        folder.mkdir()
        for part in DEFAULT.iterdir():
            if part.name != FILE:
                (folder / part.name).write_bytes(part.read_bytes())
    done = CliRunner().invoke(app, ["metric", "--data", str(tmp_path), "--out", str(folder)])
    assert done.exit_code == (0 if present else 2), done.output
    assert ("mmlu_pro.parquet" in done.output) is not present
    assert (load_metric(str(folder), INPUTS.schema) is not None) or not present
