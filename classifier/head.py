"""Vector -> raw outputs: the trained network, evaluated with numpy alone.

The network is an ensemble of small ones that share their input: each member has one hidden layer of rectified units,
all add one linear path. Members are packed side by side, so that one query costs three matrix products. What the
outputs mean is `classifier.model`'s matter; how they are trained, `training.network`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.floating[Any]]
CLIP = 5.0  # standard deviations: no hostile input drives a feature beyond what training has seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The weights. D inputs, E members of h units each, O outputs.

    Attributes:
        shift, gain: (D,) standardise the input: (x - shift) * gain, clipped at CLIP.
        hidden: (D, E * h); hidden_bias: (E * h,).
        out: (E, h, O); skip: (D, O); bias: (E, O).
    """

    shift: Tensor
    gain: Tensor
    hidden: Tensor
    hidden_bias: Tensor
    out: Tensor
    skip: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised inputs (n, D), hidden units (n, E * h) and outputs (n, E, O) of inputs (n, D)."""
        z = self.standardise(x)
        units = by_row(z, self.hidden)
        units += self.hidden_bias
        np.maximum(units, 0.0, out=units)
        members, hidden, outputs = self.out.shape
        by_member = np.empty((len(x), members, outputs), np.float32)
        np.matmul(units.reshape(len(x), members, hidden).swapaxes(0, 1), self.out, out=by_member.swapaxes(0, 1))
        by_member += by_row(z, self.skip)[:, None, :]
        by_member += self.bias
        return z, units, by_member

    def outputs_many(self, x: Tensor) -> Tensor:
        """(n, E, O) for many inputs (n, D)."""
        z = self.standardise(x)
        units = np.maximum(z @ self.hidden + self.hidden_bias, 0.0).reshape(len(x), self.out.shape[0], -1)
        return np.einsum("neh,eho->neo", units, self.out) + (z @ self.skip)[:, None, :] + self.bias

    def standardise(self, x: Tensor) -> Tensor:
        """The input as the first layer sees it."""
        z = x - self.shift
        z *= self.gain
        return np.minimum(np.maximum(z, -CLIP, out=z), CLIP, out=z)


def by_row(few: Tensor, matrix: Tensor) -> Tensor:
    """(n, D) @ (D, O), row by row: for a product of matrices BLAS rearranges them first, which takes longer."""
    return (few[:, None, :] @ matrix)[:, 0]


def sigmoid(z: Tensor) -> Tensor:
    """The logistic function, safe for large arguments."""
    risen = np.tanh(0.5 * z)
    risen += 1.0
    risen *= 0.5
    return risen.astype(np.float32, copy=False)


def rising(z: Tensor) -> Tensor:
    """Logits (..., L) that never fall along the last axis: the first as it is, then positive steps."""
    steps = np.array(z)
    np.logaddexp(0.0, z[..., 1:], out=steps[..., 1:])  # log(1 + exp(z)), safe for large z
    return np.add.accumulate(steps, axis=-1)


def softmax(z: Tensor) -> Tensor:
    """Probabilities along the last axis."""
    shifted = np.exp(z - np.maximum.reduce(z, axis=-1, keepdims=True))
    return shifted / np.add.reduce(shifted, axis=-1, keepdims=True)
