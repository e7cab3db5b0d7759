"""What learnt heads are linear in: the main components of a kernel over the log, and what the base model says.

    phi(x) = [F, o]
    k(x, x') = sum over views v of exp(-|v - v'|^2 / 2 WIDTH^2) + LINEAR^2 z.z' + share of groupings that join x and x'
    F.F' ~ k           its COMPONENTS main components over the log's own queries (Schoelkopf et al. 1998; Nystroem)

The views: the vector's direction beside the features; the features alone; and m, the input seen by a learnt metric
(training.learning.metric): the few directions in which public data found that questions differ for models. Groupings
(training.learning.groups) are by the first view. z is the standardised input, o the base network's raw outputs (what
the public data taught: the warm start).

A network of one hidden layer has no such kernel, but F is smooth, and rectified units near queries c of the log can say
it (the share of F that they leave out is noise that a head would be penalised for anyway):

    relu(z_e . c_e - tau_c)        among the embeddings' nearest twentieth
    relu(z . c - tau_c)            among the nearest fifth by embedding and features together
    relu(m . m_c - tau_c)          by the metric, with thresholds from far to near

F ~ (z, units) T by ridge, and heads linear in phi go into an artefact as they are: serving knows nothing of all this.
The base's outputs are scaled to a length, so that one penalty suits all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag, eigh

from classifier.head import Network
from training.learning.groups import memberships

Floats = NDArray[np.floating[Any]]

UNITS: Final = 128  # half of the hidden units that are added; they are what serving pays for
COMPONENTS: Final = 256  # of the kernel; 64 rank as well with 1,000 labels, more serve those with many
KERNEL_SAMPLE: Final = 1_000  # queries that the components are taken from: half a second
WIDTH: Final = 0.7  # of the bumps, where the queries' mean square length is 1; .5 to 1 differ by .01 of APGR
DIRECTIONS: Final = 12  # of the metric; 6 rank nearly as well, 40 no better
NEAR: Final = 0.05  # share of queries that a landmark by embedding fires for
WIDE: Final = 0.2  # the same by embedding and features
BY_METRIC: Final = (0.7, 0.5, 0.3, 0.1)  # the same by the metric, in turn: one share for all says F less well
LINEAR: Final = 0.5  # length of z, and of the base's outputs, beside the bumps'
HEADS: Final = 2.0  # of the heads that are started from: what was learnt of the same models counts before all else
NOISE: Final = 3.0  # ridge, in queries, of F on what the network can say
LEAST: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """phi: D columns, standing in for a network with landmark units and no heads.

    Attributes:
        network: the base with the landmark units appended; its outputs are the base's.
        own: hidden units per member of the base. kept: its outputs that stay; heads after them are only started from.
        shift: (R,), mix: (R, D) phi = (raw - shift) @ mix, raw being z, landmark units and the base's outputs.
    """

    network: Network
    own: int
    kept: int
    shift: Floats
    mix: Floats

    def phi(self, x: Floats) -> Floats:
        """(n, D) float32 of inputs (n, d), worked out in double precision: the last digits hang on no processor."""
        return ((_raw(self.network, self.own, x.astype(np.float64)) - self.shift) @ self.mix).astype(np.float32)

    @property
    def width(self) -> int:
        """D."""
        return self.mix.shape[1]

    def with_heads(self, weights: Floats, offsets: Floats) -> Network:
        """The network with heads whose logits are weights (D, H) . phi + offsets (H,), in place of the base's own."""
        net, plain = self.network, self.mix @ weights
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


def make_basis(
    base: Network,
    sample: Floats,
    embedded: int,
    *,
    units: int = UNITS,
    kept: int | None = None,
    metric: Floats | None = None,
) -> Basis:
    """Take landmarks and components from a sample of the log.

    Args:
        base: a network; what its heads say, if it has any, is part of phi, but new heads take their place.
        sample: (n, d) inputs of queries, labelled or not, in random order: the first become landmarks.
        embedded: how many of the d are the embedding.
        units: half of the landmarks; fewer where the sample is small.
        kept: how many of the base's outputs are no heads; None for all.
        metric: (d, r) what public data says tells questions apart, of inputs (training.learning.metric); None without.
    """
    z = base.standardise(sample).astype(np.float64)
    centred = z - z.mean(axis=0)  # the log's own middle: what all its queries share tells none from another
    seen = None if metric is None else _directions(centred, metric / base.gain[:, None])
    network = _appended(base, *_landmarks(z, centred, seen, embedded=embedded, units=units, members=len(base.out)))
    own, outputs = base.out.shape[1], base.out.shape[2]
    raw = _raw(network, own, sample.astype(np.float64))
    shift = raw.mean(axis=0).astype(np.float32)
    plain = outputs if kept is None else kept
    inner, said, heads = np.split(raw - shift, [raw.shape[1] - outputs, raw.shape[1] - outputs + plain], axis=1)
    goal = _components(centred, None if seen is None else centred @ seen, embedded, sample)
    mix = np.asarray(block_diag(_ridge(inner, goal), _to_length(said, LINEAR), _to_length(heads, HEADS)))
    return Basis(network=network, own=own, kept=plain, shift=shift, mix=mix)


