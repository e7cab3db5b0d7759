"""What learnt heads are linear in: the network's inputs, what the base model says, and landmark units of the log.

    phi(x) = [z_embedding, z_features, u, j, o]

z is the standardised input, o the base network's raw outputs (what the public data taught: the warm start).
A landmark unit fires near one query c of the log:

    u_c = relu(z_e . c_e - tau_c)        among the embeddings' nearest twentieth
    j_c = relu(z . c - tau_c)            among the nearest fifth by embedding and features together

Sums of such bumps are what nearest neighbours and kernels are, and they are rectified units of one hidden layer: heads
that are linear in phi go into an artefact as they are, and serving knows nothing of all this. Every part is scaled to a
length (1, or LINEAR) over the sample that the landmarks are taken from, so that one penalty suits all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.head import Network

Floats = NDArray[np.floating[Any]]

UNITS: Final = 128  # landmarks of each sort; 512 gain less than .005 of APGR and make fits sixty times as long
NEAR: Final = 0.05  # share of queries that a landmark by embedding fires for
WIDE: Final = 0.2  # the same by embedding and features
LINEAR: Final = (
    0.5  # length of z beside the landmarks': .5 ranks gains a little better than 1 or 0 on four pairs of models
)
HEADS: Final = 2.0  # of the heads that are started from: what was learnt of the same models counts before all else
LEAST: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """phi: D columns, standing in for a network with landmark units and no heads.

    Attributes:
        network: the base with the landmark units appended; its outputs are the base's.
        own: hidden units per member of the base. kept: its outputs that stay; heads after them are only started from.
        shift, scale: (D,) phi = (raw - shift) * scale, raw being z, landmark units and the base's outputs.
    """

    network: Network
    own: int
    kept: int
    shift: Floats
    scale: Floats

    def phi(self, x: Floats) -> Floats:
        """(n, D) float32 of inputs (n, d), worked out in double precision: the last digits hang on no processor."""
        return ((_raw(self.network, self.own, x.astype(np.float64)) - self.shift) * self.scale).astype(np.float32)

    @property
    def width(self) -> int:
        """D."""
        return len(self.shift)

    def with_heads(self, weights: Floats, offsets: Floats) -> Network:
        """The network with heads whose logits are weights (D, H) . phi + offsets (H,), in place of the base's own."""
        net, plain = self.network, weights * self.scale[:, None]
        members, outputs = len(net.out), net.out.shape[2]
        z, landmarks, said = np.split(plain, [len(net.shift), len(plain) - outputs])
        out = net.out @ said
        out[:, self.own :] += landmarks.reshape(members, -1, landmarks.shape[1]) * members  # outputs are members' means
        bias = net.bias @ said + (offsets - self.shift @ plain)
        rest = without_heads(net, self.kept)
        return replace(
            net,
            skip=np.concatenate([rest.skip, z + net.skip @ said], axis=1).astype(np.float32),
            out=np.concatenate([rest.out, out], axis=2).astype(np.float32),
            bias=np.concatenate([rest.bias, bias], axis=1).astype(np.float32),
        )


def make_basis(base: Network, sample: Floats, embedded: int, *, units: int = UNITS, kept: int | None = None) -> Basis:
    """Take landmarks from a sample of the log.

    Args:
        base: a network; what its heads say, if it has any, is part of phi, but new heads take their place.
        sample: (n, d) inputs of queries, labelled or not, in random order: the first become landmarks.
        embedded: how many of the d are the embedding.
        units: landmarks of each sort; fewer where the sample is small.
        kept: how many of the base's outputs are no heads; None for all.
    """
    members = len(base.out)
    z = base.standardise(sample)
    count = min(units, len(sample)) // members * members
    chosen = np.arange(count)
    centred = z - z.mean(axis=0)  # the log's own middle: what all its queries share tells none from another
    near, wide = centred.copy(), centred * _by_length(centred, embedded) ** 2
    near[:, embedded:] = 0.0
    directions = np.concatenate([near[chosen], wide[chosen]])
    level = np.repeat([1.0 - NEAR, 1.0 - WIDE], len(chosen))
    added = _units(z, directions, level, members)
    network = _appended(base, *added)
    own = base.out.shape[1]
    raw = _raw(network, own, sample)
    outputs = base.out.shape[2]
    plain = outputs if kept is None else kept
    return Basis(network=network, own=own, kept=plain, **_scaled(raw, _blocks(base, embedded, len(chosen), plain)))


