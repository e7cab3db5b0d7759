"""Text -> the network's input: the encoder's vector and the hand features, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.encoder import Encoder
from classifier.features import NAMES, SCHEMA, Features
from classifier.text import Reading, read
from classifier.vocabulary import Vocabulary

Vector = NDArray[np.floating[Any]]


class Inputs:
    """Reads a text once and lets encoder and features work on it.

    Args:
        encoder: what gives the first `encoder.dimensions` numbers. vocabulary: whose rows the features count over.
    """

    def __init__(self, encoder: Encoder, vocabulary: Vocabulary) -> None:
        self.encoder = encoder
        self.vocabulary = vocabulary
        self._features = Features(vocabulary.tokens)
        self.sizes = (encoder.dimensions, len(NAMES))

    @cached_property
    def schema(self) -> str:
        """Names what the numbers mean: inputs of equal schemas are comparable, others are not."""
        tokens = sha256("\n".join(self.vocabulary.tokens).encode()).hexdigest()
        named = f"{self.encoder.name}|{self.encoder.fingerprint}|{tokens}|{SCHEMA}"
        return sha256(named.encode()).hexdigest()[:16]

    def compute(self, text: str) -> Vector:
        """(D,) of one text; D is the sum of `sizes`."""
        reading = read(text)
        rows = self.vocabulary.look_up(reading.words)
        return np.concatenate((self.encoder.encode(reading, rows), self._features.compute(reading, rows)))

    def features_of(self, reading: Reading) -> Vector:
        """(features,) the hand features of what was read."""
        return self._features.compute(reading, self.vocabulary.look_up(reading.words))

    def compute_many(self, texts: Sequence[str]) -> Vector:
        """(n, D) of many texts."""
        return np.stack([self.compute(text) for text in texts]) if texts else np.empty((0, sum(self.sizes)), np.float32)

    def pack(self, x: Vector) -> bytes:
        """An input (D,) as bytes for the decision log: schema and the encoder's share on a line, then the numbers.

        In half precision: it keeps three digits, and the encoder's table has no more.
        """
        return self._label + x.astype(np.float16).tobytes()

    @cached_property
    def _label(self) -> bytes:
        return f"{self.schema} {self.sizes[0]}\n".encode()


def unpack(packed: bytes) -> tuple[str, Vector, Vector]:
    """Schema, the encoder's vector and the features of what `Inputs.pack` wrote, in single precision.

    Raises:
        ValueError: these are not such bytes.
    """
    label, found, numbers = packed.partition(b"\n")
    schema, _, dimensions = label.decode("utf-8", "replace").rpartition(" ")
    if not found or not schema or not dimensions.isdecimal():
        raise ValueError("these bytes are no packed input of a classifier")
    x = np.frombuffer(numbers, np.float16).astype(np.float32)
    return schema, x[: int(dimensions)], x[int(dimensions) :]
