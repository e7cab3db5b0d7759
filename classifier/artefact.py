"""A trained classifier on disk: safetensors and JSON, no pickle, every byte accounted for.

A folder holds

    manifest.json          version, encoder, feature schema, meaning of the outputs, data, licences, metrics, sums
    heads.safetensors      the network's weights
    encoder.safetensors    the static encoder's table; vocabulary.txt: its tokens
    golden.json            texts with the numbers that this very model gave for them

Loading checks the sums, the schema, the shapes and the golden texts: a file that was damaged, mixed up with
another version's or met by changed code is refused, never half used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from safetensors.numpy import load_file, save_file

from classifier.encoder import PREFIX, STATIC, Encoder, SentenceTransformerEncoder, StaticEncoder, load_static
from classifier.features import SCHEMA
from classifier.head import Network
from classifier.inputs import Inputs
from classifier.model import DifficultyModel, Layout
from classifier.transformer import ONNX, ONNX_FILES, OnnxEncoder, inputs_for
from classifier.types import Query

FORMAT: Final = 1
DEFAULT: Final = Path(__file__).parent / "default"
GOLDEN_TOLERANCE: Final = 2e-3  # sums in another order differ by 1e-6; anything near this is another model
_FILES: Final = ("heads.safetensors", "encoder.safetensors", "vocabulary.txt", "golden.json")


class ArtefactError(ValueError):
    """The folder is not a usable classifier; the message says what is wrong and how to mend it."""


class EncoderMismatchError(ArtefactError):
    """The heads were fitted to another encoder than the one asked for."""


def load(path: str | Path = "default", *, encoder: str | None = None, threads: int = 1) -> DifficultyModel:
    """Load and check a classifier.

    Args:
        path: its folder, or `default` for the one that ships.
        encoder: `static`, `onnx` or `sentence-transformers:<model>`; None takes what the artefact was fitted to.
        threads: that an encoder on ONNX Runtime may use.

    Raises:
        ArtefactError: something is missing, damaged or does not fit this version of Rung.
        EncoderMismatchError: `encoder` is not the one that the heads were fitted to.
        ModuleNotFoundError: the encoder needs an extra that is not installed.
    """
    folder = DEFAULT if str(path) == "default" else Path(path)
    manifest = read_manifest(folder)
    _check_sums(folder, manifest)
    static = load_static(folder)
    model = DifficultyModel(
        inputs=inputs_for(_encoder(folder, manifest, encoder, static, threads), static.vocabulary),
        network=_network(folder),
        layout=_layout(manifest),
        version=f"{manifest['name']}-{manifest['version']}",
    )
    _check_shapes(model)
    _check_golden(model, folder)
    return model


def load_default() -> DifficultyModel:
    """The classifier that ships."""
    return load("default")


def read_manifest(folder: Path, *, by: str = "default") -> dict[str, Any]:
    """The manifest, checked for format and feature schema only.

    Args:
        folder: of the artefact. by: the command of `rung-train` that writes such ones.

    Raises:
        ArtefactError: there is none, it is not JSON, or it was made for other code.
    """
    try:
        manifest: Any = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtefactError(f"{folder} holds no manifest.json; `rung-train {by}` writes a classifier") from error
    except ValueError as error:
        raise ArtefactError(f"{folder / 'manifest.json'} is not JSON ({error}); restore or retrain it") from error
    if not isinstance(manifest, dict):
        raise ArtefactError(f"{folder / 'manifest.json'} is no JSON object; restore or retrain it")
    missing = {"format", "name", "version", "encoder", "features", "layout", "files"} - manifest.keys()
    if missing:
        raise ArtefactError(f"the manifest in {folder} lacks {', '.join(sorted(missing))}; restore or retrain it")
    if manifest["format"] != FORMAT:
        raise ArtefactError(f"{folder} has format {manifest['format']}, this Rung reads {FORMAT}: retrain it")
    if manifest["features"] != SCHEMA:
        raise ArtefactError(
            f"{folder} was trained with other features ({manifest['features']}, now {SCHEMA}): retrain it"
        )
    if not (isinstance(manifest["layout"], dict) and isinstance(manifest["files"], dict)):
        raise ArtefactError(f"the manifest's layout and files in {folder} must be JSON objects; restore or retrain it")
    return cast("dict[str, Any]", manifest)


def save(
    folder: Path,
    *,
    name: str,
    version: int,
    inputs: Inputs,
    encoder_files: Path,
    network: Network,
    layout: Layout,
    golden: Sequence[str],
    about: Mapping[str, Any],
) -> DifficultyModel:
    """Write an artefact; `load` it to run the checks.

    Args:
        folder: where to; made if need be.
        name: what it is called, with the version, in receipts.
        version: rises with every artefact of this name.
        inputs: encoder and vocabulary that the network was fitted to.
        encoder_files: the folder whose `encoder.safetensors` and `vocabulary.txt` are taken over.
        network: the weights; stored in half precision.
        layout: the meaning of the outputs.
        golden: texts whose estimates are stored.
        about: `data`, `metrics`, `recipe` and the like, for the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("encoder.safetensors", "vocabulary.txt"):
        if encoder_files.resolve() != folder.resolve():
            (folder / part).write_bytes((encoder_files / part).read_bytes())
    tensors = {f.name: np.ascontiguousarray(getattr(network, f.name), np.float16) for f in fields(network)}
    save_file(tensors, folder / "heads.safetensors")
    model = DifficultyModel(inputs=inputs, network=_network(folder), layout=layout, version=f"{name}-{version}")
    _write_json(folder / "golden.json", [{"text": text, **_fingerprint(model, text)} for text in golden])
    if isinstance(inputs.encoder, OnnxEncoder):
        _take_over(inputs.encoder.folder, folder)
    sums = {part: sha256((folder / part).read_bytes()).hexdigest() for part in _files(inputs.encoder.name)}
    manifest = {
        "format": FORMAT, "name": name, "version": version, "encoder": inputs.encoder.name,
        "features": SCHEMA, "layout": asdict(layout), "files": sums, **about,
    }  # fmt: skip
    _write_json(folder / "manifest.json", manifest)
    return model


