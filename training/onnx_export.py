"""A SentenceTransformer -> `model.onnx` and `tokenizer.json`, once, where torch is; serving then needs no torch.

The token vectors of the last layer are exported; the mean over the text's tokens and the length of one are
`classifier.transformer`'s, so that only models which pool by the mean fit. Weights become 8-bit integers (a quarter of
the size, half of the time), in the range that all processors multiply alike: with the full range, those without VNNI
saturate, and the heads would meet other vectors than they were fitted to.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from classifier.transformer import MODEL_FILE, TOKENIZER_FILE, OnnxEncoder

PROBES: Final = (
    "Hi",
    "What is the capital of Mongolia?",
    "Prove that there are infinitely many primes congruent to 3 modulo 4.",
    "def f(x):\n    return [y for y in x if y % 2]\n\nWhat does f([1, 2, 3]) return?",
)
# Cosine between torch's vector and ours; 8-bit weights cost some .01, another pooling far more.
LEAST_COSINE: Final = 0.95
OPSET: Final = 17


def export(model: str, out: Path, *, quantised: bool = True) -> float:
    """Write both files, and hold them against torch's own vectors.

    Args:
        model: a name on the hub or a folder, as sentence-transformers takes it.
        out: the folder.
        quantised: whether the weights become 8-bit integers.

    Returns:
        the least cosine between the two encoders' vectors over a few texts.

    Raises:
        ModuleNotFoundError: sentence-transformers, onnx or ONNX Runtime is not installed.
        ValueError: the model pools otherwise than by the mean, or has no fast tokenizer.
    """
    transformer = _open(model)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer: Any = transformer.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"{model} has no fast tokenizer, which is all that serving can read; take another model")
    tokenizer.backend_tokenizer.save(str(out / TOKENIZER_FILE))
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / MODEL_FILE
        _write(transformer, whole)
        if quantised:
            _quantise(whole, out / MODEL_FILE)
        else:
            shutil.copyfile(whole, out / MODEL_FILE)
    ours = OnnxEncoder(out).encode_many(PROBES)
    theirs = np.asarray(transformer.encode(list(PROBES), normalize_embeddings=True), np.float32)
    least = float((ours * theirs).sum(axis=1).min())
    if least < LEAST_COSINE:
        raise ValueError(
            f"the exported {model} gives other vectors than torch (cosine {least:.3f}): it does not pool by the mean "
            "over its last layer; take another model"
        )
    return least


def _open(model: str) -> Any:  # noqa: ANN401 - an extra without types
    try:
        import onnx  # type: ignore[import-not-found]  # noqa: F401  # torch's exporter and the quantiser need it

        from classifier.encoder import SentenceTransformerEncoder
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"exporting needs {missing.name}: pip install 'rung[encoders,onnx]' onnx, in an environment of its own"
        ) from missing
    return SentenceTransformerEncoder(model).transformer.eval()


def _write(transformer: Any, path: Path) -> None:  # noqa: ANN401 - likewise
    import torch  # type: ignore[import-not-found]  # comes with sentence-transformers

    inner = transformer[0].auto_model.eval()
    given = transformer.tokenizer(["a text", "another one"], padding=True, return_tensors="pt")
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in given]

    class Tokens(torch.nn.Module):  # pyright: ignore[reportUntypedBaseClass] - torch is an extra
        """The transformer as a function of tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *tensors: Any) -> Any:  # noqa: ANN401 - tensors
            """(n, t, d) of the last layer."""
            return self.inner(**dict(zip(names, tensors, strict=True))).last_hidden_state

    axes = {0: "texts", 1: "tokens"}
    with torch.no_grad():
        torch.onnx.export(
            Tokens(),
            tuple(given[name] for name in names),
            str(path),
            input_names=names,
            output_names=["tokens"],
            dynamic_axes={**dict.fromkeys(names, axes), "tokens": axes},
            opset_version=OPSET,
            dynamo=False,
        )


def _quantise(whole: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-not-found]  # an extra

    quantize_dynamic(str(whole), str(path), weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
