"""The Ray engine gives what the local one gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tests.training.learning.logs import log
from training.benchmarks.generated_log import Traffic
from training.cli import app
from training.engine import Engine, EngineError, LocalEngine, engine_named
from training.learning.dataset import rows_of, split
from training.learning.heads import learn
from training.learning.ingest import read_log
from training.learning.ridge import FOLDS


@pytest.fixture(scope="module")
def ray_engine() -> Iterator[Engine]:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own imports and sockets warn
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
        yield engine_named("ray")
        ray.shutdown()


def test_an_engine_that_there_is_not_is_named() -> None:
    with pytest.raises(EngineError, match="spark"):
        engine_named("spark")


def test_results_come_in_the_order_of_the_parts() -> None:
    assert list(LocalEngine().map(abs, [-3, 1, -2])) == [3, 1, 2]


def test_the_guides_job_is_well_formed_and_calls_a_command_that_there_is() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "kuberay.md").read_text(encoding="utf-8")
    lines = guide[guide.index("apiVersion: ray.io/v1") :].partition("\n\n")[0]
    job = yaml.safe_load(dedent("       " + lines))
    assert (job["kind"], set(job)) == ("RayJob", {"apiVersion", "kind", "metadata", "spec"})
    cluster = job["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    pods = [group["template"]["spec"] for group in (head, workers)]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    mounted = {mount["name"] for mount in pods[0]["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pods[0]["volumes"]}
    program, command, *words = job["spec"]["entrypoint"].split()
    assert (program, command) == ("rung-train", "fit")
    told = CliRunner().invoke(app, ["fit", "--help"], env={"COLUMNS": "200"}).stdout
    for option in (word for word in words if word.startswith("--")):
        assert option in told


@pytest.mark.slow
def test_ray_gives_the_same_model_to_the_bit(tmp_path: Path, ray_engine: Engine) -> None:
    read = read_log(log(tmp_path, Traffic(records=600, tenants=3)))
    rows = rows_of(read, split(read, 0.2)[0], FOLDS)
    here = learn(read, rows, artefact="default", engine=LocalEngine(), units=8)
    there = learn(read, rows, artefact="default", engine=ray_engine, units=8)
    assert np.array_equal(here.solution.theta, there.solution.theta)
    assert np.array_equal(here.solution.by_fold, there.solution.by_fold)
    for part in fields(here.network):
        assert np.array_equal(getattr(here.network, part.name), getattr(there.network, part.name)), part.name
