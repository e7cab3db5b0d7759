"""The recipe of the shipped classifier runs from a data directory to a checked artefact, and its command reports it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import training.default as recipe
from classifier import Query, load
from classifier.artefact import DEFAULT, read_manifest
from tests.training.results import made_up
from training.cli import app
from training.data import DataError
from training.network import Recipe


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with made-up results under the real names, and a recipe of one small network."""
    small = Recipe(members=1, width=8, epochs=1)
    monkeypatch.setattr("training.levels.fit_levels.__kwdefaults__", {"recipe": small, "seed": 0, "progress": None})
    for number, name in enumerate(recipe.FILES):
        rows = made_up(80, seed=number, models=("tiny-7b", "mid-30b", "big-70b"))
        rows.assign(source=name).to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def test_a_rebuilt_artefact_loads_and_counts_its_version_up(data: Path) -> None:
    first, metrics = recipe.build(data, data / "out")
    second, _ = recipe.build(data, data / "out")
    assert (first.version, second.version) == ("default-1", "default-2")
    assert load(data / "out").estimate(Query(text="Hi")) == second.estimate(Query(text="Hi"))
    assert 0 <= metrics["token_coverage"] <= 1


def test_equal_data_and_seed_give_equal_weights(data: Path) -> None:
    for name in ("one", "two"):
        recipe.build(data, data / name, seed=7)
    one, two = (read_manifest(data / name)["files"]["heads.safetensors"] for name in ("one", "two"))
    assert one == two


def test_the_command_prints_the_figures_as_json(data: Path) -> None:
    done = CliRunner().invoke(app, ["default", "--data", str(data), "--out", str(data / "out"), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.strip().splitlines()[-1])
    assert report["version"] == "default-1"
    assert report["held_out_questions"] > 0


def test_a_missing_file_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mmlu_pro\.parquet"):
        recipe.build(tmp_path, tmp_path / "out")
    done = CliRunner().invoke(app, ["default", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "mmlu_pro.parquet" in done.output
    assert not (tmp_path / "out").exists()


def test_the_shipped_manifest_names_sources_licences_and_figures() -> None:
    manifest = read_manifest(DEFAULT)
    sources = {entry["source"]: entry["licence"] for entry in manifest["data"]}
    assert sources.keys() >= recipe.FILES.keys()
    assert all(sources.values())
    assert manifest["metrics"]["trivial_percentile_median"] <= 3.0
    assert manifest["metrics"]["flips_typos"] <= 0.2
    assert 0.88 <= manifest["metrics"]["token_coverage"] <= 0.92


def test_a_version_rises_over_an_artefact_of_other_features(data: Path) -> None:
    recipe.build(data, data / "out")
    manifest = data / "out" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text(encoding="utf-8")) | {"features": "others"}), "utf-8")
    later, _ = recipe.build(data, data / "out")
    assert later.version == "default-2"


def test_the_manifest_counts_the_questions_of_every_file() -> None:
    counted = {entry["source"]: entry.get("questions") for entry in read_manifest(DEFAULT)["data"]}
    assert all(counted[name] for name in recipe.FILES)
