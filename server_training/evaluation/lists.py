"""What lists are like beyond being right: how much of the catalog they show, how new, varied and popular it is.

All take lists int ``[E, k]`` of item indices, best first, -1 after the end of a short list. Knows nothing of scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Lists = NDArray[np.int64]


def coverage(lists: Lists, n_items: int) -> float:
    """Share of the catalog that stands in at least one list."""
    shown = np.unique(lists[lists >= 0])
    return len(shown) / n_items


def gini(lists: Lists, n_items: int) -> float:
    """Gini index of how often items are shown: 0 when all are alike, near 1 when a few take it all."""
    counts = np.sort(np.bincount(lists[lists >= 0], minlength=n_items).astype(np.float64))
    if not counts.sum():
        return 0.0
    places = np.arange(1, n_items + 1)
    return float((2 * places - n_items - 1) @ counts / (n_items * counts.sum()))


def novelty(lists: Lists, counts: NDArray[np.int64]) -> float:
    """Mean self-information in bits, -log2 of an item's share of training events (Castells et al., 2011).

    An item without events counts as if it had one.
    """
    shown = lists[lists >= 0]
    if not len(shown):
        return 0.0
    share = np.maximum(counts, 1) / max(int(counts.sum()), 1)
    return float(-np.log2(share[shown]).mean())


def diversity(lists: Lists, vectors: NDArray[np.float32]) -> float:
    """Intra-list diversity: 1 minus the mean cosine of two items of one list, averaged over lists of at least two.

    Args:
        lists: see the module.
        vectors: float32 ``[n, d]``; an item with a vector of zeros is like no other.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-12)
    values: list[NDArray[np.float64]] = []
    for start in range(0, len(lists), 1024):
        block = lists[start : start + 1024]
        real = block >= 0
        members = np.where(real[..., None], unit[np.where(real, block, 0)], 0.0)
        # Of unit vectors, the squared length of their sum is n plus all cosines of ordered pairs.
        count = real.sum(axis=1).astype(np.float64)
        own = np.einsum("ekd,ekd->e", members, members, dtype=np.float64)
        cosines = np.square(members.sum(axis=1, dtype=np.float64)).sum(axis=1) - own
        two = count >= 2
        values.append(1.0 - cosines[two] / (count[two] * (count[two] - 1)))
    found = np.concatenate(values) if values else np.empty(0)
    return float(found.mean()) if len(found) else 0.0


def popularity_percentiles(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Float64 ``[n]``: share of items that have fewer events, half of those that have as many."""
    ordered = np.sort(counts)
    below = np.searchsorted(ordered, counts, side="left")
    upto = np.searchsorted(ordered, counts, side="right")
    percentiles: NDArray[np.float64] = (below + upto) / (2.0 * len(counts))
    return percentiles


def popularity_lift(lists: Lists, histories: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Popularity bias: mean percentile of the items shown, minus that of the users' own histories.

    Args:
        lists: see the module.
        histories: float64 ``[E]``, mean percentile of each user's history, NaN without one.
        counts: int64 ``[n]``, training events per item.
    """
    percentiles = popularity_percentiles(counts)
    real = lists >= 0
    shown = np.where(real, percentiles[np.where(real, lists, 0)], 0.0).sum(axis=1)
    known = real.any(axis=1) & ~np.isnan(histories)
    if not known.any():
        return 0.0
    return float((shown[known] / real.sum(axis=1)[known] - histories[known]).mean())
