"""Item vectors smoothed over the user-item graph: items of the same users draw together.

The graph convolution of LightGCN (He et al., SIGIR 2020) on training events, its layers averaged; MMGRec (Liu et al.,
2024) puts it before residual quantisation, so that semantic IDs follow both content and use.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from server_training.data.split import Split
from server_training.items.text import Vectors


def smoothed(vectors: Vectors, split: Split, layers: int) -> Vectors:
    """Mean of the vectors after 0, 1, ..., `layers` steps item to user to item; an unused item keeps its own.

    Args:
        vectors: float32 [n, d], in catalog order.
        split: whose training events are the graph.
        layers: steps; 0 returns the vectors.
    """
    events = split.train_events()
    owner = np.repeat(np.arange(split.data.n_users), np.diff(split.data.offsets))[events]
    items = split.data.items[events]
    shape = (split.data.n_items, split.data.n_users)
    used = sparse.coo_array((np.ones(len(items)), (items, owner)), shape=shape).tocsr()
    used.data[:] = 1.0
    by_item, by_user = (np.asarray(used.sum(axis=axis)).ravel() for axis in (1, 0))
    weights = sparse.diags_array(_root(by_item)) @ used @ sparse.diags_array(_root(by_user))
    total = layer = vectors.astype(np.float64)
    alone = (by_item == 0)[:, None]
    for _ in range(layers):
        layer = np.where(alone, layer, weights @ (weights.T @ layer))
        total = total + layer
    return (total / (layers + 1)).astype(np.float32)


def _root(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    inverse: NDArray[np.float64] = 1.0 / np.sqrt(np.maximum(counts, 1.0))
    return inverse
