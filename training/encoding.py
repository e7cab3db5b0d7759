"""Transformers in training: named on the command line, told how far they are, and asked for each text only once.

A transformer takes milliseconds a text, and a fit asks for the same texts several times (folds, inner folds, the final
fit); `Remembering` keeps what it gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.encoder import PREFIX, STATIC, Encoder, SentenceTransformerEncoder, load_static
from classifier.inputs import Inputs
from classifier.text import Reading
from classifier.transformer import ONNX, BatchEncoder, OnnxEncoder, inputs_for

Floats = NDArray[np.floating[Any]]
Bar = Callable[[Iterable[int], int], Iterable[int]]
ONNX_PREFIX: Final = f"{ONNX}:"
TOGETHER: Final = 16  # texts a batch, of like length: few pads where the encoder pads


def open_encoder(named: str, files: Path, *, threads: int = 1) -> Encoder:
    """The encoder of a command line.

    Args:
        named: `static`, `onnx:FOLDER` or `sentence-transformers:MODEL`.
        files: the folder with the static table and vocabulary.
        threads: for ONNX Runtime.

    Raises:
        ValueError: there is no such encoder. ModuleNotFoundError: it needs an extra that is not installed.
    """
    if named == STATIC:
        return load_static(files)
    if named.startswith(ONNX_PREFIX):
        return OnnxEncoder(Path(named.removeprefix(ONNX_PREFIX)), threads=threads)
    if named.startswith(PREFIX):
        return SentenceTransformerEncoder(named.removeprefix(PREFIX))
    raise ValueError(f"unknown encoder {named}; use {STATIC}, {ONNX_PREFIX}FOLDER or {PREFIX}MODEL")


def open_inputs(named: str, files: Path, *, bar: Bar | None = None, threads: int = 1) -> Inputs:
    """The inputs of an encoder of a command line, which remember where encoding is slow. Raises as `open_encoder`."""
    vocabulary = load_static(files).vocabulary
    encoder = open_encoder(named, files, threads=threads)
    return inputs_for(Remembering(encoder, bar) if isinstance(encoder, BatchEncoder) else encoder, vocabulary)


class Remembering:
    """A `BatchEncoder` that encodes no text twice.

    Args:
        inner: that encodes. bar: wraps the loop over batches, to show how far it is.
    """

    def __init__(self, inner: Encoder, bar: Bar | None = None) -> None:
        if not isinstance(inner, BatchEncoder):
            raise TypeError(f"{inner.name} needs no memory")
        self.inner = inner
        self.name, self.dimensions, self.fingerprint = inner.name, inner.dimensions, inner.fingerprint
        self._encode_many = inner.encode_many
        self._bar: Bar = bar or (lambda steps, _total: steps)
        self._known: dict[str, Floats] = {}

    def encode(self, reading: Reading, rows: NDArray[np.intp]) -> Floats:  # noqa: ARG002 - the words are not asked for
        """(dimensions,) see `classifier.encoder.Encoder`."""
        return self.encode_many([reading.raw.decode("utf-8", "replace")])[0]

    def encode_many(self, texts: Sequence[str]) -> Floats:
        """(n, dimensions)."""
        new = sorted(set(texts) - self._known.keys(), key=len)
        batches = [new[start : start + TOGETHER] for start in range(0, len(new), TOGETHER)]
        for at in self._bar(range(len(batches)), len(batches)) if batches else ():
            self._known |= dict(zip(batches[at], self._encode_many(batches[at]), strict=True))
        return np.stack([self._known[text] for text in texts])
