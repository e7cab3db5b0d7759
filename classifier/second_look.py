"""Two estimates of one query made into one: the first stage's and that of a second, slower classifier.

    logit(p) = (1 - w) * logit(p_first) + w * logit(p_second)

for success at every level, for every model with a head in both, and for the difficulty; `w` was fitted with the second
classifier, to questions that neither had seen (`rung-train second-look`), and stands in its manifest. A model that only
the first stage has a head for keeps what that says: it was learnt from one's own results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from classifier import artefact
from classifier.artefact import ArtefactError
from classifier.encoder import STATIC
from classifier.model import DifficultyModel
from classifier.transformer import ONNX
from classifier.types import Classifier, Estimate

TOGETHER = 4  # torch takes four short texts in the time of two or three; more would make the first wait
_SURE = 1e-4  # keeps log-odds finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """A classifier for second looks.

    Attributes:
        weight: 0..1, what its word counts beside the first's.
        together: texts that are better given to it in one go than one after the other.
    """

    model: Classifier
    weight: float
    together: int = 1

    def combined(self, first: Estimate, second: Estimate) -> Estimate:
        """What both say together; kind, tokens and reasons are the second's, which has read more closely."""
        weight, levels = self.weight, first.abilities
        heads = {
            name: _between(p, second.heads[name], weight) if name in second.heads else p
            for name, p in first.heads.items()
        }
        return replace(
            second,
            difficulty=_between(first.difficulty, second.difficulty, weight),
            abilities=levels,
            success=tuple(
                _between(p, second.success_at(level), weight) for p, level in zip(first.success, levels, strict=True)
            ),
            heads=second.heads | heads,
            version=f"{first.version}+{second.version}",
            reading=first.reading,  # learning reads the first stage's inputs
        )


def weight_of(path: str | Path) -> float:
    """The weight that an artefact for second looks names; a glance at its manifest and at the extra that it needs.

    Raises:
        ArtefactError: it is none; ModuleNotFoundError: its encoder's extra is not installed.
    """
    manifest = artefact.read_manifest(Path(path), by="second-look")
    about: Any = manifest.get("second_look")
    weight = about.get("weight") if isinstance(about, dict) else None
    if not isinstance(weight, int | float) or not 0.0 <= weight <= 1.0:
        remedy = f"`rung-train second-look --out {path}` writes one"
        raise ArtefactError(f"{path} is no classifier for second looks; {remedy}")
    if manifest["encoder"] == ONNX and find_spec("onnxruntime") is None:
        raise ModuleNotFoundError(f"{path} needs ONNX Runtime: pip install 'rung[onnx]' (no torch comes with it)")
    return float(weight)


def load_second(path: str | Path, *, threads: int = 1) -> Second:
    """Load and check a classifier for second looks.

    Raises:
        ArtefactError: it is none, or it is not usable; ModuleNotFoundError: its encoder's extra is not installed.
    """
    weight = weight_of(path)
    model: DifficultyModel = artefact.load(path, threads=threads)
    # ONNX Runtime is given one text after the other (`classifier.transformer`): the first need not wait for the last.
    together = 1 if model.inputs.encoder.name in {ONNX, STATIC} else TOGETHER
    return Second(model=model, weight=weight, together=together)


def _between(first: float, second: float, weight: float) -> float:
    return _expit((1.0 - weight) * _logit(first) + weight * _logit(second))


def _logit(p: float) -> float:
    bounded = min(max(p, _SURE), 1.0 - _SURE)
    return math.log(bounded / (1.0 - bounded))


def _expit(z: float) -> float:
    return 0.5 * (1.0 + math.tanh(0.5 * z))
