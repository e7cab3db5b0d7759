"""Writes the transformer of the tests: a table of 32 words x 8 numbers, looked up; made once, with the package onnx.

python tests/classifier/tiny_transformer/make.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx  # type: ignore[import-not-found]  # not among the developers' packages: the file it writes is committed
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found]  # likewise
from tokenizers import Tokenizer, models, pre_tokenizers

FOLDER = Path(__file__).parent
TEXT = """? the a of is what who how many prove that there are primes name city capital hello thanks
one two three four five six seven eight nine ten"""
WORDS = TEXT.split()


def write() -> None:
    """`model.onnx` and `tokenizer.json`."""
    table = np.random.default_rng(0).standard_normal((len(WORDS), 8)).astype(np.float32)
    node = helper.make_node("Gather", ["table", "input_ids"], ["tokens"], axis=0)
    shape = ["texts", "tokens"]
    graph = helper.make_graph(
        [node],
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, [*shape, 8])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(FOLDER / "model.onnx"))
    words = models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="?")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]  # its stubs know no setter
    tokenizer.save(str(FOLDER / "tokenizer.json"), pretty=False)


if __name__ == "__main__":
    write()
