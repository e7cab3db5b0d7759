"""From a log to a classifier that decides: a better one is promoted, a worse one refused, equal nights are equal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from classifier import Query
from classifier.model import DifficultyModel
from classifier.registry_writer import RegistryWriter
from classifier.signing import Signer, create_key
from tests.training.learning.logs import log, results
from training.benchmarks.generated_log import Traffic
from training.cli import app
from training.learning.evaluate import evaluate
from training.learning.fit import Recipe, fit
from training.learning.gates import Gates, check_gates, read_gates
from training.learning.ingest import read_log
from training.learning.promote import nightly
from training.rows import DataError

EASY, HARD = "Question: sum apple garden water letter?", "Question: theorem integral manifold spectral lemma?"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three thousand decisions that always prefer the big model, half of them explored."""
    folder = tmp_path_factory.mktemp("logs")
    return log(folder, Traffic(records=3_000, tenants=1, explore=0.5), results(folder / "results", 1_500))


@pytest.fixture
def writer(tmp_path: Path) -> RegistryWriter:
    create_key(tmp_path / "signing.pem")
    writer = RegistryWriter(tmp_path / "registry", Signer.read(tmp_path / "signing.pem"))
    writer.create()
    return writer


def test_a_better_classifier_is_promoted_with_its_report_and_decides_for_whom_it_was_fitted(
    logs: str, writer: RegistryWriter, tmp_path: Path
) -> None:
    night = nightly(logs, writer, work=tmp_path / "work", tenant="gen-0")
    assert night.promoted, night.verdicts
    assert writer.reader.state().serving("gen-0").active == night.version == "tenant-gen_0-1"
    assert writer.reader.state().serving("another").active == "default"
    assert night.evaluation.gains["utility"].low > 0
    assert night.evaluation.gains["cost_usd"].high < 0
    flips = night.evaluation.flips
    assert (flips["queries"], flips["harness"]) == (300, 0.0)
    assert flips["typos"] < flips["gibberish_prefix"] < 0.5, flips
    served = writer.reader.load(night.version)
    easy, hard = (served.estimate(Query(text=t)).heads for t in (EASY, HARD))
    assert easy["tiny-7b"] > 0.8
    assert hard["tiny-7b"] < 0.5 < hard["big-70b"]
    page = night.report.read_text()
    assert "passes every gate" in page
    assert "data:image/png;base64" in page
    assert "http" not in page.replace("http-equiv", "")
    assert json.loads(night.report.with_suffix(".json").read_text())["passed"] is True


def test_a_tenants_own_heads_start_from_everyones_and_learn_from_little(
    logs: str, writer: RegistryWriter, tmp_path: Path
) -> None:
    everyone = nightly(logs, writer, work=tmp_path / "work", recipe=Recipe(units=8))
    assert everyone.promoted
    few = log(tmp_path / "few", Traffic(records=120, tenants=1, seed=3), results(tmp_path / "few", 300, seed=3))
    night = nightly(few, writer, work=tmp_path / "work", tenant="gen-0", recipe=Recipe(units=8), promote=False)
    assert night.fitted.about["learning"]["started_from"] == everyone.version
    read = read_log(few, tenant="gen-0")
    alone = fit(read, tmp_path / "alone", name="alone", version=1, recipe=Recipe(units=8))

    fresh = results(tmp_path / "fresh", 100, seed=9)
    right = np.where(fresh.categories == "hard", 0.25, 0.95)  # what tiny-7b is made to answer rightly

    def error(model: DifficultyModel) -> float:
        said = [one.heads["tiny-7b"] for one in model.estimate_many([Query(text=t) for t in fresh.prompts])]
        return float(((np.array(said) - right) ** 2).mean())

    assert error(night.fitted.model) < error(alone.model)
    assert set(night.fitted.model.layout.heads) == {"big-70b", "tiny-7b"}


