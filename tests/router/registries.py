"""Registries with classifiers of known opinions, for tests of the swap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from classifier import load_default
from classifier.artefact import DEFAULT, save
from classifier.registry_writer import RegistryWriter
from classifier.signing import Signer, create_key


def registry(folder: Path) -> tuple[RegistryWriter, Path, str]:
    """A new registry, the file of its private key, and its public key."""
    private = folder / "signing.pem"
    public = create_key(private)
    writer = RegistryWriter(folder / "registry", Signer.read(private), by="a test")
    writer.create()
    return writer, private, public


def opinion(folder: Path, version: int, *, offset: float, name: str = "own") -> Path:
    """The shipped classifier under another name, its success logits all moved by `offset`."""
    model = load_default()
    layout = replace(model.layout, offset=model.layout.offset + offset)
    golden = ("Hi", "What is 2+2?")
    save(
        folder / f"{name}-{version}",
        name=name,
        version=version,
        inputs=model.inputs,
        encoder_files=DEFAULT,
        network=model.network,
        layout=layout,
        golden=golden,
        about={},
    )
    return folder / f"{name}-{version}"
