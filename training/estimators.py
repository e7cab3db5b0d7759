"""The parts of training in scikit-learn's form: estimators that can be cloned, searched over and put in pipelines.

    TextInputs         texts -> encoder's vector and hand features
    PartScaler         standardises them, the embedding as one
    PlattCalibrator    scores -> probabilities

The numeric ones pass scikit-learn's own `check_estimator`; `TextInputs` takes texts, which those checks do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from classifier.artefact import load
from classifier.head import CLIP
from classifier.inputs import Inputs
from training.calibrate import platt

Floats = NDArray[np.floating[Any]]
_validate: Any = validate_data  # its own annotations take the defaults for types


class TextInputs(TransformerMixin, BaseEstimator):
    """Texts -> (n, D) inputs of the classifier.

    Args:
        inputs: encoder and features; None takes those of the classifier that ships.
    """

    def __init__(self, inputs: Inputs | None = None) -> None:
        self.inputs = inputs

    def fit(self, X: Sequence[str], y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Nothing is learnt; the encoder is loaded."""
        self.inputs_ = self.inputs or load().inputs
        return self

    def transform(self, X: Sequence[str]) -> Floats:
        """(n, D)."""
        check_is_fitted(self)
        return self.inputs_.compute_many(list(X))


class PartScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Zero mean and unit deviation, clipped at five; the first columns share one deviation.

    An embedding's geometry (which directions vary most) is information that scaling each column would destroy.

    Args:
        embedded: how many columns, from the first, are an embedding.
    """

    def __init__(self, embedded: int = 0) -> None:
        self.embedded = embedded

    def fit(self, X: NDArray[Any], y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Learn means and deviations from (n, d)."""
        x = np.asarray(_validate(self, X, dtype=[np.float64, np.float32]))
        deviation = x.std(axis=0)
        if self.embedded:
            deviation[: self.embedded] = np.sqrt((deviation[: self.embedded] ** 2).mean())
        self.mean_ = x.mean(axis=0)
        self.gain_ = 1.0 / np.maximum(deviation, 1e-3)
        return self

    def transform(self, X: NDArray[Any]) -> Floats:
        """(n, d) standardised."""
        check_is_fitted(self)
        x = np.asarray(_validate(self, X, reset=False, dtype=[np.float64, np.float32]))
        return np.clip((x - self.mean_) * self.gain_, -CLIP, CLIP)


class PlattCalibrator(BaseEstimator):
    """Probabilities from logits by slope and offset (Platt 1999); unlike scikit-learn's it takes soft targets."""

    def fit(self, X: NDArray[Any], y: NDArray[Any], sample_weight: NDArray[Any] | None = None) -> Self:
        """Learn from logits (n,) or (n, 1) and targets (n,) within 0..1."""
        logits, target = np.asarray(X, float).ravel(), np.asarray(y, float)
        weight = np.ones_like(target) if sample_weight is None else np.asarray(sample_weight, float)
        self.slope_, self.offset_ = platt(logits, target, weight)
        return self

    def predict(self, X: NDArray[Any]) -> Floats:
        """(n,) probabilities."""
        check_is_fitted(self)
        return 0.5 * (1.0 + np.tanh(0.5 * (self.slope_ * np.asarray(X, float).ravel() + self.offset_)))