def _directions(centred: Floats, metric: Floats) -> Floats:
    """(d, k) the metric of z in its main directions over these queries, whose mean square length it makes 1."""
    even = metric / np.maximum((centred @ metric).std(axis=0), LEAST)
    _, _, main = np.linalg.svd(centred @ even, full_matrices=False)
    found = even @ main[:DIRECTIONS].T
    return found / np.sqrt(max(float(((centred @ found) ** 2).sum(1).mean()), LEAST))


def _components(centred: Floats, seen: Floats | None, embedded: int, sample: Floats) -> Floats:
    """(n, k) main components of the kernel, each of the length that the kernel gives it."""
    direction = centred[:, :embedded] / np.sqrt(np.maximum((centred[:, :embedded] ** 2).sum(1, keepdims=True), LEAST))
    even = centred * _by_length(centred, embedded)
    features = even[:, embedded:]
    views = [np.concatenate([direction, features], axis=1), features, *([] if seen is None else [seen])]
    first = slice(0, KERNEL_SAMPLE)
    member = memberships(views[0], KERNEL_SAMPLE, sample)
    kernel = LINEAR**2 * (even @ even[first].T) + member @ member[first].T
    for view in views:
        kernel += _bumps(view, view[first])
    among = kernel[first]
    count = min(COMPONENTS, len(among))
    values, vectors = eigh(among, subset_by_index=[len(among) - count, len(among) - 1])
    sound = values > LEAST * values[-1]
    return kernel @ (vectors[:, sound] / np.sqrt(values[sound]))


def _bumps(a: Floats, b: Floats) -> Floats:
    """(n, m) exp(-|a - b|^2 / 2 WIDTH^2)."""
    distance = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * (a @ b.T)
    return np.exp(-np.maximum(distance, 0.0) / (2.0 * WIDTH**2))


def _ridge(said: Floats, goal: Floats) -> Floats:
    """(R, k) weights of what the network can say (n, R) for a goal (n, k); both are centred here."""
    said, goal = said - said.mean(axis=0), goal - goal.mean(axis=0)
    return np.linalg.solve(said.T @ said + NOISE * np.eye(said.shape[1]), said.T @ goal)


def _to_length(part: Floats, length: float) -> Floats:
    """(c, c) the diagonal that gives columns (n, c) this length together."""
    size = np.sqrt(max(float((part**2).sum(1).mean()), LEAST)) if part.shape[1] else 1.0
    return np.eye(part.shape[1]) * (length / size)


def _landmarks(
    z: Floats, centred: Floats, seen: Floats | None, *, embedded: int, units: int, members: int
) -> tuple[Floats, Floats]:
    """Weights and biases of the landmark units; see the module."""
    each = units if seen is None else units // 2
    near, wide = centred.copy(), centred * _by_length(centred, embedded) ** 2
    near[:, embedded:] = 0.0
    sorts: list[tuple[Floats, int, tuple[float, ...]]] = [(near, each, (NEAR,)), (wide, each, (WIDE,))]
    if seen is not None:
        sorts.append(((centred @ seen) @ seen.T, units, BY_METRIC))
    counts = [min(count, len(z)) // members * members for _, count, _ in sorts]
    directions = np.concatenate([part[:count] for (part, _, _), count in zip(sorts, counts, strict=True)])
    shares = [np.resize(shares, count) for (_, _, shares), count in zip(sorts, counts, strict=True)]
    return _units(z, directions, 1.0 - np.concatenate(shares), members)


def _by_length(z: Floats, embedded: int) -> Floats:
    """(d,) factors that give embedding and features a mean square length of 1 each."""
    part = np.ones(z.shape[1])
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


def _raw(network: Network, own: int, x: Floats) -> Floats:
    """(n, D) z, the landmark units (member by member), the base's outputs (means over the members)."""
    z = network.standardise(x)
    units = np.maximum(z @ network.hidden + network.hidden_bias, 0.0).reshape(len(x), len(network.out), -1)
    said = (
        np.einsum("neh,eho->no", units, network.out) / len(network.out) + z @ network.skip + network.bias.mean(axis=0)
    )
    return np.concatenate([z, units[:, :, own:].reshape(len(x), -1), said], axis=1)
