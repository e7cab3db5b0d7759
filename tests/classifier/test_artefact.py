"""The artefact that ships loads, says what it should, and refuses to be half right."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from classifier import ArtefactError, EncoderMismatchError, Query, load, load_default
from classifier.artefact import DEFAULT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT, tmp_path / "artefact"))


def test_the_default_says_a_greeting_is_easier_than_a_proof() -> None:
    model = load_default()
    greeting = model.estimate(Query(text="Hi"))
    proof = model.estimate(Query(text="Prove that there are infinitely many primes congruent to 3 modulo 4."))
    assert greeting.difficulty < 0.1 < proof.difficulty
    assert proof.kind == "mathematics"


def test_success_never_falls_with_ability() -> None:
    success = load_default().estimate(Query(text="How many legs does a spider have?")).success
    assert list(success) == sorted(success)


@pytest.mark.parametrize("part", ["heads.safetensors", "encoder.safetensors", "vocabulary.txt", "golden.json"])
def test_a_flipped_byte_in_any_file_is_refused(copy: Path, part: str) -> None:
    content = bytearray((copy / part).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / part).write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match=part):
        load(copy)


@pytest.mark.parametrize("part", ["heads.safetensors", "manifest.json"])
def test_a_missing_file_is_named(copy: Path, part: str) -> None:
    (copy / part).unlink()
    with pytest.raises(ArtefactError, match=part):
        load(copy)


def test_golden_texts_that_no_longer_hold_are_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["layout"]["offset"] += 0.5
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match="retrain"):
        load(copy)


@pytest.mark.parametrize("change", [{"format": 99}, {"features": "0" * 16}, {"layout": {"nonsense": 1}}])
def test_a_manifest_for_other_code_is_refused(copy: Path, change: dict[str, object]) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(ArtefactError, match="retrain"):
        load(copy)


@pytest.mark.parametrize("content", ["[]", '"default"', "null", "{", '{"format": 1}'])
def test_a_manifest_that_is_none_is_refused(copy: Path, content: str) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(ArtefactError, match="restore or retrain it"):
        load(copy)


@pytest.mark.parametrize("part", ["layout", "files"])
def test_a_manifest_with_a_list_for_an_object_is_refused(copy: Path, part: str) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, part: ["x"]}))
    with pytest.raises(ArtefactError, match="must be JSON objects"):
        load(copy)


def test_another_encoder_than_the_fitted_one_is_a_clear_error() -> None:
    with pytest.raises(EncoderMismatchError, match="rung-train default --encoder"):
        load("default", encoder="sentence-transformers:all-MiniLM-L6-v2")


def test_the_artefact_is_under_twenty_megabytes_and_holds_no_pickle() -> None:
    files = list(DEFAULT.iterdir())
    assert sum(file.stat().st_size for file in files) < 20_000_000
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".txt", ".md"}


def test_loading_and_judging_import_neither_torch_nor_training_libraries() -> None:
    code = (
        "import sys, classifier; classifier.load_default().estimate(classifier.Query(text='Hi'));"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'lightgbm', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
