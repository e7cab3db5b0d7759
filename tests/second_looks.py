"""Classifiers for second looks without a transformer: the static encoder stands in for one, and says so in its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from classifier.artefact import DEFAULT, load_default, save


def static_in_place_of_a_transformer(folder: Path, *, harder: float = 0.0, weight: float = 1.0) -> Path:
    """An artefact for second looks: the shipped classifier, to which everything is `harder` by so many logits."""
    model = load_default()
    save(
        folder,
        name="stand-in",
        version=1,
        inputs=model.inputs,
        encoder_files=DEFAULT,
        network=model.network,
        layout=replace(model.layout, offset=model.layout.offset - harder),
        golden=("Hi", "What is the capital of Mongolia?"),
        about={"second_look": {"weight": weight}},
    )
    return folder