def test_equal_logs_and_seeds_give_equal_weights(logs: str, tmp_path: Path) -> None:
    read = read_log(logs)
    for name in ("a", "b"):
        fit(read, tmp_path / name, name="global", version=1, recipe=Recipe(units=8))
    for file in ("heads.safetensors", "manifest.json", "golden.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_worse_candidate_is_refused_and_the_refusal_says_why(logs: str, tmp_path: Path) -> None:
    read = read_log(logs)
    wrong = read.with_labels(read.labels.take(np.arange(len(read.labels))))
    wrong.labels.value[:] = 1.0 - wrong.labels.value
    bad = fit(wrong, tmp_path / "bad", name="global", version=1, recipe=Recipe(units=8))
    verdicts = {v.gate: v for v in check_gates(evaluate(read, bad.held, bad.model, artefact="default"), Gates())}
    assert not verdicts["least_gain"].passed
    assert "must lie" in verdicts["least_gain"].why
    assert not verdicts["most_brier_rise"].passed


def test_a_log_that_tried_nothing_else_proves_nothing(tmp_path: Path, writer: RegistryWriter) -> None:
    root = log(tmp_path, Traffic(records=1_000, tenants=1, explore=0.0), results(tmp_path / "results"))
    night = nightly(root, writer, work=tmp_path / "work", recipe=Recipe(units=8))
    assert not night.promoted
    assert writer.reader.state().everyone.active == "default"


def test_too_few_outcomes_are_a_clear_error(tmp_path: Path, writer: RegistryWriter) -> None:
    root = log(tmp_path, Traffic(records=40), results(tmp_path / "results"))
    with pytest.raises(DataError, match="feedback"):
        nightly(root, writer, work=tmp_path / "work")


def test_gates_are_read_from_a_file_and_unknown_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text("least_gain: 0.01\n")
    assert read_gates(path) == Gates(least_gain=0.01)
    path.write_text("least_grain: 0.01\n")
    with pytest.raises(DataError, match="least_grain"):
        read_gates(path)


def test_recipes_without_holdout_use_every_label(logs: str, tmp_path: Path) -> None:
    fitted = fit(read_log(logs), tmp_path / "all", name="global", version=1, recipe=Recipe(holdout=0.0, units=8))
    assert not len(fitted.held)
    assert fitted.about["data"][0]["labels"] == 3_000


def test_a_log_that_one_model_answered_is_said_to_leave_nothing_to_choose(tmp_path: Path) -> None:
    rare = Traffic(records=300, tenants=1, explore=0.05, seed=1)
    told: list[str] = []
    where = log(tmp_path / "log", rare)
    fit(read_log(where), tmp_path / "one", name="global", version=1, recipe=Recipe(units=4), say=told.append)
    assert any("no head for want of 30 labels: tiny-7b (" in words for words in told)
    assert "only big-70b has labels enough" in told[-1]


def test_the_commands_fit_prove_promote_and_roll_back(logs: str, tmp_path: Path) -> None:
    run, where = CliRunner(), ["--registry", str(tmp_path / "reg"), "--key", str(tmp_path / "key.pem")]

    def call(*words: str, code: int = 0) -> str:
        result = run.invoke(app, list(words))
        assert result.exit_code == code, result.output
        return result.stdout

    made = call("registry", "init", *where)
    public = made.split()[-1]
    assert f"RUNG_REGISTRY__PUBLIC_KEYS='[\"{public}\"]'" in made
    assert f"RUNG_REGISTRY__FOLDER={tmp_path / 'reg'}\n" in made
    work = ["--work", str(tmp_path / "work"), "--logs", logs]
    told = json.loads(call("fit", *where, *work, "--json"))
    assert (told["version"], told["promoted"], told["passed"]) == ("global-1", False, True)
    trusted = ["--registry", str(tmp_path / "reg"), "--public-key", public]
    proof = json.loads(call("evaluate", "global-1", *trusted, *work, "--json"))
    assert proof["passed"]
    assert json.loads(call("evaluate", "global-1", *where, *work, "--json"))["passed"], "the key's own public half"
    assert proof["about"]["since"] == told["fitted_until"]
    assert proof["about"]["decisions"] == 600
    call("promote", "global-1", "--logs", logs, *where)
    assert "active" in call("registry", "list", *where)
    nowhere = ("--key", str(tmp_path / "elsewhere.pem"))
    assert "active" in call("registry", "list", *trusted, *nowhere), "who reads needs no private key"
    assert "gen-" not in call("registry", "show", "global-1", *trusted, *nowhere)
    assert '"name": "default"' in call("registry", "show", "default", *trusted, *nowhere)
    missing = run.invoke(app, ["registry", "show", "global-9", *trusted, *nowhere])
    assert (missing.exit_code, "no version global-9" in missing.output) == (2, True)
    refused = run.invoke(app, ["registry", "list", "--registry", str(tmp_path / "reg"), *nowhere])
    assert (refused.exit_code, "--public-key" in refused.output) == (2, True)
    assert "sound" in call("registry", "verify", *trusted, "--key", str(tmp_path / "key.pem"))
    assert "default decides again" in call("registry", "rollback", *where)
    call("registry", "shadow", "global-1", *where)
    call("registry", "canary", "global-1", "--share", "0.1", *where)
    call("registry", "promote", "global-1", *where)
    call("registry", "retire", "global-1", *where, code=2)
    assert "gen-" not in call("registry", "show", "global-1", *where)
    call("watch", "--logs", logs)
    strict = tmp_path / "gates.yaml"
    strict.write_text("least_gain: 0.9\n")
    call("promote", "global-1", "--logs", logs, *where, "--gates", str(strict), code=3)
    refused_night = call("fit", *where, *work, "--gates", str(strict), code=3)
    assert "REFUSED least_gain" in refused_night
    assert "global-2 is refused and decides nothing" in refused_night
    assert "fitted until             2025-1" in refused_night, "people read dates"
    call("fit", *where, "--logs", str(tmp_path / "nowhere"), code=2)
