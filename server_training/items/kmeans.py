"""k-means in numpy: k-means++ start, Lloyd's iterations, empty clusters restarted.

Knows nothing of items. Deterministic for a generator in the same state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Vectors = NDArray[np.float32]
_BATCH = 8192


def squared_distances(points: Vectors, centres: Vectors) -> Vectors:
    """Squared Euclidean distances ``[n, k]`` of points ``[n, d]`` to centres ``[k, d]``, never negative."""
    lengths = np.einsum("nd,nd->n", points, points)[:, None] + np.einsum("kd,kd->k", centres, centres)
    distances: Vectors = np.maximum(lengths - 2.0 * (points @ centres.T), 0.0)
    return distances


def nearest(points: Vectors, centres: Vectors) -> tuple[NDArray[np.int64], Vectors]:
    """The nearest centre of each point, the first one on a tie, and the squared distance to it."""
    found = np.empty(len(points), np.int64)
    distance = np.empty(len(points), np.float32)
    for start in range(0, len(points), _BATCH):
        batch = slice(start, start + _BATCH)
        table = squared_distances(points[batch], centres)
        found[batch] = table.argmin(axis=1)
        distance[batch] = table.min(axis=1)
    return found, distance


def kmeans(points: Vectors, k: int, rng: np.random.Generator, iterations: int = 25) -> Vectors:
    """Centres float32 ``[k, d]`` of ``points`` ``[n, d]``.

    A centre that loses all its points moves to the point farthest from its own centre. With fewer distinct
    points than ``k``, centres coincide. (Arthur and Vassilvitskii, "k-means++", SODA 2007.)
    """
    centres = spread_start(points, k, rng)
    before: NDArray[np.int64] | None = None
    for _ in range(iterations):
        owner, distance = nearest(points, centres)
        if before is not None and np.array_equal(owner, before):
            break
        before = owner
        centres, alive = _means(points, owner, centres)
        dead = np.flatnonzero(~alive)
        far = np.argsort(-distance, kind="stable")[: len(dead)]
        centres[dead[: len(far)]] = points[far]
    return centres


def means(points: Vectors, owner: NDArray[np.int64], centres: Vectors) -> Vectors:
    """The mean of the points of each centre [k, d]; a centre without points stays where it is."""
    return _means(points, owner, centres)[0]


def _means(points: Vectors, owner: NDArray[np.int64], centres: Vectors) -> tuple[Vectors, NDArray[np.bool_]]:
    k = len(centres)
    counts = np.bincount(owner, minlength=k)
    ones, starts = np.ones(len(points), np.float32), np.arange(len(points) + 1)
    members = sparse.csr_array((ones, owner, starts), shape=(len(points), k))
    sums = np.asarray(members.T @ points)
    alive = counts > 0
    moved = centres.copy()
    moved[alive] = sums[alive] / counts[alive, None]
    return moved, alive


def spread_start(points: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """The greedy k-means++ start: of a few points drawn by squared distance, the best one is next."""
    chosen = [int(rng.integers(len(points)))]
    distance = squared_distances(points, points[chosen])[:, 0]
    candidates = 2 + int(np.log(k))
    while len(chosen) < k:
        summed = np.cumsum(distance, dtype=np.float64)
        # All points covered: any of them will do, and the shares below would be 0 / 0.
        shares = summed / summed[-1] if summed[-1] > 0 else np.arange(1, len(points) + 1) / len(points)
        drawn = np.minimum(np.searchsorted(shares, rng.random(candidates), side="right"), len(points) - 1)
        left = np.minimum(distance[:, None], squared_distances(points, points[drawn]))
        best = int(left.sum(axis=0, dtype=np.float64).argmin())
        chosen.append(int(drawn[best]))
        distance = left[:, best]
    return points[chosen].copy()