def _by_length(z: Floats, embedded: int) -> Floats:
    """(d,) factors that give embedding and features a mean square length of 1 each."""
    part = np.ones(z.shape[1], np.float32)
    for columns in (slice(0, embedded), slice(embedded, None)):
        part[columns] = 1.0 / np.sqrt(max(float((z[:, columns] ** 2).sum(1).mean()), LEAST))
    return part


def _units(z: Floats, directions: Floats, level: Floats, members: int) -> tuple[Floats, Floats]:
    """Weights (d, units) and biases (units,) of units that fire above their quantile, each of mean square 1.

    They are dealt out to the members in turn, which the order of the network's hidden units needs.
    """
    if not len(directions):
        return np.zeros((z.shape[1], 0), np.float32), np.zeros(0, np.float32)
    lengths = np.sqrt(np.maximum((directions**2).sum(1, keepdims=True), LEAST))
    unit = directions / lengths
    similar = z @ unit.T
    tau = np.array([np.quantile(column, q) for column, q in zip(similar.T, level, strict=True)])
    fired = np.maximum(similar - tau, 0.0)
    factor = 1.0 / np.sqrt(np.maximum((fired**2).mean(0), LEAST))
    order = np.arange(len(unit)).reshape(-1, members).T.ravel()
    return (unit * factor[:, None])[order].T.astype(np.float32), (-tau * factor)[order].astype(np.float32)


def _appended(base: Network, weights: Floats, biases: Floats) -> Network:
    """The base with units that no output uses yet, an equal number in every member; without its heads."""
    members, own = base.out.shape[0], base.out.shape[1]
    more = len(biases) // members
    d = len(base.shift)
    hidden = np.concatenate([base.hidden.reshape(d, members, own), weights.reshape(d, members, more)], axis=2)
    bias = np.concatenate([base.hidden_bias.reshape(members, own), biases.reshape(members, more)], axis=1)
    silent = np.zeros((members, more, base.out.shape[2]), np.float32)
    return replace(
        base,
        hidden=np.ascontiguousarray(hidden.reshape(d, -1)),
        hidden_bias=bias.ravel(),
        out=np.concatenate([base.out, silent], axis=1),
    )


def without_heads(network: Network, outputs: int) -> Network:
    """The network with its first outputs only: heads come last."""
    out, skip, bias = network.out[:, :, :outputs], network.skip[:, :outputs], network.bias[:, :outputs]
    return replace(network, out=out, skip=skip, bias=bias)


def _blocks(base: Network, embedded: int, each: int, kept: int) -> NDArray[np.intp]:
    """(D,) which part a column is of: embedding, features, landmarks near and wide, the base's outputs, its heads."""
    z = np.where(np.arange(len(base.shift)) < embedded, 0, 1)
    sort = np.repeat([2, 3], each).reshape(-1, len(base.out)).T  # as `_units` dealt them out
    said = np.where(np.arange(base.out.shape[2]) < kept, 4, 5)
    return np.concatenate([z, sort.ravel(), said]).astype(np.intp)


def _scaled(raw: Floats, block: NDArray[np.intp]) -> dict[str, Floats]:
    shift = raw.mean(axis=0)
    variance = ((raw - shift) ** 2).mean(axis=0)
    length = np.bincount(block, weights=variance, minlength=6)
    wanted = np.array([LINEAR, LINEAR, 1.0, 1.0, LINEAR, HEADS])
    return {"shift": shift.astype(np.float32), "scale": (wanted / np.sqrt(np.maximum(length, LEAST)))[block]}


def _raw(network: Network, own: int, x: Floats) -> Floats:
    """(n, D) z, the landmark units (member by member), the base's outputs (means over the members)."""
    z = network.standardise(x)
    units = np.maximum(z @ network.hidden + network.hidden_bias, 0.0).reshape(len(x), len(network.out), -1)
    said = (
        np.einsum("neh,eho->no", units, network.out) / len(network.out) + z @ network.skip + network.bias.mean(axis=0)
    )
    return np.concatenate([z, units[:, :, own:].reshape(len(x), -1), said], axis=1)
