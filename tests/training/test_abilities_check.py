"""A listed ability that results contradict is found; those that they bear out are not accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.abilities import listed
from training.abilities_check import MIN_ANSWERS, hold
from training.data import Matrix, read_results, to_matrix

MODELS = (
    "gemma-2-9b-it", "Qwen2-72B-Instruct", "Phi-3.5-mini-instruct", "yi-large", "DeepSeek-V3", "o1-mini",
    "claude-3-opus-20240229", "gpt-4o-2024-08-06",
)  # fmt: skip


def results(folder: Path, *, questions: int, odd: str | None = None) -> Matrix:
    """Each model answers by its listed ability, the odd one by .25 less."""
    draw = np.random.default_rng(0)
    rows = [
        {"prompt": f"question {i}", "model": model, "score": float(draw.random() < able - 0.25 * (model == odd))}
        for model in MODELS
        for able in (listed()[model],)
        for i in range(questions)
    ]
    path = folder / "made.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return to_matrix(read_results([path]))


@pytest.mark.parametrize("odd", ["gpt-4o-2024-08-06", "yi-large"])
def test_only_the_model_that_results_contradict_is_far(odd: str, tmp_path: Path) -> None:
    held = hold(results(tmp_path, questions=1_500, odd=odd))
    assert {one.model for one in held if one.far} >= {odd}
    assert sum(one.far for one in held) <= 2


def test_results_that_bear_the_list_out_accuse_nobody(tmp_path: Path) -> None:
    held = hold(results(tmp_path, questions=1_500))
    assert len(held) == len(MODELS)
    assert not [one.model for one in held if one.far]


def test_a_few_answers_say_nothing(tmp_path: Path) -> None:
    assert hold(results(tmp_path, questions=MIN_ANSWERS - 1)) == []
