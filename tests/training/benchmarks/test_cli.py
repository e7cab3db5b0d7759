from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.training.results import made_up
from training.benchmarks.cli import app
from training.benchmarks.options import repeat_flags

ROUTERS = {"rung", "random", "length", "category", "knn", "mf", "litellm", "oracle"}
FIGURES = {"apgr", "cpt50", "cpt80", "auroc", "brier", "ece", "oracle_share", "cost80"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "results.parquet"
    made_up(120, models=("tiny-7b", "mid-13b", "big-70b")).to_parquet(path)
    return path


def run(*args: str | Path) -> dict[str, object]:
    """The JSON that a command prints; whatever else stood on stdout would not parse."""
    result = CliRunner().invoke(app, [*map(str, args), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_routing_prints_every_router_with_every_figure_and_its_interval(data: Path):
    result = run("routing", "--data", data, "--resamples", "20")
    rows = {row["router"]: row for row in result["results"]}
    assert set(rows) == ROUTERS
    for row in rows.values():
        assert set(row) >= FIGURES | {f"{name}_ci" for name in FIGURES}
    assert rows["rung"]["apgr_ci"][0] <= rows["rung"]["apgr"] <= rows["rung"]["apgr_ci"][1]
    assert rows["knn"]["apgr"] is None
    assert (result["mode"], result["weak"], result["strong"]) == ("shipped", "tiny-7b", "big-70b")
    assert result["pool"]["best_single"]["model"] == "big-70b"


def test_transferred_baselines_learn_from_the_training_files(data: Path, tmp_path: Path):
    other = tmp_path / "other.csv"
    made_up(120, seed=5).to_csv(other, index=False)
    result = run("routing", "--data", data, "--mode", "shipped", "--train", other, "--resamples", "0")
    knn = next(row for row in result["results"] if row["router"] == "knn")
    assert knn["apgr"] > 0.6
    assert knn["learnt_from"] == "--train"


def test_the_recipe_is_fitted_afresh_in_folds_and_learns(data: Path):
    result = run("routing", "--data", data, "--mode", "cv", "--drop", "mid-13b", "--resamples", "0")
    rows = {row["router"]: row for row in result["results"]}
    assert rows["rung"]["learnt_from"] == "the other folds"
    assert rows["rung"]["apgr"] > 0.6
    assert result["pool"] is None


def test_transfer_leaves_each_file_out(data: Path, tmp_path: Path):
    other = tmp_path / "other.csv"
    made_up(120, seed=5).to_csv(other, index=False)
    result = run("transfer", "--data", data, other, "--resamples", "0")
    assert {(row["file"], row["router"]) for row in result["results"]} == {
        (file, router) for file in ("results", "other") for router in ("rung", "length", "knn")
    }
    assert result["mean_auroc"]["rung"] > 0.6


def test_pictures_are_drawn_on_request(data: Path, tmp_path: Path):
    folder = tmp_path / "pictures"
    run("routing", "--data", data, "--resamples", "0", "--plot", folder)
    names = {f"{name}.{kind}" for name in ("gap", "reliability", "cost-quality") for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "gap.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "gap.svg").read_text()


def test_without_json_a_table_is_printed_and_notes_stay_off_it(data: Path):
    result = CliRunner().invoke(
        app, ["routing", "--data", str(data), "--resamples", "5", "--drop", "mid-13b", "nobody"]
    )
    assert result.exit_code == 0
    assert "APGR" in result.stdout
    assert "mid-13b" not in result.stdout
    assert "size in the name" not in result.stdout
    assert "--drop nobody: there is no such model" in result.stderr


def test_what_the_user_can_mend_is_one_line_on_stderr(tmp_path: Path):
    result = CliRunner().invoke(app, ["routing", "--data", str(tmp_path / "none.csv")])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "none.csv is not a file" in result.stderr


def test_robustness_counts_flips_and_places_trivial_prompts(data: Path):
    result = run("robustness", "--data", data, "--sample", "50")
    flips = {row["name"]: row["flips"] for row in result["results"]}
    assert set(flips) == {"typos", "gibberish_prefix", "insistence", "harness"}
    assert flips["harness"] == 0.0
    assert result["trivial"]["prompts"] == 100


def test_calibration_reports_the_error_before_and_after_labels(data: Path):
    result = run("calibration", "--data", data, "--labels", "40", "--repeats", "3")
    assert result["labels"] == 40
    assert 0.0 < result["results"][0]["ece_after"] < 0.5


def test_tokens_reports_coverage_and_reserve_beside_a_constant(data: Path):
    rows = run("tokens", "--data", data, "--resamples", "10")["results"]
    assert [row["forecaster"] for row in rows] == ["rung", "constant"]
    assert rows[1]["coverage"] == pytest.approx(0.9, abs=0.05)
    assert all(row["reserve_ratio"] > 0 for row in rows)


def test_files_without_tokens_cannot_be_asked_for_them(tmp_path: Path):
    path = tmp_path / "x.csv"
    made_up(20)[["prompt", "model", "score"]].to_csv(path, index=False)
    result = CliRunner().invoke(app, ["tokens", "--data", str(path)])
    assert result.exit_code == 2
    assert "gives no completion_tokens" in result.stderr


@pytest.mark.parametrize("command", ["routing", "transfer", "calibration", "robustness", "tokens", "latency"])
def test_help_teaches_by_example(command: str):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert command == "latency" or f"rung bench {command} --data" in result.stdout


def test_one_flag_takes_several_files():
    flags = ["--data", "--train"]
    given = ["--data", "a", "b", "--mode", "cv", "--train", "c", "--data=d", "--json"]
    assert repeat_flags(given, flags) == [
        *("--data", "a", "--data", "b", "--mode", "cv", "--train", "c", "--data=d", "--json")
    ]


def test_listing_the_commands_imports_nothing_heavy():
    code = "import sys, training.benchmarks.cli; print([m for m in ('numpy', 'pandas', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
