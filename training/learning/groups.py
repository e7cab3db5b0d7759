"""How often queries fall into the same group: a likeness that the log's own queries show, without a label.

A log mixes tasks, and which models answer hangs on the task more than on anything within it. Queries of one task lie in
heaps; a kernel of fixed width cuts across heaps that are wide and joins those that are near, where a grouping
follows them. No single grouping is right, so several are made, coarse to fine (k-means, Lloyd 1982), and two queries
are as alike as the share of groupings that put them together (evidence accumulation: Fred and Jain 2005).

Which queries a grouping begins with hangs on each query's own hash: leaving some out, as the quarantine does, begins
the others' groups where they began before. Drawn by place, 3 % less of a log began every grouping anew.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

GROUPINGS: Final = 16  # as many as there are lots of 32 bits in one hash
GROUPS: Final = (12, 40)  # from coarse to fine; 32 to 64 gain less, 6 to 12 as much
LEAST_TOGETHER: Final = 10  # queries a group in the mean: small logs have fewer groups
ROUNDS: Final = 10  # of Lloyd's; groups that still move then move at their rims


def memberships(points: Floats, fitted: int, inputs: Floats) -> Floats:
    """(n, g) columns whose inner products are the share of groupings in which two points fall together.

    Args:
        points: (n, d). fitted: how many of the first are grouped; the others join the nearest centre.
        inputs: (n, i) what says that two points are the same query, whatever else the points are scaled by.
    """
    sample, lots = points[:fitted], _lots(inputs[:fitted])
    most = max(len(sample) // LEAST_TOGETHER, 1)
    counts = np.minimum(np.linspace(*GROUPS, GROUPINGS).astype(int), most).tolist()
    columns = [_member(points, _centres(sample, count, lot)) for count, lot in zip(counts, lots.T, strict=True)]
    return np.concatenate(columns, axis=1) / np.sqrt(GROUPINGS)


def _lots(inputs: Floats) -> NDArray[np.uint32]:
    """(n, GROUPINGS) a number for every grouping, equal for equal queries."""
    rows = np.ascontiguousarray(inputs, np.float32)
    return np.stack([np.frombuffer(blake2b(row.tobytes()).digest(), np.uint32) for row in rows])


def _centres(points: Floats, count: int, lot: NDArray[np.uint32]) -> Floats:
    """(k, d) by Lloyd's rounds from the points of the lowest lots; a group that empties keeps its centre."""
    _, lowest = np.unique(lot, return_index=True)
    centres = points[lowest[:count]]
    for _ in range(ROUNDS):
        member = _member(points, centres)
        size = member.sum(axis=0)[:, None]
        centres = np.where(size > 0, (member.T @ points) / np.maximum(size, 1.0), centres)
    return centres


def _member(points: Floats, centres: Floats) -> Floats:
    """(n, k) 1 where a centre is the nearest."""
    nearest = ((centres**2).sum(axis=1) - 2.0 * (points @ centres.T)).argmin(axis=1)
    return (nearest[:, None] == np.arange(len(centres))).astype(np.float64)
