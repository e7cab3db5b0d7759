"""Encoders give vectors of length one, and a missing extra is explained."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from classifier import load_default
from classifier.encoder import SentenceTransformerEncoder
from classifier.inputs import Inputs
from classifier.text import read


def similarity(a: str, b: str) -> float:
    inputs = load_default().inputs
    va, vb = (inputs.compute(text)[: inputs.sizes[0]] for text in (a, b))
    return float(va @ vb)


def test_vectors_have_length_one_and_nothing_gives_zeros() -> None:
    assert similarity("the cat sat", "the cat sat") == pytest.approx(1.0, abs=1e-5)
    assert similarity("", "the cat sat") == 0.0


def test_texts_about_the_same_thing_are_nearer_than_others() -> None:
    assert similarity("integrate x squared", "the derivative in calculus") > similarity(
        "integrate x squared", "who won the world cup"
    )


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"rung\[encoders\]"):
        SentenceTransformerEncoder("any")


class FakeSentenceTransformer:
    """What of sentence-transformers' class the encoder uses; counts letters instead of understanding."""

    def __init__(self, model: str) -> None:
        self.model = model

    def get_sentence_embedding_dimension(self) -> int:
        return 3

    def encode(self, texts: list[str], *, normalize_embeddings: bool) -> Any:
        rows = np.array([[text.count(letter) + 1.0 for letter in "abc"] for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if normalize_embeddings else rows


def test_any_sentence_transformer_can_take_the_encoders_place(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("sentence_transformers")
    fake.SentenceTransformer = FakeSentenceTransformer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    encoder = SentenceTransformerEncoder("mine")
    inputs = Inputs(encoder, load_default().inputs.vocabulary)
    assert encoder.name == "sentence-transformers:mine"
    assert inputs.compute("abc")[:3] == pytest.approx(np.full(3, 3**-0.5))
    assert encoder.encode(read("x"), np.empty(0, np.intp)) == pytest.approx(np.full(3, 3**-0.5))
