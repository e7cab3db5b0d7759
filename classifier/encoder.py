"""Text -> vector: the static encoder that ships, and any sentence transformer in its place.

This module alone knows how a vector comes about. The heads are fitted to one encoder, so an artefact records
the encoder's `name`, and loading it with another is an error (see `classifier.artefact`).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from classifier.text import Reading, read
from classifier.vocabulary import Vocabulary

Vector = NDArray[np.floating[Any]]
STATIC = "static"
PREFIX = "sentence-transformers:"


class Encoder(Protocol):
    """Anything that turns what was read of a text into a vector of fixed length."""

    @property
    def name(self) -> str:
        """How configuration and manifests call it."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of its vectors."""
        ...

    @property
    def fingerprint(self) -> str:
        """Tells encoders of one name apart."""
        ...

    def encode(self, reading: Reading, rows: NDArray[np.intp]) -> Vector:
        """(dimensions,) a vector of length 1, or zeros where nothing of the text is known.

        `rows` are the table rows of the reading's words, which the features need too.
        """
        ...


class StaticEncoder:
    """A sum of table rows, normalised: distilled from MiniLM by model2vec, no torch.

    `training/distil.py` made the table.

    Args:
        table: (V, d) 8-bit rows; scale: (V,) what one step of each row is worth, its inverse-frequency weight
            included.
        vocabulary: the words that the rows stand for.
    """

    name = STATIC

    def __init__(self, table: NDArray[np.int8], scale: Vector, vocabulary: Vocabulary) -> None:
        self._table = table
        self._scale = scale
        self.vocabulary = vocabulary
        self.dimensions = int(table.shape[1])

    @property
    def fingerprint(self) -> str:
        """Of the table."""
        return sha256(self._table.tobytes() + np.ascontiguousarray(self._scale).tobytes()).hexdigest()

    def encode(self, reading: Reading, rows: NDArray[np.intp]) -> Vector:  # noqa: ARG002 - the words are in `rows`
        """(dimensions,) see `Encoder`."""
        return unit(self.total(rows))

    def total(self, rows: NDArray[np.intp]) -> Vector:
        """(dimensions,) the sum of table rows, not normalised: two sums differ by what differs in the texts."""
        if not rows.size:
            return np.zeros(self.dimensions, np.float32)
        return self._scale[rows] @ self._table[rows].astype(np.float32)


class SentenceTransformerEncoder:
    """Any SentenceTransformer (extra `encoders`); heads must be fitted to it.

    `rung-train default --encoder sentence-transformers:<model> --out DIR` fits them.

    Args:
        model: a name on the hub or a folder, as sentence-transformers takes it.

    Attributes:
        transformer: the SentenceTransformer itself.

    Raises:
        ModuleNotFoundError: the extra `encoders` is not installed.
    """

    def __init__(self, model: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]  # an extra
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError(
                f"the encoder {PREFIX}{model} needs sentence-transformers: pip install 'rung[encoders]'"
            ) from missing
        self.transformer: Any = SentenceTransformer(model)
        self.name = PREFIX + model
        self.fingerprint = ""  # the name tells which weights
        self.dimensions = int(_dimension(self.transformer)())

    def encode(self, reading: Reading, rows: NDArray[np.intp]) -> Vector:  # noqa: ARG002 - it has its own tokens
        """(dimensions,) see `Encoder`."""
        return self.encode_many([reading.raw.decode("utf-8", "replace")])[0]

    def encode_many(self, texts: Sequence[str]) -> Vector:
        """(n, dimensions) for training."""
        bounded = [read(text).raw.decode("utf-8", "replace") for text in texts]
        return np.asarray(self.transformer.encode(bounded, normalize_embeddings=True), np.float32)


def _dimension(transformer: Any) -> Any:  # noqa: ANN401 - an extra without types
    """The method that tells the length of vectors: renamed in sentence-transformers 6, where the old name warns."""
    renamed = getattr(transformer, "get_embedding_dimension", None)
    return transformer.get_sentence_embedding_dimension if renamed is None else renamed


def unit(vector: Vector) -> Vector:
    """The vector at length 1; zeros stay zeros."""
    norm = float(np.sqrt(vector @ vector))
    return vector / np.float32(norm) if norm > 0 else vector


def load_static(folder: Path) -> StaticEncoder:
    """Read `encoder.safetensors` and `vocabulary.txt`; what they must hash to is the artefact's matter."""
    tensors = load_file(folder / "encoder.safetensors")
    tokens = (folder / "vocabulary.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    vocabulary = Vocabulary(tokens, tensors.get("repair_hashes"), tensors.get("repair_owners"))
    return StaticEncoder(tensors["table"], tensors["scale"], vocabulary)
