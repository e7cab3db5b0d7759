"""Vectors for the baselines, from the static encoder that the classifier ships with; each text once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.artefact import DEFAULT
from classifier.encoder import load_static
from classifier.text import read


class StaticEmbedder:
    """Texts -> (n, d) unit vectors; remembers what it has encoded, as folds ask for the same texts again.

    Args:
        folder: an artefact's folder, by default that of the classifier that ships.
    """

    def __init__(self, folder: Path = DEFAULT) -> None:
        self._encoder = load_static(folder)
        self._known: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) of n texts."""
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> NDArray[np.float32]:
        vector = self._known.get(text)
        if vector is None:
            reading = read(text)
            vector = self._encoder.encode(reading, self._encoder.vocabulary.look_up(reading.words))
            self._known[text] = vector
        return vector
