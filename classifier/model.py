"""The difficulty model: a query through reading, encoder, features and network to an `Estimate`.

Only the last user turn decides. What surrounds it (system prompt, earlier turns, tools, response format) has
weight zero: no public data tells how it changes success, and a harness around a greeting must not make it
hard. Pictures are not read, so they widen the uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.encoder import STATIC
from classifier.head import Network, by_row, rising, sigmoid, softmax
from classifier.inputs import Inputs
from classifier.reasons import top_reasons
from classifier.types import Estimate, Query, TokenForecast

Vector = NDArray[np.floating[Any]]
# Ordinary text of this length takes .2 to .4 ms; the worst, keyboard noise that is searched for slips of the pen, 4.
QUICK_CHARS = 600
UNSEEN_PICTURE = 0.15  # standard error added where a picture, which nothing here reads, may decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the network's outputs mean, in this order: levels, kinds, log tokens, triviality if there is one, heads.

    Attributes:
        abilities: (L,) rising ability levels on MMLU-Pro's accuracy scale.
        kinds, heads: names. cheap: the ability whose failure is called difficulty.
        trivial: (L,) success where anyone can answer (a greeting, 2+2), which a logit of its own tells; () without one.
        slope, offset: Platt calibration of the success logits: slope * z + offset, slope > 0.
        spread_factor: standard error per unit of the ensemble's spread; spread_floor: its least value.
        token_level: the coverage of the high quantile. token_margins: (K,) what conformal calibration adds to the log
            expectation to reach it, per kind. token_mean_factor: mean over geometric mean. token_cap: no forecast
            exceeds it.
    """

    abilities: tuple[float, ...]
    kinds: tuple[str, ...]
    heads: tuple[str, ...]
    cheap: float
    trivial: tuple[float, ...] = ()
    slope: float = 1.0
    offset: float = 0.0
    spread_factor: float = 1.0
    spread_floor: float = 0.03
    token_level: float = 0.9
    token_margins: tuple[float, ...] = ()
    token_mean_factor: float = 1.2
    token_cap: int = 32_000

    @property
    def gate(self) -> int:
        """Which output is the logit of triviality, if there is one; the heads follow."""
        return len(self.abilities) + len(self.kinds) + 1

    @property
    def outputs(self) -> int:
        """How many there are."""
        return self.gate + bool(self.trivial) + len(self.heads)


