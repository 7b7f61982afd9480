"""Residual k-means: level by level, clusters of what the levels before left over.

Plain, as in OneRec and MiniOneRec; or balanced (OneRec), every cluster with equally many members, so that no code is
wasted on a few odd items and none is so crowded that its items can be told apart by the last code only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from server_training.items.balance import Balance
from server_training.items.kmeans import Vectors, kmeans, means, nearest, spread_start
from server_training.items.quantisers import Effort, Learnt

_Clusters = tuple[Vectors, NDArray[np.int64]]


def residual_kmeans(vectors: Vectors, levels: int, size: int, seed: int, effort: Effort) -> Learnt:
    """Plain k-means on residuals."""

    def clusters(left: Vectors, rng: np.random.Generator) -> _Clusters:
        centres = kmeans(left, size, rng, effort.iterations)
        return centres, nearest(left, centres)[0]

    books, _ = _by_level(vectors, levels, seed, clusters)
    return Learnt(books)


def balanced_kmeans(vectors: Vectors, levels: int, size: int, seed: int, effort: Effort) -> Learnt:
    """k-means on residuals with clusters of equal size, up to rounding."""

    def clusters(left: Vectors, rng: np.random.Generator) -> _Clusters:
        centres = spread_start(left, size, rng)
        balance = Balance(size)
        owner = balance.assign(left, centres)
        for _ in range(effort.iterations):
            centres = means(left, owner, centres)
            before, owner = owner, balance.assign(left, centres)
            if np.array_equal(before, owner):
                break
        return centres, owner

    books, codes = _by_level(vectors, levels, seed, clusters)
    return Learnt(books, assigned=codes)


def _by_level(
    vectors: Vectors, levels: int, seed: int, clusters: Callable[[Vectors, np.random.Generator], _Clusters]
) -> tuple[Vectors, NDArray[np.uint16]]:
    rng = np.random.default_rng(seed)
    left, books = vectors, []
    codes = np.empty((len(vectors), levels), np.uint16)
    for level in range(levels):
        centres, owner = clusters(left, rng)
        left = left - centres[owner]
        codes[:, level] = owner
        books.append(centres)
    return np.stack(books), codes
