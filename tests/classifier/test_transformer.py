"""A transformer on ONNX Runtime as an encoder: the tests' own tiny one, in the real runtime where it is installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from classifier.artefact import DEFAULT, ArtefactError, load, load_default, read_manifest, save
from classifier.inputs import Inputs
from classifier.text import read
from classifier.transformer import ONNX_FILES, TOKENS, BatchInputs, OnnxEncoder, inputs_for
from classifier.types import Query
from training.default import GOLDEN
from training.encoding import Remembering

TINY = Path(__file__).parent / "tiny_transformer"
WORDS = ["what", "is", "the", "name", "of", "a", "city"]


@pytest.fixture
def encoder() -> OnnxEncoder:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    return OnnxEncoder(TINY)


def artefact(encoder: OnnxEncoder, folder: Path) -> Path:
    """Heads on the tiny transformer: the shipped ones, with what the encoder gives left out of account."""
    from dataclasses import replace

    shipped = load_default()
    inputs, net, gone = inputs_for(encoder, shipped.inputs.vocabulary), shipped.network, shipped.inputs.sizes[0]

    def cut(rows: np.ndarray) -> np.ndarray:
        return np.concatenate((np.zeros((inputs.sizes[0], *rows.shape[1:]), rows.dtype), rows[gone:]))

    network = replace(net, shift=cut(net.shift), gain=cut(net.gain), hidden=cut(net.hidden), skip=cut(net.skip))
    save(
        folder, name="tiny", version=1, inputs=inputs, encoder_files=DEFAULT, network=network, layout=shipped.layout,
        golden=GOLDEN, about={},
    )  # fmt: skip
    return folder


def test_vectors_have_length_one_and_do_not_depend_on_their_company(encoder: OnnxEncoder) -> None:
    texts = ["what is the name of a city", "hello", "", "one two three " * 100]
    together = encoder.encode_many(texts)
    assert together.shape == (4, encoder.dimensions)
    for text, vector in zip(texts, together, strict=True):
        alone = encoder.encode(read(text), np.empty(0, np.intp))
        assert alone.tolist() == vector.tolist()
        assert np.linalg.norm(vector) == pytest.approx(1.0 if text else 0.0, abs=1e-6)


def test_the_mean_is_taken_over_the_tokens(encoder: OnnxEncoder) -> None:
    words = np.array([encoder.encode_many([word])[0] for word in ("one", "one two", "two")])
    directions = words / np.linalg.norm(words, axis=1, keepdims=True)
    assert directions[0] @ directions[1] > directions[0] @ directions[2]


def test_of_a_long_text_the_beginning_and_the_end_are_read(encoder: OnnxEncoder) -> None:
    half = TOKENS // 2
    one, other, third = encoder.encode_many(
        ["one " * half + middle + " two" * half for middle in ("three " * 50, "four " * 70, "")]
    )
    assert one.tolist() == other.tolist() == third.tolist()


@pytest.mark.parametrize("text", ["\ud800 lone", "\x00", "one " * 50_000, "你好" * 3_000, "a" * 200_000])
def test_hostile_texts_have_vectors_by_either_way(encoder: OnnxEncoder, text: str) -> None:
    vector = encoder.encode_many([text])[0]
    assert np.isfinite(vector).all()
    assert vector.tolist() == encoder.encode(read(text), np.empty(0, np.intp)).tolist()


def test_inputs_are_those_of_one_text_whatever_the_way(encoder: OnnxEncoder) -> None:
    inputs = inputs_for(encoder, load_default().inputs.vocabulary)
    assert isinstance(inputs, BatchInputs)
    texts = ["hello", "what is the name of a city"]
    assert inputs.compute_many(texts).tolist() == [inputs.compute(text).tolist() for text in texts]
    assert inputs.compute_many([]).shape == (0, sum(inputs.sizes))


def test_the_static_encoder_needs_no_batches() -> None:
    static = load_default().inputs
    assert type(inputs_for(static.encoder, static.vocabulary)) is Inputs
    with pytest.raises(TypeError, match="one text at a time"):
        BatchInputs(static.encoder, static.vocabulary)


def test_what_remembers_encodes_no_text_twice(encoder: OnnxEncoder) -> None:
    seen: list[int] = []

    def bar(steps: range, total: int) -> range:
        seen.append(total)
        return steps

    remembering = Remembering(encoder, bar)  # type: ignore[arg-type]  # it is given ranges
    first = remembering.encode_many(["hello", "one", "hello"])
    again = remembering.encode_many(["one", "two"])
    assert first[0].tolist() == first[2].tolist() == encoder.encode_many(["hello"])[0].tolist()
    assert again[0].tolist() == first[1].tolist()
    assert seen == [1, 1]


def test_an_artefact_carries_its_transformer_along(encoder: OnnxEncoder, tmp_path: Path) -> None:
    folder = artefact(encoder, tmp_path / "one")
    assert set(read_manifest(folder)["files"]) >= set(ONNX_FILES)
    moved = shutil.move(folder, tmp_path / "elsewhere")
    model = load(moved)
    assert model.inputs.encoder.fingerprint == encoder.fingerprint
    assert model.quick_chars == 0
    questions = [Query(text="what is the name of a city"), Query(text="hello")]
    for together, query in zip(model.estimate_many(questions), questions, strict=True):
        assert together.difficulty == pytest.approx(model.estimate(query).difficulty, abs=1e-6)


@pytest.mark.parametrize("part", ONNX_FILES)
def test_another_transformer_in_its_place_is_refused(encoder: OnnxEncoder, tmp_path: Path, part: str) -> None:
    folder = artefact(encoder, tmp_path / "one")
    content = bytearray((folder / part).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / part).write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match=part):
        load(folder)
    (folder / part).unlink()
    with pytest.raises(ArtefactError, match="missing"):
        load(folder)


@pytest.mark.parametrize("part", ONNX_FILES)
def test_files_that_are_no_transformer_are_named_with_the_remedy(tmp_path: Path, part: str) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
    (tmp_path / part).write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=rf"{part} is no .*export"):
        OnnxEncoder(tmp_path)
    (tmp_path / part).unlink()
    with pytest.raises(ValueError, match=rf"lacks {part}; `rung-train onnx"):
        OnnxEncoder(tmp_path)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"rung\[onnx\]"):
        OnnxEncoder(TINY)
