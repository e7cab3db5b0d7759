"""Text -> vector by a transformer on ONNX Runtime (extra `onnx`): no torch, and one thread is enough.

An encoder is two files of one folder: `model.onnx`, which takes token ids and gives either a vector per text or one
per token (their mean over the text is taken then), and `tokenizer.json`. Their sum is the encoder's fingerprint, so
that heads are never put on another model of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from classifier.encoder import Encoder, unit
from classifier.inputs import Inputs
from classifier.text import Reading, read
from classifier.vocabulary import Vocabulary

Vector = NDArray[np.floating[Any]]
ONNX: Final = "onnx"
MODEL_FILE: Final = "model.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
ONNX_FILES: Final = (MODEL_FILE, TOKENIZER_FILE)
# Half of them from the beginning, half from the end, where a request says what it wants. Time grows with them.
TOKENS: Final = 128
# Characters of either end that are split into tokens at all: half of `TOKENS` are some 300 of prose.
END_CHARS: Final = 1_000


@runtime_checkable
class BatchEncoder(Protocol):
    """An encoder for which several texts are cheaper together."""

    def encode_many(self, texts: Sequence[str]) -> Vector:
        """(n, dimensions) of n texts."""
        ...


class OnnxEncoder:
    """A transformer on ONNX Runtime.

    Args:
        folder: with `model.onnx` and `tokenizer.json`.
        threads: that one batch is spread over.

    Attributes:
        folder: as given. dimensions: length of its vectors.

    Raises:
        ModuleNotFoundError: the extra `onnx` is not installed.
        ValueError: the files are missing or are no such encoder.
    """

    name = ONNX

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        missing = [part for part in ONNX_FILES if not (folder / part).is_file()]
        if missing:
            raise ValueError(
                f"{folder} lacks {' and '.join(missing)}; `rung-train onnx --model NAME --out FOLDER` writes both"
            )
        self.folder = folder
        self._session = _session(folder / MODEL_FILE, threads)
        self._takes = {given.name for given in self._session.get_inputs()}
        self._tokenizer = _tokenizer(folder / TOKENIZER_FILE)
        self.dimensions = len(self.encode_many(["?"])[0])

    @property
    def fingerprint(self) -> str:
        """Of both files."""
        return sha256(b"".join((self.folder / part).read_bytes() for part in ONNX_FILES)).hexdigest()

    def encode(self, reading: Reading, rows: NDArray[np.intp]) -> Vector:  # noqa: ARG002 - it has its own tokens
        """(dimensions,) see `Encoder`."""
        return self._one(reading.raw.decode("utf-8", "replace"))

    def encode_many(self, texts: Sequence[str]) -> Vector:
        """(n, dimensions), each of length 1.

        One after the other: padded to one length, eight cost a fifth to a third less, but 8-bit models scale a batch as
        a whole, and a text's vector would depend on its company (cosine .98).
        """
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> Vector:
        ids = _middle_out(self._tokenizer.encode(_ends(text)).ids)
        if not ids:  # a tokenizer that adds no marks of its own, and nothing to read
            return np.zeros(self.dimensions, np.float32)
        given = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
        taken = {name: np.array([row], np.int64) for name, row in given.items() if name in self._takes}
        out = np.asarray(self._session.run(None, taken)[0], np.float32)
        return unit(out.reshape(-1, out.shape[-1]).mean(axis=0))


class BatchInputs(Inputs):
    """Inputs whose vectors are made for all texts at once.

    Args:
        encoder: a `BatchEncoder`. vocabulary: whose rows the features count over.
    """

    def __init__(self, encoder: Encoder, vocabulary: Vocabulary) -> None:
        super().__init__(encoder, vocabulary)
        if not isinstance(encoder, BatchEncoder):
            raise TypeError(f"{encoder.name} encodes one text at a time; use Inputs")
        self._encode_many = encoder.encode_many

    def compute_many(self, texts: Sequence[str]) -> Vector:
        """(n, D) of many texts."""
        if not texts:
            return super().compute_many(texts)
        features = [self.features_of(read(text)) for text in texts]
        return np.concatenate((self._encode_many(texts), np.stack(features)), axis=1).astype(np.float32)


def inputs_for(encoder: Encoder, vocabulary: Vocabulary) -> Inputs:
    """The inputs that suit an encoder."""
    return (BatchInputs if isinstance(encoder, BatchEncoder) else Inputs)(encoder, vocabulary)


def _ends(text: str) -> str:
    """The beginning and the end of a long text, without what is no character by itself."""
    ends = text if len(text) <= 2 * END_CHARS else f"{text[:END_CHARS]}\n{text[-END_CHARS:]}"
    return ends.encode("utf-8", "replace").decode()


def _middle_out(ids: list[int]) -> list[int]:
    """At most `TOKENS` of them: the first half and the last."""
    return ids if len(ids) <= TOKENS else ids[: TOKENS // 2] + ids[-(TOKENS // 2) :]


def _session(path: Path, threads: int) -> Any:  # noqa: ANN401 - an extra without types
    try:
        import onnxruntime  # type: ignore[import-not-found]  # an extra
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"{path} needs ONNX Runtime: pip install 'rung[onnx]' (no torch comes with it)"
        ) from missing
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin for work would take the event loop's core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"{path} is no model that ONNX Runtime can run ({error}); export it again") from error


def _tokenizer(path: Path) -> Any:  # noqa: ANN401 - its stubs leave most out
    from tokenizers import Tokenizer

    try:
        made: Any = Tokenizer.from_file(str(path))
    except Exception as error:
        raise ValueError(f"{path} is no tokenizer ({error}); export the model again") from error
    made.no_padding()
    made.no_truncation()
    return made
