"""Points dealt to centres so that no centre gets more than its share.

Entropic optimal transport (Sinkhorn; Cuturi, NeurIPS 2013) finds what each centre must charge for all to be equally
sought; at those prices points and centres are matched as in deferred acceptance (Gale and Shapley, 1962): every point
asks at its cheapest centre, a full centre keeps those it is cheapest for. Prices carry over from one call to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from server_training.items.kmeans import Vectors, squared_distances

_BLOCK = 65_536
_SHARPNESS = 20.0
_ROUNDS = 20


class Balance:
    """Deals points to `size` centres, remembering the prices."""

    def __init__(self, size: int) -> None:
        self._pull = np.ones(size, np.float64)

    def assign(self, points: Vectors, centres: Vectors) -> NDArray[np.int64]:
        """The centre of each point [n, d] among [k, d]; at most ceil(n / k) points to one within each block of 65,536.

        Memory is 12 bytes per point of a block and centre.
        """
        owner = np.empty(len(points), np.int64)
        for start in range(0, len(points), _BLOCK):
            cost = squared_distances(points[start : start + _BLOCK], centres)
            owner[start : start + _BLOCK] = self._deal(cost)
        return owner

    def _deal(self, cost: Vectors) -> NDArray[np.int64]:
        n, size = cost.shape
        rate = _SHARPNESS / max(float(cost.mean()), 1e-12)
        kernel = np.exp(-rate * (cost - cost.min(axis=1, keepdims=True)))
        for _ in range(_ROUNDS):
            push = 1.0 / np.maximum(kernel @ self._pull, 1e-30)
            self._pull = (n / size) / np.maximum(push @ kernel, 1e-30)
            self._pull /= self._pull.mean()
        priced = cost - np.log(np.maximum(self._pull, 1e-30)) / rate
        return _matched(priced, -(-n // size))


def _matched(cost: NDArray[np.float64], room: int) -> NDArray[np.int64]:
    """Deferred acceptance; `cost` [n, k] is used up."""
    owner = np.full(len(cost), -1, np.int64)
    free = np.arange(len(cost))
    while len(free):
        owner[free] = cost[free].argmin(axis=1)
        crowded = np.bincount(owner, minlength=cost.shape[1]) > room
        asking = np.flatnonzero(crowded[owner])
        asking = asking[np.lexsort((cost[asking, owner[asking]], owner[asking]))]
        first = np.searchsorted(owner[asking], owner[asking], side="left")
        free = asking[np.arange(len(asking)) - first >= room]
        cost[free, owner[free]] = np.inf
    return owner