class DifficultyModel:
    """Implements `classifier.types.Classifier`; safe in several threads (its only state is a memo)."""

    def __init__(self, *, inputs: Inputs, network: Network, layout: Layout, version: str) -> None:
        self.inputs = inputs
        self.network = network
        self.layout = layout
        self._version = version
        self._to_base = network.out[:, :, 0].reshape(-1) / len(network.out)
        self._abilities = np.array(layout.abilities, np.float32)
        self._trivial = np.array(layout.trivial, np.float32)
        self._slope, self._offset = np.float32(layout.slope), np.float32(layout.offset)
        self._skip_to_base = np.ascontiguousarray(network.skip[:, 0])
        self._features_in = np.ascontiguousarray(network.hidden[inputs.sizes[0] :])
        self.cheap_weights = interpolation(self._abilities, layout.cheap)

    @property
    def version(self) -> str:
        """The artefact's version."""
        return self._version

    @property
    def quick_chars(self) -> int:
        """See `Classifier`; of another encoder than the static one nothing is known."""
        return QUICK_CHARS if self.inputs.encoder.name == STATIC else 0

    def estimate(self, query: Query) -> Estimate:
        """Judge one query; a millisecond at most, whatever the text."""
        return self.estimate_many((query,))[0]

    def estimate_many(self, queries: Sequence[Query]) -> list[Estimate]:
        """Judge queries together, which costs little more than one of them."""
        x = self.inputs.compute_many([query.text for query in queries])
        z, units, outputs = self.network.forward(x)
        layout = self.layout
        mean = np.add.reduce(outputs, 1)
        mean /= outputs.shape[1]
        levels, kinds = len(layout.abilities), len(layout.kinds)
        gates = sigmoid(mean[:, layout.gate]) if layout.trivial else np.zeros(len(x), np.float32)
        by_member = self._success(outputs[:, :, :levels], gates[:, None, None])
        success = np.add.reduce(by_member, 1)
        success /= outputs.shape[1]
        shares = softmax(mean[:, levels : levels + kinds])
        failures = 1.0 - by_member @ self.cheap_weights
        heads = sigmoid(mean[:, layout.gate + bool(layout.trivial) :]) if layout.heads else mean[:, :0]
        told = zip(
            queries,
            x,
            *self._pushes(z, units),
            *(part.tolist() for part in (failures, success, shares, mean[:, levels + kinds], gates, heads)),
            strict=True,
        )
        return [self._told(*one) for one in told]

    def _told(  # noqa: PLR0917 - one row of each array, in the order of `estimate_many`
        self,
        query: Query,
        x: Vector,
        pushes: Vector,
        by_vector: float,
        failures: list[float],
        success: list[float],
        shares: list[float],
        log_tokens: float,
        gate: float,
        heads: list[float],
    ) -> Estimate:
        layout = self.layout
        best = shares.index(max(shares))
        kind = layout.kinds[best]
        return Estimate(
            difficulty=sum(failures) / len(failures),
            uncertainty=self._error(_deviation(failures), query),
            kind=kind,
            kinds=dict(zip(layout.kinds, shares, strict=True)),
            abilities=layout.abilities,
            success=tuple(success),
            heads=dict(zip(layout.heads, heads, strict=True)),
            tokens=self._tokens(log_tokens, layout.token_margins[best]),
            reasons=top_reasons(pushes, by_vector, x[self.inputs.sizes[0] :], kind, gate),
            version=self._version,
            reading=self.inputs.pack(x),
        )

    def success_many(self, x: Vector) -> Vector:
        """(n, L) success per ability level for prepared inputs (n, D)."""
        outputs, layout = self.network.outputs_many(x), self.layout
        gate = sigmoid(outputs[:, :, layout.gate].mean(axis=1))[:, None, None] if layout.trivial else 0.0
        return self._success(outputs[:, :, : len(layout.abilities)], gate).mean(axis=1)

    def _success(self, raw: Vector, gate: float | Vector) -> Vector:
        """Calibrated success (..., L), drawn to that of trivial questions by the gate; both rise with the level."""
        logits = rising(raw)
        logits *= self._slope
        logits += self._offset
        success = sigmoid(logits)
        if self.layout.trivial:
            success += np.asarray(gate, np.float32) * (self._trivial - success)
        return success

    def _error(self, spread: float, query: Query) -> float:
        error = self.layout.spread_floor + self.layout.spread_factor * spread
        return min(error + (UNSEEN_PICTURE if query.images else 0.0), 0.5)

    def _tokens(self, log_tokens: float, margin: float) -> TokenForecast:
        layout = self.layout
        centre = min(log_tokens, 15.0)
        high = min(math.exp(centre + margin), layout.token_cap)
        expected = min(math.exp(centre) * layout.token_mean_factor, high)
        return TokenForecast(expected=max(1, round(expected)), high=max(1, round(high)), level=layout.token_level)

    def _pushes(self, z: Vector, units: Vector) -> tuple[Vector, list[float]]:
        """By how much each hand feature (n, features) and the vector (n) moved the logit of failure.

        It is the gradient times the input.
        """
        net, embedded = self.network, self.inputs.sizes[0]
        to_base = (units > 0) * self._to_base
        slope = by_row(to_base, self._features_in.T)
        slope += net.skip[embedded:, 0]
        slope *= z[:, embedded:]
        # What all inputs moved is known from the units without another pass over the vector's weights.
        everything = np.vecdot(units - net.hidden_bias, to_base) + z @ self._skip_to_base
        return -slope, (np.add.reduce(slope, 1) - everything).tolist()


def interpolation(abilities: Vector, at: float) -> Vector:
    """(L,) weights w such that w @ success interpolates success at an ability."""
    return np.array([np.interp(at, abilities, row) for row in np.eye(len(abilities))], np.float32)


def _deviation(values: list[float]) -> float:
    """Standard deviation of a handful of numbers; numpy's costs more than the network on so few."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
