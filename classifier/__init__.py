"""Query -> difficulty, success per ability level, kind of task and token forecast."""

from classifier.artefact import ArtefactError, EncoderMismatchError, load, load_default
from classifier.types import Classifier, Estimate, Query, TokenForecast

__all__ = [
    "ArtefactError",
    "Classifier",
    "EncoderMismatchError",
    "Estimate",
    "Query",
    "TokenForecast",
    "load",
    "load_default",
]