def _files(encoder: object) -> tuple[str, ...]:
    """What an artefact of this encoder consists of, beside its manifest."""
    return (*_FILES, *ONNX_FILES) if encoder == ONNX else _FILES


def _take_over(source: Path, folder: Path) -> None:
    """An artefact carries its transformer along, so that nobody can put another in its place."""
    if source.resolve() != folder.resolve():
        for part in ONNX_FILES:
            (folder / part).write_bytes((source / part).read_bytes())


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_sums(folder: Path, manifest: Mapping[str, Any]) -> None:
    for part in _files(manifest["encoder"]):
        try:
            found = sha256((folder / part).read_bytes()).hexdigest()
        except FileNotFoundError as error:
            raise ArtefactError(f"{folder / part} is missing; restore the whole folder or retrain it") from error
        if found != manifest["files"].get(part):
            raise ArtefactError(
                f"{folder / part} is not the file that the manifest names (its SHA-256 is {found[:12]}...); "
                "restore it or retrain"
            )


def _encoder(
    folder: Path, manifest: Mapping[str, Any], asked: str | None, static: StaticEncoder, threads: int
) -> Encoder:
    fitted = str(manifest["encoder"])
    if asked is not None and asked != fitted:
        raise EncoderMismatchError(
            f"the classifier {manifest['name']}-{manifest['version']} was fitted to the encoder {fitted}, "
            f"not {asked}; fit heads with `rung-train default --encoder {asked} --out DIR`, then load DIR"
        )
    if fitted == STATIC:
        return static
    if fitted == ONNX:
        try:
            return OnnxEncoder(folder, threads=threads)
        except ValueError as error:
            raise ArtefactError(str(error)) from error
    if fitted.startswith(PREFIX):
        return SentenceTransformerEncoder(fitted.removeprefix(PREFIX))
    raise ArtefactError(f"unknown encoder {fitted}; use {STATIC}, {ONNX} or {PREFIX}<model>")


def _network(folder: Path) -> Network:
    tensors = load_file(folder / "heads.safetensors")
    missing = {f.name for f in fields(Network)} - tensors.keys()
    if missing:
        raise ArtefactError(f"{folder / 'heads.safetensors'} lacks {', '.join(sorted(missing))}; restore or retrain it")
    return Network(**{f.name: tensors[f.name].astype(np.float32) for f in fields(Network)})


def _layout(manifest: Mapping[str, Any]) -> Layout:
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in manifest["layout"].items()}
    try:
        return Layout(**values)
    except TypeError as error:
        raise ArtefactError(f"the manifest's layout does not fit this version of Rung ({error}): retrain it") from error


def _check_shapes(model: DifficultyModel) -> None:
    net, layout = model.network, model.layout
    inputs = sum(model.inputs.sizes)
    outputs = layout.outputs
    if net.hidden.shape[0] != inputs or net.skip.shape != (inputs, outputs) or net.out.shape[2] != outputs:
        raise ArtefactError(
            f"the network takes {net.hidden.shape[0]} inputs and gives {net.out.shape[2]} outputs, "
            f"but encoder, features and layout need {inputs} and {outputs}: files of different versions"
        )


def _fingerprint(model: DifficultyModel, text: str) -> dict[str, Any]:
    estimate = model.estimate(Query(text=text))
    return {
        "difficulty": round(estimate.difficulty, 6),
        "success": [round(value, 6) for value in estimate.success],
        "kind": estimate.kind,
        "tokens": estimate.tokens.expected,
    }


def _check_golden(model: DifficultyModel, folder: Path) -> None:
    for entry in json.loads((folder / "golden.json").read_text(encoding="utf-8")):
        found = _fingerprint(model, entry["text"])
        off = max(
            abs(found["difficulty"] - entry["difficulty"]),
            *(abs(a - b) for a, b in zip(found["success"], entry["success"], strict=True)),
        )
        if not off <= GOLDEN_TOLERANCE:
            raise ArtefactError(
                f"the classifier in {folder} no longer says what it said when it was trained "
                f"({entry['text'][:40]!r} is off by {off:.4f}): it does not belong to this code; retrain it"
            )
